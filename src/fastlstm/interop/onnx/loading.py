"""Graphs that are layers one after another, as models of this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from ...model.recurrent import Recurrent
from ...model.sequential import Sequential
from ...model.wiring import AnyLayer
from ..parts import (
    RECURRENT,
    Part,
    Told,
    embedding_part,
    linear_part,
    model_of,
    norm_part,
    part,
    untold,
)
from . import axes as lying
from .axes import ONE, UNTOLD, Axes
from .constants import Constants
from .loops import NotACell, RecurrentLoop
from .nodes import RecurrentNode, inputs_of, kind_of
from .operators import as_reals
from .protos import (
    DOMAINS,
    Source,
    attributes_of,
    check_nodes,
    inlined,
    names_checked,
    opset_of,
    parsed,
    read,
    shown,
)

NAME = "ONNX"

Array = NDArray[Any]

MOST_NODES = 20_000
"""Nodes that a graph may have: models have far fewer."""


def load(source: Source) -> AnyLayer | Sequential:
    """Return the model of an ONNX file whose graph is layers one after another.

    Parameters
    ----------
    source : path, bytes or onnx.ModelProto

    Returns
    -------
    LSTM, GRU, RNN, another layer or Sequential
        Recurrent nodes one on another are one model if they have the same options. The layout is that of the
        graph's input. Lengths and initial states that are inputs of the graph are arguments of the model.

    Raises
    ------
    TypeError
        If `source` is something else.
    ValueError
        If it is no ONNX model, or damaged, or has a node that can't be carried: the sentence names it.
    OSError
        If it can't be read.

    Notes
    -----
    Carried are Gather (as `Embedding`), LSTM, GRU and RNN, MatMul, Gemm and Add (as `Linear`),
    LayerNormalization, Tanh, Sigmoid, Relu, Softmax, LogSoftmax, and the last step, mean and maximum over
    time as readouts; and a Loop whose step is that of an LSTM, GRU or RNN, without a mask. The first output
    of the graph is the model's; others are left out.
    `accelerate` runs graphs that can't be carried.

    Examples
    --------
    >>> import fastlstm
    >>> from fastlstm.interop import onnx
    >>> onnx.load(onnx.export(fastlstm.LSTM(3, 5, num_layers=2)))
    LSTM(3, 5, num_layers=2, empty_state='zero')
    """
    return model_of(parts_in(read(source)))


def parts_of(content: bytes, told: Told, prefix: str, path: Path | None = None) -> list[Part]:
    """Return the layers of a file, as the readers of other formats do.

    What lies in files beside it is read if it has a path.
    """
    untold(told, prefix, "a graph, which says all itself")
    return parts_in(parsed(content, path))


def parts_in(model: ModelProto) -> list[Part]:
    """Return the layers of a model; ValueError if it is damaged, or has a node that can't be carried."""
    with names_checked():
        return _parts_of_graph(inlined(model).graph, opset_of(model))


def _parts_of_graph(graph: GraphProto, opset: int) -> list[Part]:
    if len(graph.node) > MOST_NODES:
        raise ValueError(f"model: expected at most {MOST_NODES} nodes, got {len(graph.node)}")
    check_nodes(graph, opset)
    constants = Constants(graph, opset=opset)
    loops = dict[str, RecurrentLoop]()
    start, nodes = chain_of(graph, constants, loops)
    reader = Reader(graph, constants, start, loops)
    for node in nodes:
        reader.read(node)
    return reader.layers()


