"""Variants against ONNX Runtime's LSTM, GRU and RNN: every attribute that both have, with random weights."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import distance

import fastlstm

onnx = pytest.importorskip("onnx", reason="needs onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")

ONNX_NAMES = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "affine": "Affine",
    "leaky_relu": "LeakyRelu",
    "thresholded_relu": "ThresholdedRelu",
    "scaled_tanh": "ScaledTanh",
    "hard_sigmoid": "HardSigmoid",
    "elu": "Elu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}
ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
"""ONNX's order of gates, by their places in ours."""


def reordered(array, kind, axis=0):
    parts = np.split(array, len(ORDER[kind]), axis=axis)
    return np.concatenate([parts[k] for k in ORDER[kind]], axis=axis)


def session_of(kind, H, arrays, attributes):
    """Return an ONNX Runtime session of one node, whose inputs but X are `arrays`."""
    names = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
    inputs = ["X", *(name if arrays.get(name) is not None else "" for name in names[1:])]
    node = onnx.helper.make_node(
        kind,
        inputs if kind == "LSTM" else inputs[:6],
        ["Y", "Y_h", *(["Y_c"] if kind == "LSTM" else [])],
        hidden_size=H,
        **attributes,
    )
    graph = onnx.helper.make_graph(
        [node],
        "one",
        [onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, [None, None, None])],
        [onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items() if array is not None],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def onnx_y(model, kind, x, lengths):
    """Return ONNX Runtime's y of a model of one layer and direction."""
    w = {name.removesuffix("_l0"): array for name, array in model.parameters.items()}
    weights = {name: w[f"weight_{ours}"] for name, ours in (("W", "ih"), ("R", "hh"))}
    biases = [w["bias_ih"], w["bias_hh"]]
    peephole = w.get("weight_ch")
    if getattr(model, "input_forget", False):  # ONNX has rows for f, and reads them not
        H = model.hidden_size
        weights = {name: np.concatenate([a[:H], a[:H], a[H:]]) for name, a in weights.items()}
        biases = [np.concatenate([a[:H], a[:H], a[H:]]) for a in biases]
        if peephole is not None:
            peephole = np.concatenate([peephole[:H], peephole[:H], peephole[H:]])
    arrays = {name: reordered(array, kind)[None] for name, array in weights.items()}
    arrays["B"] = np.concatenate([reordered(bias, kind) for bias in biases])[None]
    if peephole is not None:
        p_i, p_f, p_o = np.split(peephole, 3)
        arrays["P"] = np.concatenate([p_i, p_o, p_f])[None]
    arrays["sequence_lens"] = lengths.astype(np.int32)
    attributes = {"direction": "reverse" if model.reverse else "forward"}
    if model.clip:
        attributes["clip"] = model.clip
    if kind == "GRU":
        attributes["linear_before_reset"] = int(model.reset_after)
    if getattr(model, "input_forget", False):
        attributes["input_forget"] = 1
    if model.activations:
        attributes["activations"] = [ONNX_NAMES[name] for name, _, _ in model.activations]
        # ONNX Runtime takes from the lists only for the functions that have an alpha, or a beta.
        attributes["activation_alpha"] = [alpha for name, alpha, _ in model.activations if name in WITH_ALPHA]
        attributes["activation_beta"] = [beta for name, _, beta in model.activations if name in WITH_BETA]
    attributes = {name: value for name, value in attributes.items() if value != []}
    session = session_of(kind, model.hidden_size, arrays, attributes)
    return session.run(["Y"], {"X": x})[0][:, 0]


WITH_ALPHA = {"affine", "leaky_relu", "thresholded_relu", "scaled_tanh", "hard_sigmoid", "elu"}
WITH_BETA = {"affine", "scaled_tanh", "hard_sigmoid"}
FUNCTIONS = [
    name if name not in WITH_ALPHA else (name, 0.4, 0.3) if name in WITH_BETA else (name, 0.4)
    for name in ONNX_NAMES
]
GATES = ["sigmoid", ("hard_sigmoid", 0.3, 0.5)]


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@settings(max_examples=60)
@given(data=st.data())
def test_against_onnx_runtime(kind, data):
    draw = data.draw
    options = {
        "reverse": draw(st.booleans()),
        "clip": draw(st.sampled_from([None, 0.3, 1.0])),
    }
    if kind == "LSTM":
        options["peepholes"], options["input_forget"] = draw(st.booleans()), draw(st.booleans())
    if kind == "GRU":
        options["reset_after"] = draw(st.booleans())
    if draw(st.booleans()):
        count = {"LSTM": 3, "GRU": 2, "RNN": 1}[kind]
        gates = GATES if options.get("input_forget") else FUNCTIONS
        options["activations"] = [draw(st.sampled_from(gates if k == 0 else FUNCTIONS)) for k in range(count)]
    T, B, H = draw(st.integers(1, 6)), draw(st.integers(1, 4)), draw(st.integers(1, 20))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    model = getattr(fastlstm, kind)(3, H, rng=seed, **options)
    model.update({name: rng.uniform(-0.7, 0.7, a.shape) for name, a in model.parameters.items()})
    x, lengths = rng.standard_normal((T, B, 3)).astype("f"), rng.integers(1, T + 1, B)
    with np.errstate(all="ignore"):
        y, _ = model(x, lengths=lengths)
        assume(np.abs(y).max() < 100)  # gates without bounds may grow without bounds
    assert distance(y, onnx_y(model, kind, x, lengths)) <= 1e-5
