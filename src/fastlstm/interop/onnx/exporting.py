"""Models as graphs of ONNX."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from ...files.whole import write_whole
from ...model.cells import one_of
from ...model.checks import as_boolean, as_path
from ...model.graph import INPUT, Graph
from ...model.layered import Layered
from ...model.parameters import Parameterised
from ...model.precision import INT8, scale_name, widened
from ...model.recurrent import Recurrent
from ...model.sequential import Sequential
from ...model.wiring import AnyLayer, Wiring
from . import layer_nodes
from .recurrent_nodes import RecurrentNodes
from .sequence_writer import SequenceWriter, Value
from .writer import typed

Array = NDArray[Any]

LENGTHS = "lengths"


def export(
    model: AnyLayer | Sequential | Graph,
    path: str | os.PathLike[str] | None = None,
    *,
    lengths: bool = False,
    state: bool = False,
) -> ModelProto:
    """Return a model as a graph of ONNX, and write it to a file if there is a path, whole or not at all.

    Batch and time have any size. Inputs are `x`, laid out as the model has it, int64 for an `Embedding`; and
    as asked for, `lengths` and states. Outputs are `y`, or those of a `Graph` that has several by their
    names; and, of recurrent models or with `state`, final states.

    Parameters
    ----------
    model : LSTM, GRU, RNN, SLSTM, a layer of `fastlstm.layers`, Sequential or Graph
        A `CRF` stays outside: it reads what a model gives.
    path : str or path, optional
        By custom it ends in ".onnx".
    lengths : bool, default False
        Whether the graph has an input `lengths`, int32 (B,).
    state : bool, default False
        Whether it has the initial states as inputs, `h_0`, `c_0` and so on, of a `Sequential` or `Graph` with
        the layer's name before: `1.h_0`. Without, they are zeros, or what was learned.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    TypeError
        If an argument is something else, or a layer has no form in ONNX here.
    ValueError
        If the weights are more than a file of ONNX can hold, 2 GB; or an output of a `Graph` has the name
        of an input.
    OSError
        If the file can't be written.

    Notes
    -----
    It is the model in evaluation: what training drops is left out. Layers become nodes LSTM, GRU and
    RNN where ONNX has what they do; projections, layer normalisation, zoneout, `cell_clip`, float64 and
    sLSTMs become a Scan, a step of which is written out.

    An LSTM of int8 becomes ONNX Runtime's DynamicQuantizeLSTM, with the same weights. ONNX Runtime rounds x
    and h otherwise than this package, to 8 bits whatever `x_bits` says, so results differ by roundings.
    Other layers of int8, and LSTMs that the node can't have, become those of the floats that their weights
    stand for. Models of bfloat16 become those of float32.

    Examples
    --------
    >>> import fastlstm
    >>> from fastlstm.interop import onnx
    >>> graph = onnx.export(fastlstm.LSTM(3, 5), lengths=True).graph
    >>> [value.name for value in graph.input], [value.name for value in graph.output]
    (['x', 'lengths'], ['y', 'h_n', 'c_n'])
    """
    if not isinstance(model, Parameterised) and not isinstance(model, Layered):
        raise TypeError(f"model: expected {one_of('a layer', 'Sequential')}, got {type(model).__name__}")
    target = None if path is None else as_path(path, "path")
    made = _Export(model, as_boolean(lengths, "lengths"), as_boolean(state, "state")).made()
    if target is not None:
        write_whole(target, made.SerializeToString())
    return made


class _Export:
    """The graph of a model while it is written."""

    def __init__(self, model: Any, has_lengths: bool, takes_state: bool) -> None:
        if isinstance(model, Layered):
            self.wiring, self.prefixes = model._wiring, [f"{name}." for name in model._wiring.names]
        else:
            check_layer(model)
            self.wiring, self.prefixes = Wiring([model], ["0"], [(0,)], [1]), [""]
        for layer in self.wiring.layers:
            check_layer(layer)
        self.names = model.outputs if isinstance(model, Graph) and not model._one_output else ("y",)
        self.has_lengths = has_lengths
        self.takes_state = takes_state
        self.gives_state = takes_state or isinstance(model, Recurrent)
        self.w = SequenceWriter(self.wiring.batch_first)
        self.w.reserved.update((INPUT, LENGTHS, *self.names))
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        taken = {LENGTHS} & set(self.names) if has_lengths else set()
        if taken:
            raise ValueError(f"model: expected outputs with other names than inputs, got {taken.pop()!r}")

    def made(self) -> ModelProto:
        """Return the graph."""
        wiring, values = self.wiring, [self._input()]
        for layer, prefix, sources, directions in zip(
            wiring.layers, self.prefixes, wiring.sources, wiring.directions, strict=True
        ):
            read, arrays = [values[source] for source in sources], floats_of(layer.parameters)
            if isinstance(layer, Recurrent):
                values.append(self._recurrent(layer, read[0], arrays, prefix))
            else:
                values.append(layer_nodes.written(self.w, layer, read, directions, arrays, prefix))
        described = []
        for name, output in zip(self.names, wiring.outputs, strict=True):
            value = self.w.zero_past_ends(values[output])
            self.w.named(value.name, name)
            described.append(typed(name, value.dtype, value.shape))
        return self.w.model(self.inputs, [*described, *self.outputs])

    def _input(self) -> Value:
        """Return x, after what else the graph reads."""
        axes = ("batch", "time") if self.wiring.batch_first else ("time", "batch")
        if self.wiring.num_embeddings is not None:
            x = Value(INPUT, np.dtype(np.int64), axes, None)
        else:
            dtypes = (layer.dtype for layer in self.wiring.layers if hasattr(layer, "dtype"))
            dtype = np.dtype(next(dtypes, np.float32))
            x = Value(INPUT, dtype, axes, self.wiring.size or "numbers")
        self.inputs.append(typed(INPUT, x.dtype, x.shape))
        if not self.has_lengths:
            return x
        self.inputs.append(typed(LENGTHS, np.int32, ["batch"]))
        return x._replace(ends=self.w.ends_of(self.w.add("Cast", LENGTHS, to=7), INPUT))

    def _recurrent(self, model: Recurrent[Any], value: Value, arrays: Any, prefix: str) -> Value:
        nodes = RecurrentNodes(self.w, model, arrays, prefix)
        y, finals = nodes.written(self.w.cast(value, model.dtype), self.takes_state)
        self.inputs += nodes.inputs
        if self.gives_state:
            self.outputs += nodes.outputs(finals)
        return y


def check_layer(layer: Any) -> None:
    """Raise TypeError if a layer has no form in ONNX here."""
    if not isinstance(layer, Recurrent) and not layer_nodes.is_known(layer):
        known = one_of(*(kind.__name__ for kind in layer_nodes.KNOWN))
        raise TypeError(f"model: expected {known}, got {type(layer).__name__}")


def floats_of(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return a layer's parameters with the floats that whole numbers stand for."""
    scales = {scale_name(name) for name, array in arrays.items() if array.dtype == INT8}
    return {
        name: widened(array, arrays[scale_name(name)]) if array.dtype == INT8 else array
        for name, array in arrays.items()
        if name not in scales
    }
