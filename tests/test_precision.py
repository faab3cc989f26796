"""Models of fewer bits: what they give, and that they are models like others."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastlstm
from fastlstm import (
    GRU,
    LSTM,
    RNN,
    SLSTM,
    Add,
    Dropout,
    Embedding,
    Graph,
    LastStep,
    LayerNorm,
    Linear,
    MeanOverTime,
    Sequential,
    _core,
    quantize,
)
from fastlstm._reference import rounded_product, sigmoid
from fastlstm.inspection import gradient_reach
from fastlstm.model.parameters import stored_parameters
from fastlstm.model.pool import StreamPool
from fastlstm.model.precision import rounded
from fastlstm.serve import Batcher
from fastlstm.training import (
    Adam,
    ExponentialAverage,
    linear_softmax_cross_entropy,
    mean_squared_error,
)

WHOLE = ["int8", "int4"]
PRECISIONS = [*WHOLE, "bfloat16"]
COARSER = {"int8": 1, "int4": 8, "bfloat16": 1}
"""Errors beside those of int8."""
KINDS = {"LSTM": LSTM, "GRU": GRU, "RNN": RNN, "SLSTM": SLSTM}


@pytest.fixture(autouse=True)
def best_way():
    yield
    _core.use_isa(None)
    for precision in PRECISIONS:
        _core.use_way(precision, None)


def small_model(precision, kind="LSTM", x_bits=8, **options):
    return quantize(KINDS[kind](5, 33, rng=0, **options), precision, x_bits=x_bits)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LSTM", {"num_layers": 2, "bidirectional": True}),
        ("LSTM", {"proj_size": 9}),
        ("LSTM", {"layer_norm": True}),
        ("GRU", {"layer_norm": True}),
        ("RNN", {"layer_norm": True}),
        ("LSTM", {"peepholes": True, "input_forget": True}),
        ("LSTM", {"heads": 3}),
        ("GRU", {"num_layers": 2}),
        ("GRU", {"reset_after": False}),
        ("RNN", {}),
        ("RNN", {"nonlinearity": "relu"}),
        ("SLSTM", {"heads": 3}),
    ],
)
def test_close_to_floats(precision, kind, options):
    if precision == "int4" and "heads" in options:
        return  # refused: test_refusals
    model, x = KINDS[kind](5, 33, rng=0, **options), numbers(20, 7, 5)
    y, small = model(x)[0], quantize(model, precision)(x)[0]
    normed = "layer_norm" in options  # which makes all rows as large as each other, and their errors, too
    most = 0.1 if normed else COARSER[precision] * (0.02 * abs(y).max() + 0.01)
    errors = abs(small - y)
    assert 0 < (errors.mean() if normed and precision == "int4" else errors.max()) < most


@st.composite
def cases(draw):
    kind = draw(st.sampled_from(sorted(KINDS)))
    options = {"num_layers": draw(st.integers(1, 2))}
    if kind == "LSTM" and draw(st.booleans()):
        options["proj_size"] = 4
    if kind == "GRU":
        options["reset_after"] = draw(st.booleans())
    sizes = draw(st.integers(1, 20)), draw(st.sampled_from([5, 16, 33, 70]))
    precision = draw(st.sampled_from(PRECISIONS))
    x_bits = draw(st.sampled_from([8, 16])) if precision in WHOLE else 8
    return precision, x_bits, KINDS[kind], sizes, options, draw(st.integers(1, 40))


@given(cases())
@settings(max_examples=40, deadline=None)
def test_same_bits(case):
    """Alone and in a batch, ragged and not, whole and in pieces, in steps, with any number of threads."""
    precision, x_bits, kind, (I, H), options, B = case  # noqa: E741
    model = quantize(kind(I, H, rng=0, **options), precision, x_bits=x_bits)
    x, lengths = numbers(6, B, I), np.arange(B) % 7
    y, state = model(x)
    threads = fastlstm.get_num_threads()
    fastlstm.set_num_threads(1)
    alone, _ = model(x[:, B // 2])
    fastlstm.set_num_threads(threads)
    assert np.array_equal(alone, y[:, B // 2])
    ragged, _ = model(x, lengths=lengths)
    for b in range(B):
        assert np.array_equal(ragged[: lengths[b], b], y[: lengths[b], b])
    first, middle = model(x[:2])
    rest, last = model(x[2:], middle)
    assert np.array_equal(np.concatenate([first, rest]), y)
    assert pickle.dumps(last) == pickle.dumps(state)
    stream = model.stream(B)
    assert np.array_equal(np.stack([stream.step(x_t) for x_t in x]), y)


@pytest.mark.parametrize("x_bits", [8, 16])
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("precision", WHOLE)
def test_whole_numbers_have_the_same_bits_everywhere(precision, kind, x_bits):
    x, results = numbers(9, 37, 70), set()
    for isa in _core.available_isas():
        _core.use_isa(isa)
        for way in _core.ways_of(precision):
            _core.use_way(precision, way)
            model = quantize(KINDS[kind](70, 33, num_layers=2, rng=0), precision, x_bits=x_bits)
            results.add(model(x)[0].tobytes())
        _core.use_way(precision, None)
    assert len(results) == 1


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_bfloat16_has_the_same_bits_but_from_tiles(kind):
    x, results = numbers(9, 37, 5), {}
    for isa in _core.available_isas():
        _core.use_isa(isa)
        for way in _core.ways_of("bfloat16"):
            _core.use_way("bfloat16", way)
            results[isa, way] = small_model("bfloat16", kind, num_layers=2)(x)[0]
        _core.use_way("bfloat16", None)
    plain = next(y for (_, way), y in results.items() if way != "amx")
    for (_, way), y in results.items():
        assert np.array_equal(y, plain) if way != "amx" else np.allclose(y, plain, atol=0.01)


WAYS = pytest.mark.parametrize(("precision", "x_bits"), [*itertools.product(WHOLE, [8, 16]), ("bfloat16", 8)])


@WAYS
@pytest.mark.parametrize("K", [19, 150])
def test_product_is_as_the_reference_has_it(precision, x_bits, K):
    linear = Linear(K, 7, rng=0)
    x, small = numbers(40, K), quantize(linear, precision, x_bits=x_bits)
    weight, bias = linear.parameters["weight"], linear.parameters["bias"]
    scales = small.parameters.get("weight_scale")
    expected = rounded_product(precision, x, weight, bias, x_bits=x_bits, scales=scales)
    np.testing.assert_allclose(small(x), expected, rtol=2e-6, atol=1e-6)
    assert np.array_equal(small(x[7]), small(x)[7])


def test_x_of_16_bits_is_as_good_as_exact():
    """The weights are whole numbers already, so only x is rounded: by at most half of a row's scale."""
    weight = np.random.default_rng(0).integers(-127, 128, (7, 300)).astype(np.float32)
    weight[:, 0] = 127
    x, linear = 100 * numbers(40, 300), Linear(300, 7, bias=False, rng=0).update({"weight": weight})
    exact = x.astype(np.float64) @ weight.T
    rounding = abs(x).max(axis=1, keepdims=True) / 127 / 2 * abs(weight).sum(axis=1)
    errors = [abs(quantize(linear, "int8", x_bits=bits)(x) - exact) / rounding for bits in (8, 16)]
    assert errors[0].max() > 0.05
    assert errors[1].max() < errors[0].max() / 100


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_x_of_16_bits_beside_the_steps_of_one_sequence(kind):
    """Rows that are multiplied ahead have the bits of those of a batch, and of steps."""
    model, x = quantize(KINDS[kind](40, 160, rng=0), "int8", x_bits=16), numbers(50, 40)
    y, stream = model(x)[0], model.stream()
    assert np.array_equal(model(np.stack([x, x], axis=1))[0][:, 1], y)
    assert np.array_equal(np.stack([stream.step(x_t) for x_t in x]), y)


