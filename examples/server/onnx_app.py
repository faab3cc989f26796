"""The same service with ONNX Runtime inside, for comparison: only the endpoint for whole sequences.

uvicorn --factory onnx_app:create_app
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import app as fastlstm_app
import bodies
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from settings import Settings
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import fastlstm

IOFC = [0, 3, 1, 2]
"""ONNX's order of the gates i, f, g, o."""


def onnx_model(model: fastlstm.Sequential) -> bytes:
    """Return an LSTM and a Linear as ONNX."""
    lstm, linear = model.layers
    assert isinstance(lstm, fastlstm.LSTM)
    H = lstm.hidden_size
    weights = model.state_dict()

    def gates(name: str) -> np.ndarray:
        array = weights[f"0.{name}_l0"]
        return np.concatenate([array.reshape(4, H, *array.shape[1:])[k] for k in IOFC])

    constants = {
        "W": gates("weight_ih")[None],
        "R": gates("weight_hh")[None],
        "B": np.concatenate([gates("bias_ih"), gates("bias_hh")])[None],
        "V": weights["1.weight"].T,
        "b": weights["1.bias"],
        "direction": np.array([1]),
    }
    graph = helper.make_graph(
        [
            helper.make_node("LSTM", ["x", "W", "R", "B"], ["h"], hidden_size=H),
            helper.make_node("Squeeze", ["h", "direction"], ["rows"]),
            helper.make_node("MatMul", ["rows", "V"], ["products"]),
            helper.make_node("Add", ["products", "b"], ["y"]),
        ],
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", "B", lstm.input_size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["T", "B", linear.out_features])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def create_app() -> Starlette:
    """Return the service: each sequence by itself, as many at once as there are processors."""
    settings = Settings.from_environment()
    model = fastlstm_app.load_model(settings.model)
    features = model.layers[0].input_size
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx_model(model), options, providers=["CPUExecutionProvider"])
    threads = ThreadPoolExecutor(fastlstm.get_num_threads())

    async def sequences(request: Request) -> Response:
        x = bodies.sequence(request, await bodies.read(request, settings.max_body), features)
        loop = asyncio.get_running_loop()
        (y,) = await loop.run_in_executor(threads, session.run, None, {"x": x[:, None]})
        return bodies.response(request, y[:, 0])

    async def health(request: Request) -> Response:
        return Response(bodies.as_json({"status": "ok"}), media_type=bodies.JSON)

    return Starlette(
        routes=[Route("/v1/sequences", sequences, methods=["POST"]), Route("/healthz", health)],
        exception_handlers={HTTPException: fastlstm_app.refused},
    )
