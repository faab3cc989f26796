"""`export`: ONNX's checker passes, and ONNX Runtime gives what the model gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import distance

onnx = pytest.importorskip("onnx", reason="needs onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from support_onnx import session_of  # noqa: E402

import fastlstm  # noqa: E402
from fastlstm.interop.onnx import export, load  # noqa: E402

I, H = 3, 6  # noqa: E741
FUNCTIONS = [
    "tanh",
    "sigmoid",
    "relu",
    ("affine", 0.3, 0.2),
    ("leaky_relu", 0.2),
    ("thresholded_relu", 0.3),
    ("scaled_tanh", 0.7, 0.8),
    ("hard_sigmoid", 0.3, 0.4),
    ("elu", 0.6),
    "softsign",
    "softplus",
]
INT8 = "DynamicQuantizeLSTM"
TOLERANCE = {"float32": 1e-5, "float64": 1e-7}
"""In float64 no better, as the epsilon of a norm is an attribute, of float32."""


def check(model, lengths=False, state=False, T=4, B=3, seed=0):
    """Assert that ONNX Runtime gives what the model gives."""
    made = export(model, lengths=lengths, state=state)
    onnx.checker.check_model(made, full_check=True)
    rng = np.random.default_rng(seed)
    recurrent = model._recurrent
    dtype = recurrent[0].dtype if recurrent else np.dtype("f")
    feeds, told = {}, {}
    leading = (B, T) if model.batch_first else (T, B)
    if model.reads_indices:
        feeds["x"] = rng.integers(0, model.num_embeddings, leading)
    else:
        feeds["x"] = rng.standard_normal((*leading, model.input_size or 5)).astype(dtype)
    if lengths:
        told["lengths"] = rng.integers(0, T + 1, B)
        feeds["lengths"] = told["lengths"].astype(np.int32)
    states = []
    prefixes = [
        f"{place}." if isinstance(model, fastlstm.Sequential) else ""
        for place, layer in enumerate(getattr(model, "layers", [model]))
        if layer in recurrent
    ]
    for prefix, layer in zip(prefixes, recurrent, strict=True):
        count = layer.num_layers * layer.directions
        parts = [rng.uniform(0.1, 0.9, (count, B, size)).astype(layer.dtype) for size in layer._state_sizes]
        states.append(parts[0] if len(parts) == 1 else tuple(parts))
        if state:
            names = [f"{prefix}{name}_0" for name in layer._cell.states]
            feeds |= dict(zip(names, parts, strict=True))
    given_state = (states if isinstance(model, fastlstm.Sequential) else states[0]) if state else None
    if recurrent or model.has_readout:
        y, final = model.run(feeds["x"], given_state, **told)
    else:
        y, final = model(feeds["x"]), ()
    session = session_of(made)
    names = [value.name for value in session.get_outputs()]
    results = dict(zip(names, session.run(None, feeds), strict=True))
    tolerance = TOLERANCE[dtype.name]
    if any(isinstance(layer, fastlstm.SLSTM) for layer in recurrent):
        tolerance *= 100  # h is a quotient of sums, which may both be small
    assert distance(results.pop("y"), y) <= tolerance
    if results:
        by_layer = final if isinstance(model, fastlstm.Sequential) else [final]
        flat = [part for one in by_layer for part in (one if isinstance(one, tuple) else (one,))]
        for theirs, ours in zip(results.values(), flat, strict=True):
            assert distance(theirs, ours) <= tolerance
    return made


def kinds_in(made):
    return {node.op_type for node in made.graph.node}


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN", "SLSTM"])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_recurrent_models(kind, data):
    draw = data.draw
    options = {
        "num_layers": draw(st.integers(1, 2)),
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
        "heads": draw(st.sampled_from([1, 1, 2])),
        "learn_state": draw(st.booleans()),
        "empty_state": draw(st.sampled_from(["initial", "zero"])),
        "dtype": draw(st.sampled_from(["float32", "float32", "float64"])),
    }
    if options["bidirectional"]:
        options["merge"] = draw(st.sampled_from(["concat", "sum", "mean", "mul"]))
    else:
        options["reverse"] = draw(st.booleans())
    if kind == "SLSTM":
        options["forget_gate"] = draw(st.sampled_from(["sigmoid", "exp"]))
    else:
        options["clip"] = draw(st.sampled_from([None, 0.4]))
        options["zoneout"] = draw(st.sampled_from([0.0, 0.0, 0.3]))
        if draw(st.booleans()):
            count = {"LSTM": 3, "GRU": 2, "RNN": 1}[kind]
            options["activations"] = [draw(st.sampled_from(FUNCTIONS)) for _ in range(count)]
    if kind == "GRU":
        options["reset_after"] = draw(st.booleans())
    if kind == "RNN" or options.get("reset_after"):
        options["layer_norm"] = draw(st.booleans())
        if options["layer_norm"]:
            options["heads"] = 1
    if kind == "LSTM":
        form = draw(
            st.sampled_from(["plain", "peepholes", "input_forget", "cell_clip", "proj_size", "layer_norm"])
        )
        if form in ("peepholes", "input_forget"):
            options[form] = True
            options["zoneout"] = (options["zoneout"], 0.0)
            if form == "input_forget":
                options["activations"] = ["sigmoid", "softsign", "tanh"]
        elif form == "cell_clip":
            options[form] = 0.3
        elif form == "proj_size":
            options |= {"proj_size": 4, "heads": 1, "zoneout": 0.0}
        elif form == "layer_norm":
            options |= {"layer_norm": True, "heads": 1, "zoneout": 0.0, "clip": None, "activations": None}
    seed = draw(st.integers(0, 2**32 - 1))
    model = getattr(fastlstm, kind)(I, H, rng=seed, **options)
    rng = np.random.default_rng(seed)
    model.update({name: rng.uniform(-0.4, 0.4, a.shape) for name, a in model.parameters.items()})
    check(model, lengths=draw(st.booleans()), state=draw(st.booleans()), seed=seed)


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda told: [
            fastlstm.Embedding(7, I, rng=0),
            fastlstm.LSTM(I, H, bidirectional=True, rng=1, **told),
            fastlstm.LayerNorm(2 * H),
            fastlstm.LastStep(),
            fastlstm.Linear(2 * H, 4, rng=2),
            fastlstm.Softmax(),
        ],
        lambda told: [
            fastlstm.Linear(I, H, rng=0),
            fastlstm.ReLU(),
            fastlstm.GRU(H, H, reverse=True, rng=1, **told),
            fastlstm.Dropout(0.5),
            fastlstm.LSTM(H, H, rng=2, proj_size=4, **told),
            fastlstm.MeanOverTime(),
            fastlstm.Tanh(),
        ],
        lambda told: [fastlstm.RNN(I, H, nonlinearity="relu", rng=0, **told), fastlstm.MaxOverTime()],
        lambda told: [
            fastlstm.GRU(I, H, reverse=True, rng=0, **told),
            fastlstm.LastStep(),
            fastlstm.LogSoftmax(),
        ],
        lambda told: [fastlstm.SLSTM(I, H, rng=0, **told), fastlstm.Linear(H, 2, rng=1), fastlstm.Sigmoid()],
    ],
)
def test_sequentials(make, batch_first, state, lengths):
    check(fastlstm.Sequential(*make({"batch_first": batch_first})), lengths, state)


def batch_norm(dtype):
    rng = np.random.default_rng(0)
    numbers = {name: rng.uniform(0.5, 2, H) for name in ("weight", "bias", "running_mean", "running_var")}
    return fastlstm.BatchNorm1d(H, dtype=dtype).update(numbers)


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "make",
    [
        lambda lstm, dtype: [
            lstm(I, H),
            batch_norm(dtype),
            fastlstm.Conv1d(H, 4, 2, padding=1, dtype=dtype, rng=0),
            fastlstm.LeakyReLU(0.2),
            fastlstm.SiLU(),
            fastlstm.TorchLastStep(),
        ],
        lambda lstm, dtype: [
            fastlstm.Conv1d(I, H, 3, padding="same", groups=3, dtype=dtype, rng=0),
            fastlstm.ELU(0.5),
            lstm(H, H, bidirectional=True),
            fastlstm.AttentionPool(2 * H, dtype=dtype, rng=2),
            fastlstm.GELU("tanh"),
        ],
        lambda lstm, dtype: [
            fastlstm.Conv1d(I, H, 2, padding="causal", dilation=2, dtype=dtype, rng=0),
            fastlstm.MaxPool1d(2, padding=1),
            lstm(H, H),
        ],
        lambda lstm, dtype: [lstm(I, H), fastlstm.AvgPool1d(2, 1), fastlstm.MeanOverTime()],
        lambda lstm, dtype: [lstm(I, H), fastlstm.GroupNorm(2, H, dtype=dtype), fastlstm.MaxOverTime()],
        lambda lstm, dtype: [lstm(I, H), fastlstm.GroupNorm(2, H, over_time=False, dtype=dtype)],
    ],
)
def test_layers_around_an_lstm(make, dtype, batch_first, lengths):
    def lstm(*sizes, **told):
        return fastlstm.LSTM(*sizes, batch_first=batch_first, dtype=dtype, rng=1, **told)

    check(fastlstm.Sequential(*make(lstm, dtype)), lengths)


@pytest.mark.parametrize("batch_first", [False, True])
def test_graphs(batch_first):
    model = fastlstm.Graph(
        {
            "lstm": fastlstm.LSTM(I, I, batch_first=batch_first, rng=0),
            "skip": (fastlstm.Add(), "x", "lstm"),
            "gated": (fastlstm.Multiply(), "skip", "x"),
            "beside": (fastlstm.Concat(), "gated", "lstm", "skip"),
            "tags": fastlstm.Linear(3 * I, 7, rng=0),
            "last": (fastlstm.LastStep(), "skip"),
        },
        outputs=["tags", "last"],
    )
    made = export(model, lengths=True, state=True)
    onnx.checker.check_model(made, full_check=True)
    session, rng = session_of(made), np.random.default_rng(0)
    x = rng.standard_normal((3, 4, I) if batch_first else (4, 3, I)).astype("f")
    h, c = rng.standard_normal((2, 1, 3, I)).astype("f")
    lengths = np.array([2, 4, 0])
    expected, ((h_n, _),) = model.run(x, [(h, c)], lengths=lengths)
    feeds = {"x": x, "lengths": lengths.astype("i4"), "lstm.h_0": h, "lstm.c_0": c}
    names = [value.name for value in session.get_outputs()]
    assert names == ["tags", "last", "lstm.h_n", "lstm.c_n"]
    results = dict(zip(names, session.run(None, feeds), strict=True))
    for name, y in (*expected.items(), ("lstm.h_n", h_n)):
        assert distance(results[name], y) <= 1e-6


def test_names_of_outputs_are_never_others():
    nodes = {"lstm_4": fastlstm.LSTM(I, H, rng=0), "lengths": (fastlstm.LastStep(), "lstm_4")}
    model = fastlstm.Graph(nodes, outputs=["lstm_4", "lengths"])
    onnx.checker.check_model(export(model), full_check=True)
    sentence = r"^model: expected outputs with other names than inputs, got 'lengths'"
    with pytest.raises(ValueError, match=sentence):
        export(model, lengths=True)


@pytest.mark.parametrize(
    ("make", "kinds"),
    [
        (lambda: fastlstm.LSTM(16, 32, 2, bidirectional=True, peepholes=True, rng=0), {INT8}),
        (lambda: fastlstm.LSTM(16, 32, batch_first=True, input_forget=True, rng=0), {INT8}),
        (lambda: fastlstm.LSTM(16, 32, heads=2, rng=0), {"LSTM"}),
        (lambda: fastlstm.LSTM(16, 32, proj_size=8, rng=0), {"Scan"}),
        (lambda: fastlstm.GRU(16, 32, rng=0), {"GRU"}),
        (
            lambda: fastlstm.Sequential(
                fastlstm.Embedding(50, 16, rng=0), fastlstm.LSTM(16, 32, rng=0), fastlstm.Linear(32, 5, rng=0)
            ),
            {INT8},
        ),
    ],
)
@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_fewer_bits(make, kinds, precision):
    model = fastlstm.quantize(make(), precision)
    made, rng = export(model, lengths=True), np.random.default_rng(0)
    onnx.checker.check_model(made, full_check=True)
    if precision == "int8":
        assert kinds == kinds_in(made) & {"LSTM", "GRU", "DynamicQuantizeLSTM", "Scan"}
    leading = (3, 20) if model.batch_first else (20, 3)
    x = rng.standard_normal((*leading, 16)).astype("f")
    if model.reads_indices:
        x = rng.integers(0, 50, leading)
    lengths = np.array([20, 5, 0])
    theirs = session_of(made).run(None, {"x": x, "lengths": lengths.astype("i4")})[0]
    y = model.run(x, lengths=lengths)[0]
    assert distance(theirs, y) <= (0.03 if precision == "int8" else 0.01)


def test_whole_numbers_come_back_as_they_were():
    model = fastlstm.quantize(fastlstm.LSTM(5, 7, 2, bidirectional=True, rng=0), "int8")
    again = load(export(model))
    assert repr(again).replace(", empty_state='zero'", "") == repr(model)
    for name, array in model.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], array)
    x = np.random.default_rng(0).standard_normal((6, 2, 5)).astype("f")
    np.testing.assert_array_equal(again(x)[0], model(x)[0])


@pytest.mark.parametrize(
    "layer",
    [
        fastlstm.GELU(),
        fastlstm.Conv1d(5, 2, 2, rng=0),
        fastlstm.Linear(5, 2, rng=0),
        fastlstm.LayerNorm(5, 1e-3),
        fastlstm.Tanh(),
    ],
)
def test_layers_that_stand_alone(layer):
    made = export(layer)
    x = np.random.default_rng(0).standard_normal((4, 3, 5)).astype("f")
    assert distance(session_of(made).run(None, {"x": x})[0], layer(x)) <= 1e-5


def test_which_become_nodes_and_which_a_scan():
    assert "LSTM" in kinds_in(export(fastlstm.LSTM(I, H, peepholes=True, heads=2, clip=1.0)))
    assert "GRU" in kinds_in(export(fastlstm.GRU(I, H, activations=["softsign", "elu"])))
    for model in (
        fastlstm.LSTM(I, H, proj_size=2),
        fastlstm.SLSTM(I, H),
        fastlstm.RNN(I, H, dtype="float64"),
    ):
        assert {"Scan"} == kinds_in(export(model)) & {"Scan", "LSTM", "GRU", "RNN"}


@pytest.mark.parametrize(
    "model",
    [
        fastlstm.LSTM(I, H, 2, bidirectional=True, batch_first=True, clip=0.5, rng=0),
        fastlstm.LSTM(I, H, peepholes=True, input_forget=True, rng=0),
        fastlstm.GRU(I, H, reset_after=False, activations=[("hard_sigmoid", 0.25, 0.5), "relu"], rng=0),
        fastlstm.Sequential(
            fastlstm.Embedding(7, I, rng=0),
            fastlstm.RNN(I, H, 2, rng=1),
            fastlstm.LastStep(),
            fastlstm.Linear(H, 2),
        ),
    ],
)
def test_what_was_exported_is_loaded_again(model, tmp_path):
    export(model, tmp_path / "model.onnx")
    again = load(tmp_path / "model.onnx")
    assert repr(again).replace(", empty_state='zero'", "") == repr(model)
    for name, array in model.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], array)


def test_what_is_no_model_or_has_no_form_is_refused(tmp_path):
    with pytest.raises(
        TypeError, match=r"^model: expected LSTM, RNN, GRU, SLSTM, a layer or Sequential, got int"
    ):
        export(3)
    with pytest.raises(TypeError, match=r"^path: expected a str or path, got 3"):
        export(fastlstm.LSTM(I, H), 3)
    with pytest.raises(TypeError, match=r"^lengths: expected True or False, got 1"):
        export(fastlstm.LSTM(I, H), lengths=1)

    class Own(fastlstm.Tanh):
        pass

    for model, sentence in (
        (Own(), "^model: expected LSTM, .*, got Own"),
        (fastlstm.CRF(3), "^model: expected LSTM, .*, got CRF"),
        (
            fastlstm.Sequential(fastlstm.Linear(I, 2, dtype="float64"), fastlstm.GELU()),
            r"^model: expected GELU\('tanh'\) in float64, where ONNX Runtime has no erf, got GELU\(\)",
        ),
    ):
        with pytest.raises(TypeError, match=sentence):
            export(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