def test_fixed_scale_of_x():
    model, x = LSTM(5, 33, rng=0), numbers(20, 7, 5)
    scale = fastlstm.calibrate([x[:10], x[10:]])
    assert scale == pytest.approx(abs(x).max() / 127)
    small = quantize(model, "int8", x_scale=scale)
    assert abs(small(x)[0] - model(x)[0]).max() < 0.02
    clipped = np.clip(x, -10 * scale, 10 * scale)
    few = quantize(model, "int8", x_scale=10 * scale / 127)
    assert np.array_equal(few(x)[0], few(clipped)[0])  # what is outside counts as the end of the range


@WAYS
def test_whole_model(precision, x_bits, tmp_path):
    model = Sequential(
        Embedding(11, 6, rng=0),
        LSTM(6, 12, num_layers=2, rng=0),
        GRU(12, 9, rng=0),
        LastStep(),
        Linear(9, 3, rng=0),
    )
    indices = np.random.default_rng(0).integers(0, 11, (8, 5))
    small = quantize(model, precision, x_bits=x_bits)
    y = small(indices)
    fastlstm.save(small, tmp_path / "small.safetensors")
    others = [
        fastlstm.load(tmp_path / "small.safetensors"),
        pickle.loads(pickle.dumps(small)),
        quantize(model, precision, x_bits=x_bits).load_state_dict(small.state_dict()),
    ]
    for other in others:
        assert np.array_equal(other(indices), y)
        assert other.state_dict().keys() == small.state_dict().keys()
    with Batcher(small) as batcher:
        row = batcher.submit(indices[:, 1]).result()
    assert np.array_equal(row, y[1])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_graph(precision, tmp_path):
    model = Graph(
        {
            "lstm": LSTM(5, 5, rng=0),
            "skip": (Add(), "x", "lstm"),
            "tags": Linear(5, 7, rng=0),
            "mean": (MeanOverTime(), "skip"),
        },
        outputs=["tags", "mean"],
    )
    x, small = numbers(6, 3, 5), quantize(model, precision)
    fastlstm.save(small, tmp_path / "small.safetensors")
    y, again, floats = small(x), fastlstm.load(tmp_path / "small.safetensors")(x), model(x)
    for name, array in y.items():
        assert np.array_equal(array, again[name])
        assert 0 < abs(array - floats[name]).max() < 0.02 * COARSER[precision]


