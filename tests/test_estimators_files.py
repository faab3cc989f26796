"""Estimators in files and in batchers: the same predictions, with scikit-learn and without, or a sentence."""

import json
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs sklearn: pip install '.[sklearn]'")

from hypothesis import given, settings
from hypothesis import strategies as st

import fastlstm
from fastlstm.estimators import LSTMClassifier, LSTMForecaster, LSTMRegressor
from fastlstm.files import container
from fastlstm.predictors import Classifier, Forecaster
from fastlstm.serve import Batcher

SMALL = {"hidden_size": 4, "epochs": 2, "random_state": 0}

rng = np.random.default_rng(0)
X = [rng.standard_normal((length, 2)) for length in rng.integers(1, 9, 30)]
TABLE = rng.standard_normal((30, 6))
ABOVE = np.array([sequence[:, 0].sum() > 0 for sequence in X])
SERIES = 1000 + 20 * np.sin(np.arange(90) * 2 * np.pi / 12)


def classifier(labels=("down", "up"), x=X, **options):
    return LSTMClassifier(**SMALL | options).fit(x, np.array(labels)[ABOVE.astype(int)])


def regressor(x=X, y=1000 + 20.0 * ABOVE):
    return LSTMRegressor(**SMALL).fit(x, y)


def forecaster(series=SERIES, **options):
    return LSTMForecaster(**SMALL | {"window": 8, "horizon": 3} | options).fit(series)


def framed(x):
    pandas = pytest.importorskip("pandas")
    return [pandas.DataFrame(sequence, columns=["a", "b"]) for sequence in x]


def same_bits(a, b):
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype == object or b.dtype == object:
        return a.tolist() == b.tolist() and a.dtype == b.dtype
    return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


@pytest.fixture
def again(tmp_path):
    """Save and load."""

    def saved_and_loaded(estimator):
        fastlstm.save(estimator, tmp_path / "estimator")
        return fastlstm.load(tmp_path / "estimator")

    return saved_and_loaded


# The same again


@pytest.mark.parametrize(
    "labels",
    [
        ["down", "up"],
        np.array(["down", "up"], object),
        [3, 70_000],
        np.array([3, 200], np.uint8),
        [False, True],
        [-1.0, 2.0],
        ["ü\ud800", "日本"],
    ],
    ids=repr,
)
def test_classes_of_every_kind(labels, again):
    fitted = classifier(labels)
    loaded = again(fitted)
    assert type(loaded) is LSTMClassifier
    assert same_bits(loaded.predict(X), fitted.predict(X))
    assert same_bits(loaded.predict_proba(X), fitted.predict_proba(X))
    assert same_bits(loaded.classes_, fitted.classes_)


def test_targets_come_back_in_their_unit(again):
    fitted = regressor()
    assert same_bits(again(fitted).predict(X), fitted.predict(X))
    assert again(fitted).predict(X).mean() == pytest.approx(1010, abs=20)
    several = regressor(TABLE, np.stack([ABOVE, 5.0 * ABOVE], axis=1))
    assert same_bits(again(several).predict(TABLE), several.predict(TABLE))


def test_parameters_and_names(again):
    weights = {"down": 1, "up": np.float64(2)}
    options = {"class_weight": weights, "dropout": 0.2, "num_layers": 2, "hidden_size": np.int64(4)}
    fitted = classifier(x=framed(X), **options)
    loaded = again(fitted)
    assert loaded.get_params() == fitted.get_params()
    assert loaded.feature_names_in_.tolist() == ["a", "b"]
    assert loaded.n_features_in_ == 2
    with pytest.raises(ValueError, match="The feature names should match"):
        loaded.predict([frame[["b", "a"]] for frame in framed(X)])


@pytest.mark.parametrize("options", [{}, {"seasonal_period": 12, "quantiles": [0.1, 0.5, 0.7]}])
def test_a_forecaster_goes_on_from_its_series(options, again):
    fitted = forecaster(**options)
    loaded = again(fitted)
    assert same_bits(loaded.predict(horizon=7), fitted.predict(horizon=7))
    assert same_bits(loaded.predict(SERIES[:40]), fitted.predict(SERIES[:40]))
    assert same_bits(loaded.predict_interval(0.4), fitted.predict_interval(0.4))


