"""Layers that are not recurrent as nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import layers
from ...layers.windows import WindowLayer
from ...model.joint import Joint
from ...model.layer import Directions, Readout
from .sequence_writer import SequenceWriter, Value
from .steps import applied
from .writer import number_of

Array = NDArray[Any]
Arrays = Mapping[str, Array]

END = np.iinfo(np.int64).max
"""To a Slice: as far as there is."""


def written(
    w: SequenceWriter,
    layer: Any,
    given: Sequence[Value],
    directions: Directions | None,
    arrays: Arrays,
    prefix: str,
) -> Value:
    """Write a layer; return what it gives.

    Parameters
    ----------
    w : SequenceWriter
    layer : a layer of `fastlstm.layers`
        Of a type that `is_known`.
    given : sequence of Value
        What it reads.
    directions : str or None
        What the columns hold that it reads, as `Wiring` has it.
    arrays : mapping of str to array
        The layer's parameters.
    prefix : str
        What stands before the names of its tensors.
    """
    if isinstance(layer, Joint):
        return JOINTS[type(layer)](
            w, [w.cast(one, np.result_type(*(v.dtype for v in given))) for one in given]
        )
    (value,) = given
    if isinstance(layer, layers.Embedding):
        return _embedding(w, value, arrays, prefix)
    value = w.cast(value, getattr(layer, "dtype", value.dtype))
    if isinstance(layer, Readout):
        vectors = READOUTS[type(layer)](w, layer, w.turned(value.name), value, directions, arrays)
        return Value(vectors, value.dtype, ("batch",), value.size)
    if isinstance(layer, WindowLayer):
        return _windows(w, layer, value, arrays)
    named = {name: w.constant(array, prefix + name) for name, array in _as_read(layer, arrays).items()}
    return value.made(LAYERS[type(layer)](w, layer, value, named), layer._gives)


def is_known(layer: Any) -> bool:
    """Return whether a layer can be written."""
    return type(layer) in KNOWN


def _as_read(layer: Any, arrays: Arrays) -> Arrays:
    """Return a layer's parameters as its nodes read them."""
    if isinstance(layer, layers.Linear):
        return {name: array.T for name, array in arrays.items()}
    return arrays


def _embedding(w: SequenceWriter, value: Value, arrays: Arrays, prefix: str) -> Value:
    table = arrays["weight"]
    name = w.add("Gather", w.constant(table, f"{prefix}weight"), value.name)
    return value.made(name, table.shape[1])._replace(dtype=table.dtype)


# Layers that treat all steps alike


def _linear(w: SequenceWriter, layer: Any, x: Value, named: Mapping[str, str]) -> str:
    y = w.add("MatMul", x.name, named["weight"])
    return w.add("Add", y, named["bias"]) if layer.bias else y


def _layer_norm(w: SequenceWriter, layer: Any, x: Value, named: Mapping[str, str]) -> str:
    weight, bias = named["weight"], named["bias"]
    return w.add("LayerNormalization", x.name, weight, bias, axis=-1, epsilon=layer.eps)


def _batch_norm(w: SequenceWriter, layer: Any, x: Value, named: Mapping[str, str]) -> str:
    centred = w.add("Sub", x.name, named["running_mean"])
    spread = w.add("Sqrt", w.add("Add", named["running_var"], w.number(layer.eps, x.dtype)))
    return _affine(w, layer, w.add("Div", centred, spread), named)


def _affine(w: SequenceWriter, layer: Any, normal: str, named: Mapping[str, str]) -> str:
    return w.add("Add", w.add("Mul", normal, named["weight"]), named["bias"]) if layer.affine else normal