@pytest.mark.parametrize(
    ("model", "scaled"),
    [
        (Sequential(LSTM(2, 3), Linear(3, 2)), [0]),
        (Sequential(Embedding(3, 2), LSTM(2, 3), LayerNorm(3), Linear(3, 2)), [1]),
        (
            Graph(
                {
                    "normed": (LayerNorm(5), "x"),
                    "a": (GRU(5, 3), "normed"),
                    "b": (Linear(5, 3), "x"),
                    "both": (Add(), "a", "b"),
                    "c": Linear(3, 2),
                }
            ),
            [1, 2],
        ),
    ],
)
def test_scale_of_x_is_for_the_first_products(model, scaled):
    layers = quantize(model, "int8", x_scale=0.1, x_bits=16).layers
    assert [k for k, layer in enumerate(layers) if getattr(layer, "x_scale", None) == 0.1] == scaled
    assert [k for k, layer in enumerate(layers) if getattr(layer, "x_bits", 8) == 16] == scaled


def test_nothing_is_shared_with_the_model_of_floats():
    rng = np.random.default_rng(0)
    model = Sequential(LSTM(5, 4, num_layers=2, dropout=0.5, rng=rng), LayerNorm(4), Dropout(0.5, rng=rng))
    small = quantize(model, "bfloat16")
    assert small.generators[0] is small.generators[1]
    before = [generator.bit_generator.state for generator in model.generators]
    small.forward(numbers(6, 3, 5))
    small.layers[1].update({"weight": np.zeros(4)})
    assert [generator.bit_generator.state for generator in model.generators] == before
    assert model.layers[1].parameters["weight"].all()