def indices():
    pandas = pytest.importorskip("pandas")
    return [
        pandas.date_range("2020-01-31", periods=90, freq="ME", name="month"),
        pandas.date_range("2020-03-28", periods=90, freq="h", tz="Europe/Berlin", unit="s"),
        pandas.date_range("2020-01-01", periods=90, freq="B", tz="+01:00"),
        pandas.period_range("2020-01", periods=90, freq="Q-MAR"),
        pandas.timedelta_range("1h", periods=90, freq="30min"),
        pandas.RangeIndex(0, 180, 2, name=7),
        pandas.Index(np.arange(90, dtype=np.uint8)),
        pandas.Index(np.arange(90) * 0.5 + 1900),
    ]


@pytest.mark.parametrize("place", range(8))
def test_an_index_goes_on(place, again):
    pandas = pytest.importorskip("pandas")
    series = pandas.Series(SERIES, index=indices()[place], name="level")
    fitted = forecaster(series, epochs=1)
    pandas.testing.assert_series_equal(again(fitted).predict(), fitted.predict())
    frame = pandas.DataFrame({"a": series, "b": -series})
    fitted = forecaster(frame, epochs=1)
    pandas.testing.assert_frame_equal(again(fitted).predict(), fitted.predict())


def test_a_loaded_estimator_learns_on(again):
    fitted = classifier(dropout=0.3)
    loaded = again(fitted)
    before = loaded.predict_proba(X)
    loaded.partial_fit(X, np.where(ABOVE, "up", "down"))
    assert not same_bits(loaded.predict_proba(X), before)
    assert same_bits(fitted.predict_proba(X), before)
    with pytest.raises(ValueError, match=r"model: expected .*'hidden_size': 4.* as before"):
        loaded.set_params(hidden_size=5, warm_start=True).fit(X, np.where(ABOVE, "up", "down"))


# Without scikit-learn

WITHOUT = """
import sys
sys.modules["sklearn"] = None
import numpy as np, fastlstm
from fastlstm.serve import Batcher

folder = sys.argv[1]
given = np.load(folder + "/given.npz")
X = np.split(given["rows"], np.cumsum(given["lengths"])[:-1])
results = {}
for name in ("classifier", "regressor"):
    loaded = fastlstm.load(f"{folder}/{name}")
    results[name] = loaded.predict(X)
    with Batcher(loaded) as batcher:
        futures = [batcher.submit(x) for x in X]
    assert [future.result() for future in futures] == loaded.predict(X).tolist()
    fastlstm.save(loaded, f"{folder}/{name} again")
results["probabilities"] = fastlstm.load(folder + "/classifier").predict_proba(X)
loaded = fastlstm.load(folder + "/forecaster")
results["forecaster"] = loaded.predict()
results["lower"], _ = loaded.predict_interval(series=given["series"][:50])
print(type(fastlstm.load(folder + "/classifier")), type(loaded))
np.savez(folder + "/results.npz", **results)
"""


def test_without_scikit_learn(tmp_path):
    estimators = {"classifier": classifier(), "regressor": regressor(), "forecaster": forecaster()}
    for name, estimator in estimators.items():
        fastlstm.save(estimator, tmp_path / name)
    lengths = [len(sequence) for sequence in X]
    np.savez(tmp_path / "given.npz", rows=np.concatenate(X), lengths=lengths, series=SERIES)
    shown = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.split("'")[1::2] == [
        "fastlstm.predictors.classifier.Classifier",
        "fastlstm.predictors.forecaster.Forecaster",
    ]
    results = np.load(tmp_path / "results.npz")
    assert same_bits(results["classifier"], estimators["classifier"].predict(X))
    assert same_bits(results["probabilities"], estimators["classifier"].predict_proba(X))
    assert same_bits(results["regressor"], estimators["regressor"].predict(X))
    assert same_bits(results["forecaster"], estimators["forecaster"].predict())
    assert same_bits(results["lower"], estimators["forecaster"].predict_interval(series=SERIES[:50])[0])
    saved_again = fastlstm.load(tmp_path / "classifier again")
    assert saved_again.get_params() == estimators["classifier"].get_params()


