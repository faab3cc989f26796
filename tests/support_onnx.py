"""Graphs of ONNX for the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
OPSET = 17


def node_of(kind, arrays, attributes, outputs=None, domain=""):
    """Return a node whose inputs are named as ONNX names them; those that are not in `arrays` are empty."""
    inputs = [name if name in arrays else "" for name in (INPUTS if kind == "LSTM" else INPUTS[:6])]
    outputs = outputs or ["Y", "Y_h", "Y_c"][: 3 if kind == "LSTM" else 2]
    return onnx.helper.make_node(kind, inputs, outputs, name=kind.lower(), domain=domain, **attributes)


def typed(name, dtype, shape=None):
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return onnx.helper.make_tensor_value_info(name, kind, shape)


def model_of(nodes, inputs, outputs, constants=(), opset=OPSET, domains=()):
    """Return a model; `inputs` and `outputs` are value infos, `constants` arrays by name."""
    graph = onnx.helper.make_graph(
        nodes,
        "graph",
        inputs,
        outputs,
        [onnx.numpy_helper.from_array(array, name) for name, array in dict(constants).items()],
    )
    opsets = [onnx.helper.make_opsetid("", opset), *(onnx.helper.make_opsetid(name, 1) for name in domains)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


def weights_of(kind, directions, I, H, rng, peepholes=False, dtype="f") -> dict[str, Any]:  # noqa: E741
    """Return random weights of a node, with both biases."""
    G = GATES[kind]
    shapes = {"W": (G * H, I), "R": (G * H, H), "B": (2 * G * H,)}
    if peepholes:
        shapes["P"] = (3 * H,)
    return {
        name: rng.uniform(-0.7, 0.7, (directions, *shape)).astype(dtype) for name, shape in shapes.items()
    }


def session_of(model):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