@pytest.mark.parametrize("x_bits", [8, 16])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_steps_are_as_the_reference_has_them(kind, x_bits):
    """Gates follow from rounded products: h counts as whole numbers of 1/127."""
    model, x = KINDS[kind](5, 33, rng=0), numbers(9, 5)
    w, steps = model.parameters, quantize(model, "int8", x_bits=x_bits).trace(x)[0, 0]
    h = np.concatenate([np.zeros((1, 33), np.float32), steps.h[:-1]])
    of_x = rounded_product("int8", x, w["weight_ih_l0"], w["bias_ih_l0"], x_bits=x_bits)
    of_h = rounded_product("int8", h, w["weight_hh_l0"], w["bias_hh_l0"], 1 / 127)
    if kind == "LSTM":
        i, f, g, o = np.split(of_x + of_h, 4, axis=1)
        expected = {"i": sigmoid(i), "f": sigmoid(f), "g": np.tanh(g), "o": sigmoid(o)}
    else:
        (r, z, n), (r_h, z_h, n_h) = np.split(of_x, 3, axis=1), np.split(of_h, 3, axis=1)
        r, z = sigmoid(r + r_h), sigmoid(z + z_h)
        expected = {"r": r, "z": z, "n_h": n_h, "n": np.tanh(n + r * n_h)}
    for name, gate in expected.items():
        np.testing.assert_allclose(getattr(steps, name), gate, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_rows_of_the_least_and_the_largest_numbers(precision):
    """Rows of zeros, of tiny numbers and of one large one are as exact as their size asks for."""
    weight = np.zeros((5, 9), np.float32)
    weight[1], weight[2], weight[3, 4] = 1e-35, 1e30, 3.0
    linear = Linear(9, 5, rng=0).update({"weight": weight})
    x = np.stack([np.zeros(9), np.full(9, 1e-35), np.eye(9)[4]]).astype(np.float32)
    y, expected = quantize(linear, precision)(x), linear(x)
    assert np.isfinite(y).all()
    np.testing.assert_allclose(y, expected, rtol=0.01, atol=1e-5)


@pytest.mark.parametrize("x_bits", [8, 16])
@pytest.mark.parametrize("x_scale", [None, 0.1])
def test_what_is_no_number_stays_none(x_scale, x_bits):
    x, h = np.zeros((3, 2, 5), np.float32), np.zeros((1, 2, 33), np.float32)
    model = quantize(LSTM(5, 33, rng=0), "int8", x_scale=x_scale, x_bits=x_bits)
    expected = model(x)[0]
    x[1, 0, 2] = np.nan
    y, _ = model(x)
    assert np.isnan(y[1:, 0]).all()
    assert np.array_equal(y[0], expected[0])
    assert np.array_equal(y[:, 1], expected[:, 1])
    h[0, 1, 7] = np.nan
    y, _ = model(np.zeros_like(x), (h, np.zeros_like(h)))
    assert np.isnan(y[:, 1]).all()
    assert np.array_equal(y[:, 0], expected[:, 0])


@pytest.mark.parametrize("K", [1, 63, 64, 65, 200])
def test_int4_has_a_scale_for_64_neighbours(K):
    """What is left of a number is at most half of its scale."""
    weight = numbers(5, K) * np.repeat([1e-3, 1, 100, 1e-6], 64)[:K].astype(np.float32)
    few = quantize(Linear(K, 5, bias=False, rng=0).update({"weight": weight}), "int4").parameters
    scale = np.repeat(few["weight_scale"], 64, axis=1)[:, :K]
    assert few["weight_scale"].shape == (5, -(-K // 64))
    assert abs(few["weight"]).max() == 7
    assert (abs(few["weight"] * scale - weight) <= 0.501 * scale).all()


def test_stored_numbers_that_are_too_large_are_refused():
    stored = {"weight": np.full((2, 3), 8, np.int8), "weight_scale": np.ones((2, 1), np.float32)}
    with stored_parameters(stored), pytest.raises(ValueError, match="weight: expected whole numbers from -7"):
        Linear(3, 2, bias=False, precision="int4")


def test_sums_fit_32_bits():
    most = 133_144
    linear = Linear(most, 1, bias=False, rng=0).update({"weight": np.ones((1, most))})
    assert quantize(linear, "int8")(np.ones(most, np.float32)) == pytest.approx(most)
    longer = quantize(Linear(most + 1, 1, rng=0), "int8")
    with pytest.raises(ValueError, match="weight: expected at most 133144 columns with precision 'int8'"):
        longer(np.ones(most + 1, np.float32))


def test_arrays_of_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = numbers(6, 3, 5).astype(ml_dtypes.bfloat16)
    model = LSTM(5, 4, precision="bfloat16", rng=0)
    y, _, tape = model.forward(x)
    assert np.array_equal(y, model(x.astype(np.float32))[0])
    assert tape.backward(y.astype(ml_dtypes.bfloat16)).input.dtype == np.float32
    assert np.array_equal(model.stream().step(x[0, 0]), y[0, 0])
    rounded = {name: array.astype(ml_dtypes.bfloat16) for name, array in model.parameters.items()}
    model.load_state_dict(rounded)
    assert all(np.array_equal(rounded[name], array) for name, array in model.parameters.items())


def test_files_are_small(tmp_path):
    model = LSTM(64, 128, rng=0)
    for path, kind in ((tmp_path / "a", model), (tmp_path / "b", quantize(model, "int8"))):
        fastlstm.save(kind, path)
    assert (tmp_path / "b").stat().st_size < 0.3 * (tmp_path / "a").stat().st_size


@pytest.mark.parametrize("precision", PRECISIONS)
def test_pool_and_trace(precision):
    model, x = small_model(precision), numbers(6, 3, 5)
    y, _ = model(x)
    pool = StreamPool(model, 3)
    assert np.array_equal(pool.feed([pool.open() for _ in range(3)], x), y)
    assert np.array_equal(model.trace(x).y, y)
    lent, _ = model.run(x, weights=model.parameters)
    assert np.array_equal(lent, y)


def test_bfloat16_trains():
    x, y = numbers(40, 12, 5), numbers(40, 1)
    losses = {}
    for precision in (None, "bfloat16"):
        model = Sequential(LSTM(5, 16, precision=precision, rng=0), LastStep(), Linear(16, 1, rng=0))
        optimizer = Adam([model], lr=0.01)
        history = fastlstm.fit(model, (x, y), mean_squared_error, optimizer=optimizer, epochs=30, rng=0)
        losses[precision] = history["loss"]
    assert losses["bfloat16"][-1] < 0.5 * losses["bfloat16"][0]
    assert losses["bfloat16"][-1] == pytest.approx(losses[None][-1], rel=0.1, abs=0.05)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_learns_with_rounded_weights(precision):
    x, y = numbers(40, 12, 5), numbers(40, 1)
    model = Sequential(LSTM(5, 16, rng=0), LastStep(), Linear(16, 1, rng=0))
    history = fastlstm.fit(model, (x, y), mean_squared_error, epochs=20, quantize=precision, rng=0)
    assert history["loss"][-1] < history["loss"][0]
    before = model.state_dict()
    assert all(array.dtype == np.float32 for array in before.values())
    plain = Sequential(LSTM(5, 16, rng=0), LastStep(), Linear(16, 1, rng=0)).load_state_dict(before)
    assert np.array_equal(np.asarray(plain(x[0])[0]), np.asarray(model(x[0])[0]))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("options", [{"num_layers": 2, "bidirectional": True}, {"proj_size": 9}])
def test_it_learns_with_what_it_will_be(precision, options):
    """While it learns with its weights rounded, a model has the bits that it has once it is quantised."""
    model, x = LSTM(5, 33, rng=0, **options), numbers(6, 3, 5)
    with rounded([model], precision):
        y, _ = model(x)
    assert np.array_equal(y, quantize(model, precision)(x)[0])


def test_estimator(tmp_path):
    pytest.importorskip("sklearn", reason="needs the extra test")
    from fastlstm.estimators import LSTMClassifier

    x, y = [numbers(n % 5 + 3, 2, seed=n) for n in range(12)], np.arange(12) % 2
    classifier = LSTMClassifier(hidden_size=8, epochs=3).fit(x, y)
    before = classifier.predict_proba(x)
    classifier.model_ = quantize(classifier.model_, "int8")
    fastlstm.save(classifier, tmp_path / "small.safetensors")
    after = fastlstm.load(tmp_path / "small.safetensors").predict_proba(x)
    assert np.array_equal(after, classifier.predict_proba(x))
    assert 0 < abs(after - before).max() < 0.02


@pytest.mark.parametrize(
    ("name", "train"),
    [
        ("models", lambda lstm, linear: Adam([linear])),
        ("model", lambda lstm, linear: ExponentialAverage(lstm)),
        ("model", lambda lstm, linear: gradient_reach(lstm, numbers(3, 5))),
        ("model", lambda lstm, linear: Sequential(lstm, linear).forward(numbers(3, 5))),
        ("model", lambda lstm, linear: linear.forward(numbers(3, 33))),
        (
            "linear",
            lambda lstm, linear: linear_softmax_cross_entropy(linear, numbers(2, 33), np.zeros(2, int)),
        ),
    ],
)
def test_whole_numbers_are_not_trained(name, train):
    with pytest.raises(ValueError, match=f"^{name}: expected one of floats to train, got"):
        train(small_model("int8"), quantize(Linear(33, 2, rng=0), "int8"))


def test_refusals():
    small = small_model("int8")
    with pytest.raises(ValueError, match="expected one of floats to train"):
        small.forward(numbers(3, 5))
    with pytest.raises(
        ValueError, match=r"model: expected one of float32, got LSTM\(5, 33, precision='int8'\)"
    ):
        quantize(small, "int8")
    with pytest.raises(ValueError, match="expected one of float32, got one of float64"):
        quantize(LSTM(2, 3, dtype="float64"), "int8")
    with pytest.raises(ValueError, match="precision: expected None with dtype='float64'"):
        LSTM(2, 3, dtype="float64", precision="int8")
    with pytest.raises(ValueError, match="precision: expected"):
        quantize(LSTM(2, 3), "int2")
    with pytest.raises(ValueError, match="precision: expected another than 'int4' for 3 heads"):
        quantize(LSTM(2, 3, heads=3), "int4")
    with pytest.raises(ValueError, match="precision: expected another than 'int4' for 3 heads"):
        SLSTM(2, 3, heads=3, precision="int4")
    with pytest.raises(ValueError, match="weight: expected whole numbers from -7 to 7, got 8"):
        quantize(Linear(2, 3), "int4").update({"weight": np.full((3, 2), 8)})
    with pytest.raises(ValueError, match="x_scale: expected None without precision='int8' or 'int4'"):
        LSTM(2, 3, x_scale=0.1)
    with pytest.raises(ValueError, match="x_bits: expected 8 without precision='int8' or 'int4', got 16"):
        Linear(2, 3, precision="bfloat16", x_bits=16)
    with pytest.raises(ValueError, match="x_bits: expected 8 with precision 'bfloat16', got 16"):
        quantize(LSTM(2, 3), "bfloat16", x_bits=16)
    with pytest.raises(ValueError, match="x_bits: expected 8 or 16, got 4"):
        quantize(LSTM(2, 3), "int8", x_bits=4)
    with pytest.raises(TypeError, match="x_bits: expected an integer, got '16'"):
        quantize(LSTM(2, 3), "int8", x_bits="16")
    with pytest.raises(TypeError, match="model: expected a model of fastlstm, got int"):
        quantize(3, "int8")
    with pytest.raises(ValueError, match=r"model: expected one that multiplies by weights, got LayerNorm"):
        quantize(LayerNorm(3), "int8")
    with pytest.raises(ValueError, match=r"model: expected one with a layer that multiplies by weights"):
        quantize(Sequential(Embedding(3, 4), LastStep()), "bfloat16")
    for model in (Embedding(3, 2), Sequential(Embedding(3, 2), LastStep())):
        with pytest.raises(ValueError, match=r"x_scale: expected None for .*, which multiplies no x"):
            quantize(model, "int8", x_scale=0.1)
        with pytest.raises(ValueError, match=r"x_bits: expected 8 for .*, which multiplies no x"):
            quantize(model, "int8", x_bits=16)
    for name, value in (("weight_ih_l0", np.full((132, 5), 128)), ("weight_ih_l0_scale", np.zeros(132))):
        with pytest.raises(ValueError, match=name):
            small.update({name: value})
    with pytest.raises(ValueError, match="data: expected some numbers"):
        fastlstm.calibrate([])
    with pytest.raises(ValueError, match="share: expected"):
        fastlstm.calibrate(numbers(3), share=0)