def _group_norm(w: SequenceWriter, layer: Any, x: Value, named: Mapping[str, str]) -> str:
    """Write mean and variance of each group, over each step's numbers or those of all real steps."""
    groups, over_time = layer.num_groups, layer.over_time
    each = layer.num_channels // groups
    steps = w.where_real(w.turned(x.name), x, 0) if over_time else x.name
    cut = w.add("Reshape", steps, w.whole(*[0] * len(x.leading), groups, each))
    axes = (0, 3) if over_time else (len(x.leading) + 1,)
    if over_time:
        count = w.size(steps, 0) if x.ends is None else w.add("Max", x.ends.lengths, w.whole(1))
        count = w.add("Cast", w.add("Mul", count, w.whole(each)), to=number_of(x.dtype))
        count = w.add("Reshape", count, w.whole(-1, 1, 1))
    else:
        count = w.number(each, x.dtype)

    def mean(numbers: str) -> str:
        return w.add("Div", w.total(numbers, *axes, keepdims=1), count)

    centred = w.add("Sub", cut, mean(cut))
    if over_time and x.ends is not None:
        real = w.unsqueeze(w.unsqueeze(x.ends.real, 2), 3)
        centred = w.add("Where", real, centred, w.number(0, x.dtype))
    variance = w.add("Add", mean(w.add("Mul", centred, centred)), w.number(layer.eps, x.dtype))
    normal = w.add("Div", centred, w.add("Sqrt", variance))
    normal = w.add("Reshape", normal, w.whole(*[0] * len(x.leading), layer.num_channels))
    return _affine(w, layer, w.turned(normal) if over_time else normal, named)


def _of_numbers(kind: str) -> Callable[..., str]:
    """Return what writes a function that is one node."""
    return lambda w, layer, x, named: w.add(kind, x.name)


def _elu(w: SequenceWriter, layer: Any, x: Value, named: Mapping[str, str]) -> str:
    return applied(w, ("elu", layer.alpha, 0.0), x.name, lambda value: w.number(value, x.dtype))


def _leaky_relu(w: SequenceWriter, layer: Any, x: Value, named: Mapping[str, str]) -> str:
    told = ("leaky_relu", layer.negative_slope, 0.0)
    return applied(w, told, x.name, lambda value: w.number(value, x.dtype))


def _gelu(w: SequenceWriter, layer: Any, x: Value, named: Mapping[str, str]) -> str:
    one, half = w.number(1, x.dtype), w.number(0.5, x.dtype)
    if layer.approximate == "tanh":
        cube = w.add("Mul", w.add("Mul", x.name, x.name), x.name)
        inner = w.add("Add", x.name, w.add("Mul", w.number(0.044715, x.dtype), cube))
        share = w.add("Tanh", w.add("Mul", w.number(np.sqrt(2 / np.pi), x.dtype), inner))
    elif x.dtype == np.float64:
        raise TypeError("model: expected GELU('tanh') in float64, where ONNX Runtime has no erf, got GELU()")
    else:
        share = w.add("Erf", w.add("Mul", w.number(np.sqrt(0.5), x.dtype), x.name))
    return w.add("Mul", w.add("Mul", half, x.name), w.add("Add", one, share))


def _silu(w: SequenceWriter, layer: Any, x: Value, named: Mapping[str, str]) -> str:
    return w.add("Mul", x.name, w.add("Sigmoid", x.name))


# Layers with windows


def _windows(w: SequenceWriter, layer: Any, x: Value, arrays: Arrays) -> Value:
    windows, is_maximum = layer.windows, isinstance(layer, layers.MaxPool1d)
    steps = w.turned(w.where_real(w.turned(x.name), x, layer._fill)) if x.ends else x.name
    if isinstance(layer, layers.Conv1d) and x.dtype == np.float32:
        name = _convolution(w, layer, steps, arrays)
    else:
        pieces = _pieces(w, windows, steps, w.number(layer._fill, x.dtype))
        if is_maximum:
            name = w.add("Max", *pieces)
        elif isinstance(layer, layers.Conv1d):
            name = _products(w, layer, pieces, arrays)
        else:
            name = w.add("Div", _sum(w, pieces), w.number(windows.size, x.dtype))
    leading = tuple(f"{axis}_of_{name}" if axis.startswith("time") else axis for axis in x.leading)
    y = x.made(name, layer._gives)._replace(leading=leading)
    if x.ends is None:
        return y
    return w.zero_past_ends(y._replace(ends=w.ends_of(_counts(w, windows, x.ends.lengths), name)))