@pytest.fixture
def plain(again, monkeypatch):
    """What is loaded where scikit-learn is not installed."""
    monkeypatch.setattr("fastlstm.interop.estimator_files.find_spec", lambda name: None)
    return again


def test_plain_predictors_take_what_estimators_take(plain):
    pandas = pytest.importorskip("pandas")
    fitted = classifier(x=framed(X))
    loaded = plain(fitted)
    assert type(loaded) is Classifier
    index = pandas.MultiIndex.from_tuples([(k, step) for k, x in enumerate(X) for step in range(len(x))])
    for x in (framed(X), pandas.DataFrame(np.concatenate(X), index, ["a", "b"])):
        assert same_bits(loaded.predict_proba(x), fitted.predict_proba(x))
    with pytest.warns(UserWarning, match="X has no feature names, but Classifier was fitted with them"):
        loaded.predict(X)
    by_table = regressor(TABLE)
    assert same_bits(plain(by_table).predict(TABLE), by_table.predict(TABLE))
    assert same_bits(plain(by_table).predict(TABLE.tolist()), by_table.predict(TABLE))
    series = pandas.Series(SERIES, indices()[0])
    by_series = forecaster(series)
    assert type(plain(by_series)) is Forecaster
    pandas.testing.assert_series_equal(plain(by_series).predict(), by_series.predict())
    pandas.testing.assert_series_equal(plain(by_series).predict(series[:-9]), by_series.predict(series[:-9]))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (lambda: [frame[["b", "a"]] for frame in framed(X)], "X: expected the features a, b, in the order"),
        (lambda: [np.ones((3, 3))], "X: expected 2 features as in fit, got 3"),
        (lambda: TABLE, r"X: expected sequences \(T_k, I\) as in fit, got a table"),
        (lambda: [np.full((3, 2), np.nan)], "X: expected finite numbers"),
        (lambda: [np.full((3, 2), 1e39)], "X: expected finite numbers"),
        (lambda: [np.full((3, 2), "a")], "X: expected numbers, got dtype <U1"),
        (lambda: [np.ones((3, 2)) + 1j], "X: expected numbers, got dtype complex128"),
        (lambda: [np.zeros((3, 2), "M8[s]")], r"X: expected numbers, got dtype datetime64\[s\]"),
    ],
)
def test_plain_predictors_refuse_what_estimators_refuse(x, message, plain):
    loaded = plain(classifier(x=framed(X)))
    with pytest.raises((ValueError, TypeError), match=message):
        loaded.predict(x())


def test_plain_forecasters_refuse(plain):
    loaded = plain(forecaster())
    for series, message in (
        (SERIES[:7], "series: expected at least 8 steps, got 7"),
        (np.ones((20, 2)), "series: expected 1 features as in fit, got 2"),
        (np.ones((2, 20, 1)), "series: expected shape"),
    ):
        with pytest.raises(ValueError, match=message):
            loaded.predict(series)


def test_a_series_with_an_index_needs_pandas_for_what_follows(plain, monkeypatch):
    pandas = pytest.importorskip("pandas")
    series = pandas.Series(SERIES, indices()[0])
    fitted = forecaster(series)
    monkeypatch.setattr("fastlstm.predictors._series.find_spec", lambda name: None)
    loaded = plain(fitted)
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert same_bits(loaded.predict(SERIES), fitted.predict(SERIES))
    with pytest.raises(ImportError, match="what follows a Series or DataFrame needs pandas"):
        loaded.predict()


# In a batcher


def test_a_batcher_answers_as_predict_does():
    frames = framed(X)
    for estimator, x in (
        (classifier(), X),
        (classifier(x=frames), frames),
        (classifier(x=frames), X),  # a request from the network has no names
        (classifier(np.array(["down", "up"], object)), X),
        (regressor(), X),
        (regressor(y=np.stack([ABOVE, 5.0 * ABOVE], axis=1)), X),
        (regressor(TABLE), list(TABLE)),
    ):
        with Batcher(estimator, max_batch=7) as batcher:
            answers = [future.result() for future in [batcher.submit(sequence) for sequence in x]]
        expected = estimator.predict(frames if hasattr(estimator, "feature_names_in_") else x)
        assert same_bits(np.array(answers, expected.dtype), expected)
        assert getattr(answers[0], "base", None) is None  # nothing keeps the batch alive