def chain_of(
    graph: GraphProto, constants: Constants, loops: dict[str, RecurrentLoop]
) -> tuple[str, list[tuple[NodeProto, str]]]:
    """Return which input the graph's first output comes from, and the way there: nodes, and which output.

    Loops on the way are put among those that are given, by their names in sentences.
    """
    if not graph.output:
        raise ValueError("model: expected a graph with an output, got none")
    producers = {name: node for node in graph.node for name in node.output if name}
    name = graph.output[0].name
    way: list[tuple[NodeProto, str]] = []
    while name in producers and len(way) <= len(graph.node):
        node = producers[name]
        way.append((node, name))
        if node.op_type == "Loop":
            loops[shown(node)] = loop = as_layer(node, constants)
            name = loop.x
        else:
            name = data_of(node, constants)
    if name not in {value.name for value in graph.input}:
        raise ValueError(f"model: expected an output that is made of an input, got one of {name!r}")
    return name, way[::-1]


def as_layer(node: NodeProto, constants: Constants) -> RecurrentLoop:
    """Return a loop as the layer that it is; ValueError if it is none, or has a mask."""
    try:
        loop = RecurrentLoop(node, constants)
    except NotACell as reason:
        raise ValueError(
            f"{shown(node)}: expected a loop that is a layer, got another, as {reason}"
        ) from reason
    if loop.has_mask:
        refuse(node, "a loop without a mask, got one with it")
    return loop


def data_of(node: NodeProto, constants: Mapping[str, Array]) -> str:
    """Return the input of a node that isn't constant, or that a recurrent node runs over."""
    if kind_of(node) is not None:
        return inputs_of(node).get("X", "")
    if node.op_type in ("Reshape", "Slice", "Squeeze", "Unsqueeze") and node.input:
        return str(node.input[0])
    varied = [str(name) for name in node.input if name and name not in constants]
    if node.op_type == "Concat" and varied:
        return varied[-1]
    if len(varied) != 1:
        raise ValueError(f"{shown(node)}: expected one input that is not constant, got {len(varied)}")
    return varied[0]