def _counts(w: SequenceWriter, windows: Any, lengths: str) -> str:
    """Return how many windows sequences of such lengths have."""
    zero, stride = w.number(0, np.int64), w.number(windows.stride, np.int64)
    more = w.number(windows.before + windows.after - windows.span + windows.stride, np.int64)
    counts = w.add("Div", w.add("Max", w.add("Add", lengths, more), zero), stride)
    return w.add("Where", w.add("Greater", lengths, zero), counts, zero)


def _convolution(w: SequenceWriter, layer: Any, steps: str, arrays: Arrays) -> str:
    windows = layer.windows
    x = w.add("Transpose", steps, perm=[0, 2, 1] if w.batch_first else [1, 2, 0])
    named = [w.constant(arrays[name], name) for name in ("weight", "bias") if name in arrays]
    y = w.add(
        "Conv",
        x,
        *named,
        strides=[windows.stride],
        dilations=[windows.dilation],
        pads=[windows.before, windows.after],
        group=layer.groups,
    )
    return w.add("Transpose", y, perm=[0, 2, 1] if w.batch_first else [2, 0, 1])


def _pieces(w: SequenceWriter, windows: Any, steps: str, fill: str) -> list[str]:
    """Return for each place in a window the steps that all windows have there."""
    pads = np.zeros((2, 3), np.int64)
    pads[:, w.time] = windows.before, windows.after
    padded = w.add("Pad", steps, w.whole(*pads.ravel().tolist()), fill)
    pieces = []
    for first in range(0, windows.span, windows.dilation):
        behind = first + 1 - windows.span
        ends = w.whole(behind or END)
        pieces.append(w.add("Slice", padded, w.whole(first), ends, w.whole(w.time), w.whole(windows.stride)))
    return pieces


def _products(w: SequenceWriter, layer: Any, pieces: Sequence[str], arrays: Arrays) -> str:
    """Write a convolution as the sum of products, as ONNX Runtime has none in float64."""
    weight, groups = arrays["weight"], layer.groups  # (out, in / groups, places)
    whole = np.zeros((layer.in_channels, layer.out_channels, len(pieces)), weight.dtype)
    for rows, columns, part in zip(
        np.split(np.arange(layer.in_channels), groups),
        np.split(np.arange(layer.out_channels), groups),
        np.split(weight, groups),
        strict=True,
    ):
        whole[np.ix_(rows, columns)] = part.swapaxes(0, 1)
    terms = [w.add("MatMul", piece, w.constant(whole[..., k], "weight")) for k, piece in enumerate(pieces)]
    y = _sum(w, terms)
    return w.add("Add", y, w.constant(arrays["bias"], "bias")) if layer.bias else y


def _sum(w: SequenceWriter, names: Sequence[str]) -> str:
    return reduce(lambda one, other: w.add("Add", one, other), names)


# Readouts, from steps (T, B, n)


def _last_step(
    w: SequenceWriter, layer: Any, x: str, value: Value, directions: Directions | None, arrays: Arrays
) -> str:
    """Write the step that each direction visits last."""
    halves = w.split(x, 2 if directions == "both" else 1, axis=2)
    ends = [
        (_first if backward else _last)(w, half, value)
        for half, backward in zip(halves, (directions == "reverse", True), strict=False)
    ]
    return ends[0] if len(ends) == 1 else w.add("Concat", *ends, axis=1)


def _torch_last_step(
    w: SequenceWriter, layer: Any, x: str, value: Value, directions: Directions | None, arrays: Arrays
) -> str:
    return _last(w, x, value)


def _first(w: SequenceWriter, x: str, value: Value) -> str:
    return w.where_some(w.add("Gather", x, w.number(0, np.int64), axis=0), value)