def test_a_batcher_of_a_forecaster_tells_what_follows_each_series():
    fitted = forecaster(seasonal_period=12)
    ends = range(20, 90)
    with Batcher(fitted) as batcher:
        answers = [future.result() for future in [batcher.submit(SERIES[:end]) for end in ends]]
        row = batcher.submit(SERIES[:, None]).result()
    assert all(same_bits(a, fitted.predict(SERIES[:end])) for a, end in zip(answers, ends, strict=True))
    assert same_bits(row, fitted.predict(SERIES[:, None]))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((3, 3)), "x: expected 2 features as in fit, got 3"),
        (np.ones(3), r"x: expected shape \(T, I\), got \(3,\)"),
        ([["a", "b"]], "x: expected numbers, got dtype <U1"),
        (np.full((3, 2), np.inf), "x: expected finite numbers"),
    ],
)
def test_a_batcher_refuses(x, message):
    with Batcher(classifier()) as batcher, pytest.raises((ValueError, TypeError), match=message):
        batcher.submit(x)


def test_a_batcher_keeps_the_estimator_that_it_was_given():
    fitted = regressor()
    before = fitted.predict(X)
    with Batcher(fitted) as batcher:
        fitted.fit(X, -5.0 * ABOVE)
        assert batcher.submit(X[0]).result() == before[0]


# Refused