class Reader:
    """The layers that the nodes so far became, and how the value lies that they give.

    Parameters
    ----------
    graph : GraphProto
    constants : Constants
    start : str
        The input of the graph that the first layer reads.
    loops : mapping of str to RecurrentLoop
        By their names in sentences.
    """

    def __init__(
        self, graph: GraphProto, constants: Constants, start: str, loops: Mapping[str, RecurrentLoop]
    ) -> None:
        self.loops = loops
        self.graph = graph
        self.constants = constants
        self.parts: list[Part] = []
        self.axes, self.reads_indices = _input_axes(graph, start)
        self.batch_first = False
        self.size = 0
        """How many numbers of each step or direction the value has; 0 where no node has told."""
        self.is_final = False
        """Whether the value is the final state of the last part."""
        self._beginning = self.axes
        self._stacked = 0
        self._has_lengths = False
        self._names = {value.name for value in graph.input}

    def read(self, step: tuple[NodeProto, str]) -> None:
        """Add what a node does."""
        node, output = step
        try:
            if kind_of(node) is not None:
                self._recurrent(node, output)
            elif node.op_type == "Loop":
                self._loop(node, output)
            elif node.domain in DOMAINS and node.op_type in HANDLERS:
                HANDLERS[node.op_type](self, node)
            else:
                refuse(node, "a node that is a layer of this package, got another")
        except (IndexError, KeyError, TypeError) as error:
            raise ValueError(f"{shown(node)}: expected its inputs and attributes, got {error!r}") from error

    def layers(self) -> list[Part]:
        """Return the layers, recurrent ones that are one on another as one."""
        if not self.parts:
            raise ValueError("model: expected a graph with layers, got one without")
        time = ("B", "T", "H") if self.batch_first else ("T", "B", "H")
        if self.axes not in (time, ("B", "H"), self._beginning, (*self._beginning, "H")):
            raise ValueError(f"model: expected an output with the axes {time} or ('B', 'H'), got {self.axes}")
        self._end_final()
        return stacked([self._laid_out(one) for one in self.parts])

    def _laid_out(self, one: Part) -> Part:
        if one.kind not in RECURRENT:
            return one
        return replace(one, arguments={**one.arguments, "batch_first": self.batch_first})

    def _add(self, made: Part, gives: int | None = None) -> None:
        self.constants.budget.take(sum(array.nbytes for array in made.arrays.values()), made.name)
        self._end_final()
        self.parts.append(made)
        self.size = gives or self.size

    def _end_final(self) -> None:
        """Add the readout that a final state is, before whatever reads it."""
        if self.is_final:
            self.is_final = False
            self._add(part("final state", "LastStep", {}, {}))

    @property
    def _last(self) -> Part | None:
        return next((one for one in reversed(self.parts) if one.kind in RECURRENT), None)

    # Layers

    def _recurrent(self, node: NodeProto, output: str) -> None:
        recurrent = RecurrentNode(node, self.constants, self.constants.budget, self.constants.packed)
        recurrent.leave_out_zeros(self.constants)
        models = recurrent.operator._models
        if len(models) != 1:
            expected = "weights that are constant" if not models else "the same functions in both directions"
            refuse(node, f"{expected}, got others")
        self._check_inputs(node, recurrent.inputs)
        (model,), layout = models, recurrent.operator.layout
        self._bind(node, bool(layout))
        self._add_model(node, model)
        directions = "D" if model.bidirectional else ONE
        place = recurrent.outputs.index(output)
        if place == 0:
            self.axes = ("B", "T", directions, "H") if layout else ("T", directions, "B", "H")
        elif place == 1:
            self.axes = ("B", directions, "H") if layout else (directions, "B", "H")
            self.is_final = True
        else:
            refuse(node, "an output of the graph that is made of h, got one made of c")

    def _add_model(self, node: NodeProto, model: Recurrent[Any]) -> None:
        kept = {name: getattr(model, name) for name in ("bias", "bidirectional")}
        arguments = {"input_size": model.input_size, "hidden_size": model.hidden_size, **kept}
        arguments |= {"dtype": model.dtype.name, **model.options()}
        self._add(Part(shown(node), model._kind, arguments, model.parameters), model.hidden_size)

    def _loop(self, node: NodeProto, output: str) -> None:
        """Add the layer that a loop is; a number of steps that is no constant is taken for that of x."""
        loop = self.loops[shown(node)]
        for name in (*loop.starts, *loop.numbers):
            if name in self.constants or (name in loop.starts and not self.constants.is_zero(name)):
                refuse(node, f"states of zeros and as many steps as x has, got {name!r}")
        what = loop.output(output)
        if what not in (0, "y"):
            refuse(node, "an output of the graph that is made of h, got another")
        self._bind(node, False)
        (model,) = loop.operator._models
        self._add_model(node, model)
        self.axes = ("T", "B", "H") if what == "y" else ("B", "H")
        self.is_final = what == 0

    def _check_inputs(self, node: NodeProto, inputs: Mapping[str, str]) -> None:
        """Refuse initial states and lengths that are made in the graph."""
        for ours, name in inputs.items():
            if ours == "sequence_lens":
                self._has_lengths = True
                if name not in self._names:
                    refuse(node, f"lengths that are an input of the graph, got {name!r}")
            elif ours != "X" and name not in self._names:
                refuse(node, f"an initial state of zeros, or an input of the graph, got {name!r}")

    def _bind(self, node: NodeProto, batch_first: bool) -> None:
        """Learn from a recurrent node which axis is time."""
        wanted: Axes = ("B", "T", "H") if batch_first else ("T", "B", "H")
        if self.axes[:2] in (UNTOLD, UNTOLD[::-1]) and self.axes[2:] == ("H",):
            self.batch_first = (self.axes[0] == UNTOLD[0]) == batch_first
            self._beginning = ()
            self.axes = wanted
        if self.axes != wanted:
            refuse(node, f"an input with the axes {wanted}, got {self.axes}")

    def _gather(self, node: NodeProto) -> None:
        axis = int(attributes_of(node).get("axis", 0))
        if node.input[0] in self.constants:
            table = as_reals(self.constants[node.input[0]], node.input[0])
            if axis or table.ndim != 2 or self.parts or not self.reads_indices:
                refuse(node, "a table whose rows the graph's input picks, got another")
            self._add(embedding_part(shown(node), table), table.shape[1])
            self.axes = (*self.axes, "H")
            return
        index, kind = self.constants[node.input[1]], self.axes[axis]
        if index.ndim > 1 or index.size != 1:
            refuse(node, f"one index, got {index.size}")
        self._pick(node, kind, self.constants.whole(node.input[1])[0])
        left = (ONE,) if index.ndim else ()
        place = axis % len(self.axes)
        self.axes = (*self.axes[:place], *left, *self.axes[place + 1 :])

    def _pick(self, node: NodeProto, axis: str, index: int) -> None:
        """Take one of an axis: the only one, the last layer's state, or the last step."""
        if axis == ONE and index in (0, -1):
            return
        if axis == "L" and index in (-1, self._stacked - 1):
            return
        if axis != "T":
            refuse(node, f"an index of a step, got one of axis {axis}")
        last = self._last
        if last is None or last.arguments["bidirectional"] or self._has_lengths:
            refuse(node, "a step of one direction without lengths, got another")
        if index != (0 if last.arguments.get("reverse") else -1):
            refuse(node, f"the step that is visited last, got step {index}")
        self._add(part(shown(node), "LastStep", {}, {}))

    def _slice(self, node: NodeProto) -> None:
        starts, ends, axes, steps = (
            self.constants.whole(name) if name else None for name in [*node.input, "", ""][1:5]
        )
        if starts is None or ends is None or len(starts) != 1 or len(ends) != 1:
            refuse(node, "one axis that is cut, got others")
        place = (0 if axes is None else axes[0]) % len(self.axes)
        (start,), (end,) = starts, ends
        if not (start == -1 and end > 1 << 30) and not (start == 0 and end == 1):
            refuse(node, f"the first or last step, got {start}:{end}")
        if steps not in (None, [1]):
            refuse(node, f"steps of one, got {steps}")
        self._pick(node, self.axes[place], start)
        self.axes = (*self.axes[:place], ONE, *self.axes[place + 1 :])

    def _concat(self, node: NodeProto) -> None:
        if not self.is_final or attributes_of(node).get("axis") != 0 or self.axes[0] != ONE:
            refuse(node, "final states of one direction, one on another, got others")
        self.axes = ("L", *self.axes[1:])
        self._stacked = len(node.input)

    def _reduce(self, node: NodeProto) -> None:
        told = attributes_of(node)
        places = self.constants.whole(node.input[1]) if len(node.input) > 1 else told["axes"]
        if len(places) != 1 or self.axes[places[0]] != "T" or self._has_lengths:
            refuse(node, "time without lengths to be reduced, got another axis or lengths")
        kind = "MeanOverTime" if node.op_type == "ReduceMean" else "MaxOverTime"
        self._add(part(shown(node), kind, {}, {}))
        place = places[0] % len(self.axes)
        left = (ONE,) if told.get("keepdims", 1) else ()
        self.axes = (*self.axes[:place], *left, *self.axes[place + 1 :])

    def _matmul(self, node: NodeProto) -> None:
        if node.input[1] not in self.constants:
            refuse(node, "weights on the right, got them on the left")
        self._linear(node, as_reals(self.constants[node.input[1]], node.input[1]).T, None)

    def _gemm(self, node: NodeProto) -> None:
        told = attributes_of(node)
        if told.get("transA", 0) or any(told.get(name, 1.0) != 1.0 for name in ("alpha", "beta")):
            refuse(node, "neither transA nor alpha nor beta, got some")
        weight = as_reals(self.constants[node.input[1]], node.input[1])
        bias = self.constants[node.input[2]] if len(node.input) > 2 and node.input[2] else None
        self._linear(node, weight if told.get("transB", 0) else weight.T, bias)

    def _linear(self, node: NodeProto, weight: Array, bias: Array | None) -> None:
        if weight.ndim != 2 or not self.axes or self.axes[-1] != "H":
            refuse(node, f"a matrix over the last axis, got {weight.ndim} axes over {self.axes}")
        if bias is not None:
            bias = self._as_vector(node, bias, len(weight), weight.dtype)
        self._add(linear_part(shown(node), weight, bias), len(weight))

    def _bias(self, node: NodeProto) -> None:
        below = self.parts[-1] if self.parts else None
        if below is None or below.kind != "Linear" or below.arguments["bias"] or self.is_final:
            refuse(node, "a bias right after a product, got another sum")
        (name,) = (name for name in node.input if name in self.constants)
        weight = below.arrays["weight"]
        bias = self._as_vector(node, self.constants[name], len(weight), weight.dtype)
        self.parts[-1] = linear_part(below.name, weight, bias)

    def _as_vector(self, node: NodeProto, array: Array, size: int, dtype: Any) -> Array:
        """Return a constant that is added to each step as a vector."""
        vector = as_reals(array, "bias", dtype)
        if vector.size == 1:
            vector = np.full(size, vector.reshape(()), dtype)
        if vector.shape[-1:] != (size,) or vector.size != size:
            refuse(node, f"a bias of {size} numbers, got shape {vector.shape}")
        return vector.reshape(size)

    def _layer_norm(self, node: NodeProto) -> None:
        told = attributes_of(node)
        weight = as_reals(self.constants[node.input[1]], node.input[1])
        has_bias = len(node.input) > 2 and node.input[2]
        bias = self.constants[node.input[2]] if has_bias else None
        self._check_last(node, int(told.get("axis", -1)))
        if weight.ndim != 1:
            refuse(node, f"weights for the last axis, got {weight.ndim} axes")
        if bias is not None:
            bias = self._as_vector(node, bias, len(weight), weight.dtype)
        eps = float(told.get("epsilon", 1e-5))
        eps = 1e-5 if np.float32(eps) == np.float32(1e-5) else eps  # attributes are float32
        self._add(norm_part(shown(node), weight, bias, len(weight), eps), len(weight))

    def _activation(self, node: NodeProto) -> None:
        if node.op_type in ("Softmax", "LogSoftmax"):
            self._check_last(node, int(attributes_of(node).get("axis", -1)))
        self._add(part(shown(node), {"Relu": "ReLU"}.get(node.op_type, node.op_type), {}, {}))

    def _check_last(self, node: NodeProto, axis: int) -> None:
        if not self.axes or self.axes[-1] != "H" or axis not in (-1, len(self.axes) - 1):
            refuse(node, f"the last axis, got {axis} of {self.axes}")

    # Where the axes go

    def _transpose(self, node: NodeProto) -> None:
        order = attributes_of(node).get("perm") or range(len(self.axes))[::-1]
        self._set(node, lying.transposed(self.axes, order))

    def _squeeze(self, node: NodeProto) -> None:
        self._set(node, lying.squeezed(self.axes, self._places(node)))

    def _unsqueeze(self, node: NodeProto) -> None:
        self._set(node, lying.unsqueezed(self.axes, self._places(node) or []))

    def _places(self, node: NodeProto) -> list[int] | None:
        """Return the axes that a node names, which older ones have as an attribute."""
        if len(node.input) > 1:
            return self.constants.whole(node.input[1])
        return attributes_of(node).get("axes")

    def _reshape(self, node: NodeProto) -> None:
        name = node.input[1]
        if name in self.constants:
            shape: Sequence[int | None] = self.constants.whole(name)
        else:  # sizes one after another, of which some are calculated
            made = self.constants.producer(name)
            if made is None or made.op_type != "Concat":
                refuse(node, "a shape that is constant, got another")
            shape = []
            for part in made.input:
                shape += self.constants.whole(part) if part in self.constants else [None]
        self._set(node, lying.reshaped(self.axes, shape, (2, self.size)))

    def _flatten(self, node: NodeProto) -> None:
        if attributes_of(node).get("axis", 1) != 1:
            refuse(node, "the axes after the first, got others")
        self._set(node, lying.reshaped(self.axes, [0, -1], (2, self.size)))

    def _set(self, node: NodeProto, axes: Axes | None) -> None:
        if axes is None:
            refuse(node, f"axes moved, or those of directions joined, got another cut of {self.axes}")
        if "D" in self.axes and "D" not in axes:
            self.size *= 2
        self.axes = axes

    def _same(self, node: NodeProto) -> None:
        """Do nothing, as a node that drops nothing or casts does."""
        kinds = {TensorProto.FLOAT, TensorProto.DOUBLE}
        if self.reads_indices and not self.parts:
            kinds = {TensorProto.INT32, TensorProto.INT64}
        if node.op_type == "Cast" and attributes_of(node)["to"] not in kinds:
            refuse(node, "a cast to numbers of the same kind, got another")


