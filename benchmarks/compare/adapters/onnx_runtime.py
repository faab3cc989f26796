"""ONNX Runtime, called with arrays or with bound memory."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic

from ..cells import Cell
from ..inputs import Array, Inputs
from ..libraries import Way
from .onnx_model import feeds, new_model, state_names, y_shape

Values = dict[str, onnxruntime.OrtValue]


class OnnxRuntime:
    def __init__(self, threads: int) -> None:
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.inter_op_num_threads = 1

    def ways(self, cell: Cell, inputs: Inputs) -> dict[str, Way]:
        model = new_model(cell, inputs)
        if cell.precision:
            by_kind = {"per tensor": _quantized(model, False), "per channel": _quantized(model, True)}
        else:
            by_kind = {"": model}
        ways = {}
        for kind, bytes_of_model in by_kind.items():
            session = onnxruntime.InferenceSession(
                bytes_of_model, self._options, providers=["CPUExecutionProvider"]
            )
            ways[f"run {kind}"] = _run(session, cell, inputs)
            ways[f"io_binding {kind}"] = _io_binding(session, cell, inputs)
        return ways


def _quantized(model: bytes, per_channel: bool) -> bytes:
    """Return the model with DynamicQuantizeLSTM in the place of LSTM."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "int8.onnx")
        kind = QuantType.QInt8 if per_channel else QuantType.QUInt8
        quantize_dynamic(onnx.load_from_string(model), path, per_channel=per_channel, weight_type=kind)
        return path.read_bytes()


def _run(session: onnxruntime.InferenceSession, cell: Cell, inputs: Inputs) -> Way:
    firsts, finals = zip(*state_names(cell), strict=True)
    fed = feeds(cell, inputs)

    def call():
        y, *states = session.run(("y", *finals), fed)
        if cell.carried:
            fed.update(zip(firsts, states, strict=True))
        return y

    return Way(call, lambda y: {"y": y.reshape(cell.T, cell.B, -1)})


def _io_binding(session: onnxruntime.InferenceSession, cell: Cell, inputs: Inputs) -> Way:
    """Bind everything ahead; a carried state goes to and fro between two sets of memory."""
    fed = {name: _new_value(array) for name, array in feeds(cell, inputs).items()}
    out = {name: _new_value(array) for name, array in feeds(cell, inputs).items()}
    y = _new_value(np.zeros(y_shape(cell), inputs.x.dtype))

    def binding(source: Values, target: Values) -> onnxruntime.IOBinding:
        bound = session.io_binding()
        bound.bind_ortvalue_input("x", fed["x"])
        bound.bind_ortvalue_output("y", y)
        for first, final in state_names(cell):
            bound.bind_ortvalue_input(first, source[first])
            bound.bind_ortvalue_output(final, target[first])
        return bound

    to_and_fro = [binding(fed, out), binding(out, fed)]
    bindings = itertools.cycle(to_and_fro if cell.carried else to_and_fro[:1])

    def call():
        session.run_with_iobinding(next(bindings))
        return y

    return Way(call, lambda y: {"y": y.numpy().reshape(cell.T, cell.B, -1)})


def _new_value(array: Array) -> onnxruntime.OrtValue:
    """Return a copy; a value made from an array directly may share its memory, and not keep it alive."""
    value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype.type)
    value.update_inplace(array)
    return value