def test_what_a_file_cannot_hold_is_refused(tmp_path):
    pandas = pytest.importorskip("pandas")

    class Own(LSTMClassifier):
        pass

    dates = np.array(["2020-01-01", "2021-01-01"], "M8[D]")
    on_two_days = pandas.offsets.CustomBusinessDay(weekmask="Mon Tue")
    custom = pandas.date_range("2020-01-01", periods=90, freq=on_two_days)
    y = np.where(ABOVE, "up", "down")
    for estimator, message in (
        (LSTMClassifier(), "This LSTMClassifier instance is not fitted yet"),
        (Own(**SMALL).fit(X, y), "model: expected LSTMClassifier, LSTMForecaster, LSTMRegressor, got Own"),
        (classifier(dates), "classes: expected strings, integers, booleans or floats"),
        (classifier(random_state=np.random.RandomState(0)), "random_state: expected a number, a string"),
        (forecaster(pandas.Series(SERIES, custom)), "series: expected an index that a file can hold"),
        (forecaster(pandas.Series(SERIES, name=("a", 1))), "series: expected names that are strings or"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            fastlstm.save(estimator, tmp_path / "estimator")
    with pytest.raises(ValueError, match="not fitted yet"):
        Batcher(LSTMForecaster())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cell", ["gru", "rnn"])
@pytest.mark.parametrize("make", [classifier, forecaster])
def test_other_cells(again, make, cell):
    estimator = make(cell=cell)
    assert type(estimator.model_.layers[0]).__name__ == cell.upper()
    loaded = again(estimator)
    assert loaded.get_params() == estimator.get_params()
    given = (X,) if make is classifier else ()
    assert same_bits(loaded.predict(*given), estimator.predict(*given))


def test_a_file_from_before_there_were_other_cells(tmp_path):
    estimator = classifier()
    description, tensors = contents(estimator, tmp_path)
    container.write(tmp_path / "old", "fastlstm", changed(description, ("parameters", "cell"), None), tensors)
    loaded = fastlstm.load(tmp_path / "old")
    assert loaded.cell == "lstm"
    assert same_bits(loaded.predict_proba(X), estimator.predict_proba(X))


def contents(estimator, folder):
    fastlstm.save(estimator, folder / "good")
    return container.read(folder / "good", "fastlstm")


def changed(description, path, value):
    """Return a description with one entry, found by a path of keys, replaced."""
    whole = json.loads(json.dumps(description))
    *parents, last = path
    inner = whole
    for key in parents:
        inner = inner[key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return whole


FORGED = [
    ("classifier", ("class",), "os.system", "class: expected one of LSTMClassifier"),
    ("classifier", ("class",), ["LSTMClassifier"], "class: expected one of LSTMClassifier"),
    ("classifier", ("class",), "LSTMRegressor", "parameters: expected"),
    ("classifier", ("model",), {"class": "Tanh", "arguments": {}}, "tensors: expected those of Tanh"),
    ("classifier", ("features",), 3, "model: expected an LSTM, GRU or RNN that reads 3 numbers"),
    ("classifier", ("features",), "2", "features: expected an integer"),
    ("classifier", ("features",), None, "features: expected an integer of at least 1"),
    ("classifier", ("names",), ["a"], "names: expected 2, got 1"),
    ("classifier", ("names",), ["a", 5], r"names\[1\]: expected str, got 5"),
    ("classifier", ("table",), True, "model: expected an LSTM, GRU or RNN that reads 1 numbers"),
    ("classifier", ("classes",), None, "classes: expected a mapping"),
    ("classifier", ("classes", "labels"), ["up"], "and a Linear that gives 1"),
    ("classifier", ("classes", "labels"), ["up", "down"], "labels: expected each once, in order"),
    ("classifier", ("classes", "labels"), ["up", {}], r"labels\[1\]: expected str"),
    ("classifier", ("classes", "labels"), ["a" * 10**6, *"b" * 100], "labels: expected at most"),
    ("classifier", ("classes", "dtype"), "V8", "dtype of classes: expected one of str"),
    ("classifier", ("classes", "dtype"), "int8", r"labels\[0\]: expected int"),
    ("classifier", ("classes",), {"dtype": "int8", "labels": [1, 1000]}, "labels: expected numbers of int8"),
    ("classifier", ("parameters", "epochs"), None, "parameters: expected"),
    ("classifier", ("parameters", "hidden_size"), {"a": 1}, "pairs: expected list"),
    ("classifier", ("parameters", "random_state"), "a", "random_state: expected an integer"),
    ("regressor", ("columns",), 2, "and a Linear that gives 2"),
    ("regressor", ("columns",), 10**30, "expected an integer of at most"),
    ("forecaster", ("windows", "window"), 10**12, r"end: expected \(1000000000000, 1\)"),
    ("forecaster", ("windows", "horizon"), 10**12, "model: expected an LSTM"),
    ("forecaster", ("windows", "period"), 0, "period: expected an integer of at least 1"),
    ("forecaster", ("windows",), [], "windows: expected a mapping"),
    ("forecaster", ("quantiles",), [0.9, 0.1], "quantiles: expected two or more ascending"),
    ("forecaster", ("quantiles",), ["a"], r"quantiles\[0\]: expected float"),
    ("forecaster", ("form", "names"), [["a"]], r"names\[0\]: expected str or int or NoneType"),
    ("forecaster", ("form", "index", "kind"), "x", "index: expected dates, periods"),
    ("forecaster", ("form", "index", "last"), 10**30, "index: expected dates"),
    ("forecaster", ("form", "index", "last"), 2**63 - 1, ""),
    ("forecaster", ("form", "index", "last"), "now", "last: expected int"),
    ("forecaster", ("form", "index", "unit"), "Y", "unit: expected one of"),
    ("forecaster", ("form", "index", "zone"), "dateutil//etc/localtime", "zone: expected the name of"),
    ("forecaster", ("form", "index", "zone"), "../../etc/passwd", ""),
    ("forecaster", ("form", "index", "zone"), "No/Where", "index: expected dates"),
    ("forecaster", ("form", "index", "step"), "soon", "soon"),
    ("forecaster", ("form", "index", "step"), "99999999999999999999ME", "(Invalid frequency|too large)"),
    ("forecaster", ("form", "index"), {"kind": "numbers", "last": 1, "dtype": "O"}, "dtype of index"),
    ("forecaster", ("form", "index"), {"kind": "numbers", "last": 999, "dtype": "int8"}, "index: expected"),
    ("forecaster", ("form", "index"), {"kind": "periods", "last": 10**20, "step": "M"}, "index: expected"),
    ("forecaster", ("form", "index"), {"kind": "durations", "last": 1, "unit": "ns"}, "step: expected int"),
]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    pandas = pytest.importorskip("pandas")
    folder = tmp_path_factory.mktemp("good")
    series = pandas.Series(SERIES, indices()[1])
    estimators = {"classifier": classifier(), "regressor": regressor(), "forecaster": forecaster(series)}
    return {name: contents(estimator, folder) for name, estimator in estimators.items()}


@pytest.mark.parametrize(("name", "path", "value", "message"), FORGED)
def test_forged_descriptions(name, path, value, message, good, tmp_path):
    description, tensors = good[name]
    container.write(tmp_path / "forged", "fastlstm", changed(description, path, value), tensors)
    with pytest.raises(ValueError, match=f"path: expected a model that this fastlstm's save.*{message}"):
        fastlstm.load(tmp_path / "forged")


@pytest.mark.parametrize(
    ("name", "tensor", "value", "message"),
    [
        ("regressor", "scaler.mean", None, r"scaler.mean: expected an array of shape \(1,\), got none"),
        ("regressor", "scaler.mean", np.zeros(2), r"scaler.mean: expected \(1,\) of float64, got \(2,\)"),
        ("regressor", "scaler.scale", np.zeros(1), "scaler.scale: expected numbers above 0"),
        ("regressor", "scaler.scale", np.full(1, np.nan), "scaler.scale: expected finite numbers"),
        ("regressor", "scaler.scale", np.ones(1, "f"), r"scaler.scale: expected \(1,\) of float64"),
        ("regressor", "other", np.zeros(1), "tensors: expected those of LSTMRegressor, surplus other"),
        ("regressor", "model.3.weight", np.zeros(1), "surplus"),
        ("forecaster", "end", np.zeros((3, 1)), r"end: expected \(8, 1\) of float64, got \(3, 1\)"),
        ("classifier", "scaler.mean", np.zeros(1), "tensors: expected those of LSTMClassifier"),
    ],
)
def test_forged_tensors(name, tensor, value, message, good, tmp_path):
    description, tensors = good[name]
    others = {name: array for name, array in tensors.items() if name != tensor}
    forged = others if value is None else others | {tensor: value}
    container.write(tmp_path / "forged", "fastlstm", description, forged)
    with pytest.raises(ValueError, match=message):
        fastlstm.load(tmp_path / "forged")


def paths(value, so_far=()):
    """Return the paths of keys to every entry of a description but the model's."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [
        path
        for key, part in inner
        if (*so_far, key) != ("model",)
        for path in ((*so_far, key), *paths(part, (*so_far, key)))
    ]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")  # of scikit-learn
@pytest.mark.filterwarnings("ignore:X has no feature names")  # of the same without it
@settings(max_examples=150)
@given(data=st.data())
@pytest.mark.parametrize("without", [False, True])
def test_any_forged_entry_is_refused_or_predicts(without, data, good, tmp_path_factory):
    name = data.draw(st.sampled_from(sorted(good)))
    description, tensors = good[name]
    forged = changed(description, data.draw(st.sampled_from(paths(description))), data.draw(JUNK))
    path = tmp_path_factory.getbasetemp() / "forged estimator"
    container.write(path, "fastlstm", forged, tensors)
    with pytest.MonkeyPatch.context() as patch:
        if without:
            patch.setattr("fastlstm.interop.estimator_files.find_spec", lambda name: None)
        assert refused_or_predicts(path, SERIES if name == "forecaster" else X)


def test_forged_names_are_missed_without_scikit_learn(good, tmp_path, monkeypatch):
    description, tensors = good["regressor"]
    container.write(tmp_path / "forged", "fastlstm", changed(description, ("names",), ["", ""]), tensors)
    monkeypatch.setattr("fastlstm.interop.estimator_files.find_spec", lambda name: None)
    with pytest.warns(UserWarning, match="X has no feature names"):
        assert refused_or_predicts(tmp_path / "forged", X)


def refused_or_predicts(path, x):
    """Return whether a file is refused with its sentence, or gives what predicts."""
    try:
        loaded = fastlstm.load(path)
    except ValueError as error:
        return str(error).startswith("path: expected a model that this fastlstm's save wrote, got ")
    return len(loaded.predict(x)) == (3 if x is SERIES else len(x))
