"""OpenVINO, on the ONNX model, with bound memory."""

from __future__ import annotations

import itertools

import numpy as np
import openvino

from ..cells import Cell
from ..inputs import Array, Inputs
from ..libraries import Way
from .onnx_model import feeds, new_model, state_names, y_shape

Tensors = dict[str, openvino.Tensor]


class OpenVino:
    def __init__(self, threads: int) -> None:
        self._core = openvino.Core()
        self._options = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }

    def ways(self, cell: Cell, inputs: Inputs) -> dict[str, Way]:
        model = self._core.read_model(new_model(cell, inputs))
        options = self._options | ({"INFERENCE_PRECISION_HINT": "bf16"} if cell.precision else {})
        return {"infer": _infer(self._core.compile_model(model, "CPU", options), cell, inputs)}


def _infer(compiled: openvino.CompiledModel, cell: Cell, inputs: Inputs) -> Way:
    """Bind everything ahead; a carried state goes to and fro between two requests."""
    fed = {name: _new_tensor(array) for name, array in feeds(cell, inputs).items()}
    out = {name: _new_tensor(array) for name, array in feeds(cell, inputs).items()}
    y = _new_tensor(np.zeros(y_shape(cell), inputs.x.dtype))

    def request(source: Tensors, target: Tensors) -> openvino.InferRequest:
        bound = compiled.create_infer_request()
        bound.set_tensor("x", fed["x"])
        bound.set_tensor("y", y)
        for first, final in state_names(cell):
            bound.set_tensor(first, source[first])
            bound.set_tensor(final, target[first])
        return bound

    to_and_fro = [request(fed, out), request(out, fed)]
    requests = itertools.cycle(to_and_fro if cell.carried else to_and_fro[:1])

    def call():
        next(requests).infer(share_outputs=True)
        return y

    return Way(call, lambda y: {"y": y.data.reshape(cell.T, cell.B, -1)})


def _new_tensor(array: Array) -> openvino.Tensor:
    """Return a copy, in OpenVINO's own memory."""
    tensor = openvino.Tensor(openvino.Type(array.dtype), openvino.Shape(array.shape))
    tensor.data[:] = array
    return tensor
