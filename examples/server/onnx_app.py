"""The same service with ONNX Runtime inside, to be compared: sequences only, each run by itself.

It serves the model of the same settings, which must be an LSTM that runs forward in time, as an ONNX graph of
one LSTM node a layer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
from bodies import Inputs
from onnx import TensorProto, helper, numpy_helper
from sequences import REFUSALS, sequences_route
from settings import Settings
from starlette.applications import Starlette

from fastlstm import LSTM

OPSET, IR_VERSION = 17, 8


def as_onnx(lstm: LSTM) -> bytes:
    """Return an LSTM as an ONNX model from x (T, 1, I) to y (T, 1, H)."""
    nodes, constants, below = [], [numpy_helper.from_array(np.array([1]), "directions")], "x"
    for layer in range(lstm.num_layers):
        weights = layer_weights(lstm, layer)
        constants += [numpy_helper.from_array(array, name) for name, array in weights.items()]
        apart, y = f"apart_{layer}", "y" if layer == lstm.num_layers - 1 else f"y_{layer}"
        nodes.append(helper.make_node("LSTM", [below, *weights], [apart], hidden_size=lstm.hidden_size))
        nodes.append(helper.make_node("Squeeze", [apart, "directions"], [y]))
        below = y
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["T", 1, size])
        for name, size in (("x", lstm.input_size), ("y", lstm.hidden_size))
    ]
    graph = helper.make_graph(nodes, "lstm", ends[:1], ends[1:], constants)
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString()


def layer_weights(lstm: LSTM, layer: int) -> dict[str, np.ndarray]:
    """Return W, R and B of a layer, with gates in ONNX's order."""

    def iofc(name: str) -> np.ndarray:
        i, f, g, o = np.split(lstm.parameters[f"{name}_l{layer}"], 4)
        return np.concatenate([i, o, f, g])[None]

    biases = np.concatenate([iofc("bias_ih"), iofc("bias_hh")], axis=1)
    return {f"W_{layer}": iofc("weight_ih"), f"R_{layer}": iofc("weight_hh"), f"B_{layer}": biases}


def create_app(settings: Settings) -> Starlette:
    """Return the service."""
    model = settings.load_model()
    if not isinstance(model, LSTM) or model.bidirectional or model.proj_size or not model.bias:
        raise ValueError(f"model: expected a plain LSTM that runs forward in time, got {model!r}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # as many sequences at a time as there are cores
    session = onnxruntime.InferenceSession(as_onnx(model), options, providers=["CPUExecutionProvider"])
    threads = ThreadPoolExecutor(os.cpu_count())

    def run(x: np.ndarray) -> np.ndarray:
        (y,) = session.run(None, {"x": x[:, None]})
        return y[:, 0]

    def answer(x: np.ndarray) -> Awaitable[np.ndarray]:
        return asyncio.get_running_loop().run_in_executor(threads, run, x)

    routes = [sequences_route(Inputs.of(model), settings, answer)]
    return Starlette(routes=routes, exception_handlers=REFUSALS)


app = create_app(Settings.from_environment())