def _last(w: SequenceWriter, x: str, value: Value) -> str:
    if value.ends is None:
        return w.add("Gather", x, w.number(-1, np.int64), axis=0)
    last = w.add("Sub", value.ends.lengths, w.number(1, np.int64))
    at = w.unsqueeze(w.add("Equal", value.ends.steps, last), 2)
    return w.total(w.add("Where", at, x, w.number(0, value.dtype)), 0)


def _mean(
    w: SequenceWriter, layer: Any, x: str, value: Value, directions: Directions | None, arrays: Arrays
) -> str:
    if value.ends is None:
        return w.add("ReduceMean", x, axes=[0], keepdims=0)
    steps = w.add("Max", value.ends.lengths, w.number(1, np.int64))
    count = w.unsqueeze(w.add("Cast", steps, to=number_of(value.dtype)), 1)
    return w.add("Div", w.total(w.where_real(x, value, 0), 0), count)


def _maximum(
    w: SequenceWriter, layer: Any, x: str, value: Value, directions: Directions | None, arrays: Arrays
) -> str:
    return w.where_some(w.add("ReduceMax", w.where_real(x, value, -np.inf), axes=[0], keepdims=0), value)


def _attention(
    w: SequenceWriter, layer: Any, x: str, value: Value, directions: Directions | None, arrays: Arrays
) -> str:
    steps = w.where_real(x, value, 0)
    scores = w.add("MatMul", steps, w.constant(arrays["weight"].T, "weight"))
    real = w.where_real(scores, value, float(np.finfo(value.dtype).min))
    most = w.add("ReduceMax", real, axes=[0], keepdims=1)
    shares = w.where_real(w.add("Exp", w.add("Sub", scores, most)), value, 0)
    total = w.total(shares, 0)
    weighted = w.total(w.add("Mul", steps, shares), 0)
    if value.ends is not None:
        total = w.add("Where", value.ends.some, total, w.number(1, value.dtype))
    return w.add("Div", weighted, total)


# Layers that join several


def _joined(kind: str) -> Callable[[SequenceWriter, list[Value]], Value]:
    def write(w: SequenceWriter, given: list[Value]) -> Value:
        names = [value.name for value in given]
        return given[0].made(reduce(lambda one, other: w.add(kind, one, other), names))

    return write


def _concat(w: SequenceWriter, given: list[Value]) -> Value:
    sizes = [value.size for value in given]
    known = [size for size in sizes if isinstance(size, int)]
    name = w.add("Concat", *(value.name for value in given), axis=-1)
    return given[0].made(name, sum(known) if len(known) == len(sizes) else f"numbers_of_{name}")


LAYERS: Mapping[type[Any], Callable[..., str]] = {
    layers.BatchNorm1d: _batch_norm,
    layers.Dropout: lambda w, layer, x, named: x.name,
    layers.ELU: _elu,
    layers.GELU: _gelu,
    layers.GroupNorm: _group_norm,
    layers.LayerNorm: _layer_norm,
    layers.LeakyReLU: _leaky_relu,
    layers.Linear: _linear,
    layers.LogSoftmax: _of_numbers("LogSoftmax"),
    layers.ReLU: _of_numbers("Relu"),
    layers.SiLU: _silu,
    layers.Sigmoid: _of_numbers("Sigmoid"),
    layers.Softmax: _of_numbers("Softmax"),
    layers.Tanh: _of_numbers("Tanh"),
}
READOUTS: Mapping[type[Any], Callable[..., str]] = {
    layers.AttentionPool: _attention,
    layers.LastStep: _last_step,
    layers.MaxOverTime: _maximum,
    layers.MeanOverTime: _mean,
    layers.TorchLastStep: _torch_last_step,
}
JOINTS: Mapping[type[Any], Callable[[SequenceWriter, list[Value]], Value]] = {
    layers.Add: _joined("Add"),
    layers.Concat: _concat,
    layers.Multiply: _joined("Mul"),
}
WINDOWS = (layers.AvgPool1d, layers.Conv1d, layers.MaxPool1d)
KNOWN: tuple[type[Any], ...] = (layers.Embedding, *LAYERS, *READOUTS, *JOINTS, *WINDOWS)