HANDLERS: dict[str, Callable[[Reader, NodeProto], None]] = {
    "Add": Reader._bias,
    "Cast": Reader._same,
    "Concat": Reader._concat,
    "Dropout": Reader._same,
    "Flatten": Reader._flatten,
    "Gather": Reader._gather,
    "Gemm": Reader._gemm,
    "Identity": Reader._same,
    "LayerNormalization": Reader._layer_norm,
    "LogSoftmax": Reader._activation,
    "MatMul": Reader._matmul,
    "ReduceMax": Reader._reduce,
    "ReduceMean": Reader._reduce,
    "Relu": Reader._activation,
    "Reshape": Reader._reshape,
    "Sigmoid": Reader._activation,
    "Slice": Reader._slice,
    "Softmax": Reader._activation,
    "Squeeze": Reader._squeeze,
    "Tanh": Reader._activation,
    "Transpose": Reader._transpose,
    "Unsqueeze": Reader._unsqueeze,
}


def stacked(parts: Sequence[Part]) -> list[Part]:
    """Return the parts with recurrent ones that are one on another, and alike, as one of several layers."""
    found: list[Part] = []
    for one in parts:
        below = found[-1] if found else None
        if below is not None and _goes_on(below, one):
            layer = below.arguments.get("num_layers", 1)
            arrays = {name.replace("_l0", f"_l{layer}"): array for name, array in one.arrays.items()}
            arguments = {**below.arguments, "num_layers": layer + 1}
            found[-1] = replace(below, arguments=arguments, arrays={**below.arrays, **arrays})
        else:
            found.append(one)
    return found


def _goes_on(below: Part, one: Part) -> bool:
    own, others = (
        {name: value for name, value in part.arguments.items() if name not in ("input_size", "num_layers")}
        for part in (one, below)
    )
    return one.kind in RECURRENT and (below.kind, others) == (one.kind, own)


def _input_axes(graph: GraphProto, name: str) -> tuple[Axes, bool]:
    """Return the axes of an input of the graph, and whether it is indices."""
    kind = next(value for value in graph.input if value.name == name).type.tensor_type
    integers = kind.elem_type in (TensorProto.INT64, TensorProto.INT32)
    rank = len(kind.shape.dim) if kind.HasField("shape") else 2 if integers else 3
    if integers and rank == 2:
        return UNTOLD, True
    if not integers and rank in (2, 3):
        return (*UNTOLD, "H") if rank == 3 else ("B", "H"), False
    raise ValueError(f"{name}: expected an input of indices or vectors for each step, got {rank} axes")


def refuse(node: NodeProto, sentence: str) -> NoReturn:
    """Raise the ValueError that names a node."""
    raise ValueError(f"{shown(node)}: expected {sentence}")
