"""ONNX's recurrent operators beside ONNX Runtime's: all attributes, inputs and outputs; random weights."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support import distance

onnx = pytest.importorskip("onnx", reason="needs onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from support_onnx import model_of, node_of, session_of, typed, weights_of  # noqa: E402

from fastlstm.interop.onnx import GRU, LSTM, RNN, DynamicQuantizeLSTM  # noqa: E402
from fastlstm.interop.onnx.nodes import RecurrentNode  # noqa: E402
from fastlstm.interop.onnx.operators import of_int8  # noqa: E402

KINDS = {"LSTM": LSTM, "GRU": GRU, "RNN": RNN}
FUNCTIONS = {"LSTM": 3, "GRU": 2, "RNN": 1}
NAMES = ["Tanh", "Sigmoid", "Softsign", "HardSigmoid", "ScaledTanh", "Affine", "LeakyRelu", "Elu", "Relu"]
ALPHA = {"HardSigmoid", "ScaledTanh", "Affine", "LeakyRelu", "Elu"}
BETA = {"HardSigmoid", "ScaledTanh", "Affine"}


def expected(kind, arrays, attributes, x):
    """Return all that ONNX Runtime gives."""
    node = node_of(kind, {"X": x, **arrays}, attributes)
    outputs = [typed(name, x.dtype) for name in node.output]
    model = model_of([node], [typed("X", x.dtype, x.shape)], outputs, arrays)
    return session_of(model).run(None, {"X": x})


def ours(kind, arrays, attributes, x):
    node = node_of(kind, {"X": x, **arrays}, attributes)
    return list(RecurrentNode(node, arrays).run({"X": x, **arrays}).values())


@st.composite
def cases(draw, kind):
    direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    D = 2 if direction == "bidirectional" else 1
    attributes = {"direction": direction, "hidden_size": draw(st.integers(1, 9))}
    clip = draw(st.sampled_from([None, 0.3, 2.0]))
    if clip:
        attributes["clip"] = clip
    if kind == "GRU":
        attributes["linear_before_reset"] = draw(st.integers(0, 1))
    coupled = kind == "LSTM" and draw(st.booleans())
    if coupled:
        attributes["input_forget"] = 1
    if draw(st.booleans()):
        gates = ["Sigmoid"] if coupled else NAMES
        each = FUNCTIONS[kind]
        names = [draw(st.sampled_from(gates if k % each == 0 else NAMES)) for k in range(D * each)]
        attributes["activations"] = names
        if any(name in ALPHA for name in names):
            attributes["activation_alpha"] = [0.1 * k + 0.2 for k, name in enumerate(names) if name in ALPHA]
        if any(name in BETA for name in names):
            attributes["activation_beta"] = [0.1 * k + 0.3 for k, name in enumerate(names) if name in BETA]
    T, B, I = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 4))  # noqa: E741
    H = attributes["hidden_size"]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    arrays = weights_of(kind, D, I, H, rng, kind == "LSTM" and draw(st.booleans()))
    if not draw(st.booleans()):
        del arrays["B"]
    if draw(st.booleans()):
        arrays["sequence_lens"] = rng.integers(0, T + 1, B).astype(np.int32)
    if draw(st.booleans()):
        arrays["initial_h"] = rng.standard_normal((D, B, H)).astype("f")
    if kind == "LSTM" and draw(st.booleans()):
        arrays["initial_c"] = rng.standard_normal((D, B, H)).astype("f")
    return attributes, arrays, rng.standard_normal((T, B, I)).astype("f")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data())
def test_against_onnx_runtime(kind, data):
    attributes, arrays, x = data.draw(cases(kind))
    theirs = expected(kind, arrays, attributes, x)
    assume(all(np.abs(array).max(initial=0) < 30 for array in theirs))  # functions without bounds may grow
    for mine, other in zip(ours(kind, arrays, attributes, x), theirs, strict=True):
        assert distance(mine, other) <= 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_layout_1_is_the_same_with_batches_first(kind):
    rng = np.random.default_rng(0)
    weights = weights_of(kind, 2, 3, 5, rng)
    x, lengths = rng.standard_normal((4, 3, 3)).astype("f"), [4, 0, 2]
    start = {"initial_h": rng.standard_normal((2, 3, 5)).astype("f")}
    if kind == "LSTM":
        start["initial_c"] = rng.standard_normal((2, 3, 5)).astype("f")
    plain = KINDS[kind](**weights, direction="bidirectional")(x, lengths, **start)
    turned = KINDS[kind](**weights, direction="bidirectional", layout=1)(
        x.swapaxes(0, 1), lengths, **{name: array.swapaxes(0, 1) for name, array in start.items()}
    )
    assert turned[0].shape == (3, 4, 2, 5)
    np.testing.assert_array_equal(turned[0], plain[0].transpose(2, 0, 1, 3))
    for one, other in zip(turned[1:], plain[1:], strict=True):
        np.testing.assert_array_equal(one, other.swapaxes(0, 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("functions", ["the same", "others"])
def test_weights_that_come_with_each_call(kind, functions):
    rng = np.random.default_rng(0)
    names = ["Tanh"] * FUNCTIONS[kind] + ["Sigmoid" if functions == "others" else "Tanh"] * FUNCTIONS[kind]
    operator = KINDS[kind](direction="bidirectional", activations=names)
    for I, H in [(3, 4), (3, 4), (2, 5)]:  # noqa: E741
        weights = weights_of(kind, 2, I, H, rng)
        x = rng.standard_normal((3, 2, I)).astype("f")
        held = KINDS[kind](**weights, direction="bidirectional", activations=names)
        for one, other in zip(operator(x, **weights), held(x), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_results_are_of_the_dtype_of_x(dtype):
    weights = weights_of("GRU", 1, 3, 4, np.random.default_rng(0), dtype=dtype)
    results = GRU(**weights)(np.ones((2, 2, 3), dtype))
    assert {array.dtype.name for array in results} == {dtype}
    if dtype == "float64":
        exact = GRU(**weights)(np.ones((2, 2, 3)))[0]
        rounded = GRU(**{name: array.astype("f") for name, array in weights.items()})(np.ones((2, 2, 3), "f"))
        assert 0 < distance(rounded[0], exact) < 1e-6


@pytest.mark.parametrize(
    ("attributes", "weights", "sentence"),
    [
        (
            {"direction": "sideways"},
            {},
            "direction: expected 'forward', 'reverse' or 'bidirectional', got 'sid",
        ),
        ({"hidden_size": 0}, {}, "hidden_size: expected an integer of at least 1, got 0"),
        ({"layout": 2}, {}, "layout: expected 0 or 1, got 2"),
        ({"clip": -1.0}, {}, "clip: expected a number above 0, got -1.0"),
        ({"activations": ["Tanh"]}, {}, "activations: expected 3 functions, got 1"),
        ({"activations": ["Tanh", "Sine", "Tanh"]}, {}, r"activations\[1\]: expected one of sigmoid, "),
        ({"zoneout": 1}, {}, "zoneout: expected attributes of LSTM, got unknown names"),
        ({"hidden_size": 4}, {}, "W: expected 4 rows for each of 4 units, got 20 rows"),
        ({"direction": "bidirectional"}, {}, r"W: expected shape \(D, G\*H, I\) with D=2, got \(1, 20, 3\)"),
        ({}, {"R": (1, 20, 4)}, r"R: expected shape \(1, 20, 5\), as ONNX has no projection of h, got"),
        ({}, {"R": (1, 20, 6)}, r"R: expected shape \(1, 20, 5\), got \(1, 20, 6\)"),
        ({}, {"B": (1, 20)}, r"B: expected shape \(1, 40\), got \(1, 20\)"),
        ({}, {"P": (1, 20)}, r"P: expected shape \(1, 15\), got \(1, 20\)"),
        (
            {"input_forget": 1, "activations": ["Tanh"] * 3},
            {},
            r"activations: expected a gate whose f\(-x\) is 1 - f\(x\) with input_forget=True, got tanh",
        ),
    ],
)
def test_what_is_not_as_onnx_has_it_is_refused(attributes, weights, sentence):
    arrays = {"W": np.ones((1, 20, 3), "f"), "R": np.ones((1, 20, 5), "f")}
    arrays |= {name: np.ones(shape, "f") for name, shape in weights.items()}
    with pytest.raises(ValueError, match=f"^{sentence}"):
        LSTM(**arrays, **attributes)


def test_calls_that_do_not_fit_are_refused():
    weights = weights_of("GRU", 1, 3, 4, np.random.default_rng(0))
    x = np.ones((2, 2, 3), "f")
    with pytest.raises(ValueError, match=r"^X: expected shape \(T, B, I\), got \(2, 3\)"):
        GRU(**weights)(x[0])
    with pytest.raises(ValueError, match=r"^initial_h: expected shape \(1, 2, 4\), got \(2, 4\)"):
        GRU(**weights)(x, initial_h=np.ones((2, 4), "f"))
    with pytest.raises(ValueError, match=r"^W: expected no weights where the operator has its own"):
        GRU(**weights)(x, **weights)
    with pytest.raises(ValueError, match=r"^W: expected W and R where the operator has no weights"):
        GRU()(x)
    with pytest.raises(ValueError, match=r"^lengths: "):
        GRU(**weights)(x, sequence_lens=[3, 1])


def quantised(floats, dtype, each, zero):
    """Return weights of 8 bits, as converters make them, and their scales and zero points."""
    arrays = {}
    for name in ("W", "R"):
        turned = floats[name].swapaxes(1, 2)
        axis = 1 if each else (1, 2)
        if zero == "middle":
            scale = np.abs(turned).max(axis=axis) / 127
            zeros = np.full(scale.shape, 128 if dtype == "uint8" else 0)
        else:  # the whole range, as unsigned weights mostly have it
            least, most = turned.min(axis=axis), turned.max(axis=axis)
            scale = (most - least) / 255
            zeros = np.round(-least / scale) + (0 if dtype == "uint8" else -128)
        shape = (len(turned), 1, -1)
        info = np.iinfo(dtype)
        numbers = np.clip(np.round(turned / scale.reshape(shape)) + zeros.reshape(shape), info.min, info.max)
        arrays[name] = numbers.astype(dtype)
        arrays |= {f"{name}_scale": scale.astype("f"), f"{name}_zero_point": zeros.astype(dtype)}
    return arrays


def spread(errors):
    return float(np.sqrt(np.mean(errors**2)))


@pytest.mark.parametrize("zero", ["middle", "anywhere"])
@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_quantised_lstm_is_as_near_the_floats_as_onnx_runtime(dtype, each, zero):
    rng = np.random.default_rng(0)
    T, B, I, H = 50, 3, 32, 64  # noqa: E741
    floats = {name: array / 4 for name, array in weights_of("LSTM", 2, I, H, rng).items()}
    arrays = {"B": floats["B"], **quantised(floats, dtype, each, zero)}
    x = rng.standard_normal((T, B, I)).astype("f")
    inputs = [name if name in ("X", *arrays) else "" for name in DynamicQuantizeLSTM.INPUTS]
    node = onnx.helper.make_node(
        "DynamicQuantizeLSTM",
        inputs,
        ["Y", "Y_h", "Y_c"],
        domain="com.microsoft",
        direction="bidirectional",
        hidden_size=H,
    )
    outputs = [typed(name, "f") for name in node.output]
    model = model_of([node], [typed("X", "f", x.shape)], outputs, arrays, domains=["com.microsoft"])
    recurrent = RecurrentNode(node, arrays)
    assert [model.precision for model in recurrent.operator._models] == ["int8"]
    mine = recurrent.run({"X": x})["Y"]
    exact, *_ = LSTM(**floats, direction="bidirectional")(x)
    assert spread(mine - exact) < 0.003
    if not each or zero == "middle":  # ONNX Runtime wants one zero point for all rows
        theirs, *_ = session_of(model).run(None, {"X": x})
        assert spread(mine - exact) < spread(theirs - exact)
        assert spread(mine - theirs) < 0.005


def test_weights_of_int8_stay_as_they_are_where_they_can():
    rng = np.random.default_rng(0)
    numbers = rng.integers(-127, 128, (1, 3, 20)).astype(np.int8)
    scale = rng.uniform(0.01, 0.1, (1, 20)).astype("f")
    kept, own = of_int8(numbers, scale, None, "W")
    np.testing.assert_array_equal(kept, numbers.swapaxes(1, 2))
    np.testing.assert_array_equal(own, scale)
    numbers[0, 1, 4] = -128
    kept, own = of_int8(numbers, scale, None, "W")
    changed = (kept != numbers.swapaxes(1, 2)).any(axis=2)[0]
    assert changed[4]
    assert changed.sum() == 1
    error = kept[0, 4] * own[0, 4] - numbers[0, :, 4] * scale[0, 4]
    assert np.abs(error).max() <= own[0, 4] / 2 * 1.001


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"W": np.ones((1, 3, 20), "f")},
            "W: expected an array of int8 or uint8 with three axes, got float32 of",
        ),
        (
            {"W_scale": np.ones(3, "f")},
            r"W_scale: expected 1 numbers, or 20 for each of them, got shape",
        ),
        ({"W_zero_point": np.zeros(3, np.int8)}, r"W_zero_point: expected shape \(1,\), got \(3,\)"),
        ({"R_zero_point": np.zeros(1, np.uint8)}, "R_zero_point: expected int8, got uint8"),
        ({"R_scale": np.full(1, np.nan, "f")}, "R_scale: expected finite numbers, got "),
        ({"R": None}, "W: expected weights and scales that are constant, got others"),
    ],
)
def test_quantised_weights_that_do_not_fit_are_refused(change, sentence):
    arrays = {"W": np.ones((1, 3, 20), np.int8), "R": np.ones((1, 5, 20), np.int8)}
    arrays |= {"W_scale": np.ones(1, "f"), "R_scale": np.ones(1, "f")} | change
    with pytest.raises(ValueError, match=f"^{sentence}"):
        DynamicQuantizeLSTM(**arrays)


def test_nodes_with_empty_inputs_and_outputs():
    rng = np.random.default_rng(0)
    weights = weights_of("LSTM", 1, 3, 4, rng)
    x = rng.standard_normal((2, 2, 3)).astype("f")
    node = onnx.helper.make_node("LSTM", ["X", "W", "R", "", "", "", ""], ["", "", "c"], hidden_size=4)
    results = RecurrentNode(node, weights).run({"X": x})
    assert list(results) == ["c"]
    np.testing.assert_array_equal(results["c"], LSTM(weights["W"], weights["R"])(x)[2])


def test_a_damaged_node_is_named():
    node = onnx.helper.make_node("GRU", ["X", "W", "R"], ["Y"], name="second", hidden_size=-3)
    with pytest.raises(ValueError, match=r"^GRU 'second': hidden_size: expected an integer of at least 1"):
        RecurrentNode(node, {})
