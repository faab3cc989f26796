"""Files that converters write (golden/onnx/make.py): `accelerate` and `load` give what the model gave."""

import copy
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs onnx")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from support_onnx import session_of  # noqa: E402

import fastlstm  # noqa: E402
from fastlstm.interop.onnx import accelerate  # noqa: E402
from fastlstm.interop.onnx import session as sessions  # noqa: E402

FOLDER = Path(__file__).parent / "golden" / "onnx"
with np.load(FOLDER / "results.npz") as _file:
    RESULTS = dict(_file)

NAMES = sorted(path.stem for path in FOLDER.glob("*.onnx") if "projected" not in path.stem)
LOADED = {
    "keras_gru": "GRU(3, 4, batch_first=True)",
    "keras_gru_before": "GRU(3, 4, batch_first=True, reset_after=False)",
    "keras_lstm": "LSTM(3, 4, batch_first=True)",
    "keras_lstm_last": "Sequential(LSTM(3, 4, batch_first=True), LastStep())",
    "keras_rnn": "RNN(3, 4, batch_first=True)",
    "torch_gru": "GRU(3, 4, batch_first=True)",
    "torch_gru_2": "GRU(3, 4, batch_first=True)",
    "torch_no_bias": "LSTM(3, 4, bias=False, batch_first=True)",
}
TAGGER = "LSTM(3, 4, num_layers=2, batch_first=True, bidirectional=True)"
LOADED |= dict.fromkeys(
    ("torch_tagger", "torch_tagger_2"), f"Sequential(Embedding(9, 3), {TAGGER}, Linear(8, 2))"
)
REFUSED = {
    "keras_both_gru": "ReverseSequence '.*': expected one input that is not constant, got 2",
    "keras_both_gru_summed": "Add '.*': expected one input that is not constant, got 2",
    "keras_both_summed": "Add '.*': expected one input that is not constant, got 2",
    "keras_masked": "Loop '.*': expected a loop without a mask, got one with it",
    "keras_masked_gru": "Loop '.*': expected a loop without a mask, got one with it",
}


@pytest.fixture(autouse=True)
def cut(monkeypatch):
    """Let small graphs be cut, too, which the runtime alone runs faster."""
    monkeypatch.setattr(sessions, "LEAST_WORK", 0.0)


def x_of(name):
    return RESULTS["indices_masked" if "masked" in name else "indices" if "tagger" in name else "x"]


def expected(name):
    return RESULTS[name.removesuffix("_2")]


def test_each_file_is_here():
    assert {*LOADED, *REFUSED} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_accelerated(name):
    session = accelerate(FOLDER / f"{name}.onnx")
    assert session.report
    assert all(sentence.endswith(": fastlstm") for sentence in session.report), session.report
    (x,) = session.get_inputs()
    np.testing.assert_allclose(session.run(None, {x.name: x_of(name)})[0], expected(name), atol=1e-6)


@pytest.mark.parametrize("name", LOADED)
def test_loaded(name):
    model = fastlstm.load(FOLDER / f"{name}.onnx")
    assert repr(model).replace(", empty_state='zero'", "") == LOADED[name]
    y = model(x_of(name))
    np.testing.assert_allclose(y[0] if isinstance(y, tuple) else y, expected(name), atol=1e-6)


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_loaded_is_named(name):
    with pytest.raises(
        ValueError, match=rf"^path: expected layers that fastlstm has, .*\({REFUSED[name]}\)$"
    ):
        fastlstm.load(FOLDER / f"{name}.onnx")


def test_a_projected_lstm_of_pytorchs_exporter_is_named():
    """It writes neither the projection nor the right weights: only the size of c tells."""
    path = FOLDER / "torch_projected_2.onnx"
    sentence = "initial_c: expected 2 numbers for each sequence, as ONNX has no projection of h, got 4"
    with pytest.raises(ValueError, match=sentence):
        fastlstm.load(path)
    assert sentence in accelerate(path).report[0]


def loop_in(model):
    return next(node for node in model.graph.node if node.op_type == "Loop")


def body_node(model, kind, place=0):
    body = next(one.g for one in loop_in(model).attribute if one.name == "body")
    return [node for node in body.node if node.op_type == kind][place]


def relu_for_tanh(model):
    body_node(model, "Tanh").op_type = "Relu"


def another_gate(model):
    body_node(model, "Sub").op_type = "Add"


def a_bound(model):
    body_node(model, "Tanh").op_type = "Clip"


def twice_as_fast(model):
    add = body_node(model, "Add")
    two = onnx.numpy_helper.from_array(np.array(2, "i4"), add.input[1])
    body = next(one.g for one in loop_in(model).attribute if one.name == "body")
    (one,) = (tensor for tensor in body.initializer if tensor.name == add.input[1])
    one.CopyFrom(two)


@pytest.mark.parametrize("change", [relu_for_tanh, another_gate, a_bound, twice_as_fast])
def test_a_loop_that_is_no_such_layer_is_left_whole(change):
    model = onnx.load(FOLDER / "keras_gru.onnx")
    change(model)
    session = accelerate(model)
    assert "the runtime, whole, with no recurrent node inside, as " in session.report[0]
    (given,) = session_of(model).run(None, {"x": RESULTS["x"]})
    np.testing.assert_allclose(session.run(None, {"x": RESULTS["x"]})[0], given, atol=1e-6)


def test_a_loop_without_a_number_of_steps_is_left_whole():
    model = onnx.load(FOLDER / "keras_gru.onnx")
    loop_in(model).input[0] = ""
    session = accelerate(model)
    assert session.report[0].endswith("as it has no number of steps, or carries too much")
    (y,) = session.run(None, {"x": RESULTS["x"]})
    np.testing.assert_allclose(y, expected("keras_gru"), atol=1e-6)


def test_a_loop_of_fewer_steps_than_x_has_runs_whole():
    model = onnx.load(FOLDER / "keras_gru.onnx")
    loop = loop_in(model)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(3), "three"))
    loop.input[0] = "three"
    session = accelerate(copy.deepcopy(model))
    assert session.report[0].endswith(": fastlstm")
    (y,) = session.run(None, {"x": RESULTS["x"]})
    assert y.shape == (2, 3, 4)
    np.testing.assert_allclose(y, expected("keras_gru")[:, :3], atol=1e-6)
