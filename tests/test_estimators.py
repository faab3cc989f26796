"""Estimators in scikit-learn's protocol."""

import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs sklearn: pip install '.[sklearn]'")

from joblib import Parallel, cpu_count, delayed
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import fastlstm
from fastlstm.estimators import LSTMClassifier, LSTMForecaster, LSTMRegressor
from fastlstm.training import AdamW

SMALL = {"hidden_size": 8, "epochs": 15, "learning_rate": 0.02, "batch_size": 16, "random_state": 0}


def classifier(**options):
    return LSTMClassifier(**(SMALL | options))


def regressor(**options):
    return LSTMRegressor(**(SMALL | options))


def forecaster(**options):
    return LSTMForecaster(**(SMALL | {"window": 8, "horizon": 3} | options))


def labelled(count=60, size=2, seed=0):
    """Sequences of different lengths, and whether their first variable's sum is above 0."""
    rng = np.random.default_rng(seed)
    X = [rng.standard_normal((length, size)) for length in rng.integers(3, 9, size=count)]
    return X, np.array(["up" if sequence[:, 0].sum() > 0 else "down" for sequence in X])


def dense(count=40, steps=6, size=2, seed=0):
    """Sequences of one length, and the mean of each variable."""
    X = np.random.default_rng(seed).standard_normal((count, steps, size))
    return X, X.mean(axis=1)


def wave(steps=120, variables=1):
    """Sines of 12 steps, (T,) or (T, n)."""
    angles = np.arange(steps)[:, None] * 2 * np.pi / 12 + np.arange(variables)
    return np.sin(angles)[:, 0] if variables == 1 else np.sin(angles)


def same_bits(a, b):
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()


# scikit-learn's own checks

BY_BATCH = "a sequence that weighs twice is in one batch, one that is there twice in two"
NO_SAMPLES = "the rows of a series are its steps, not samples: a forecast has a row for each step ahead"
EXCLUDED = [
    (classifier(), {"check_sample_weight_equivalence_on_dense_data": BY_BATCH}),
    (regressor(epochs=30), {"check_sample_weight_equivalence_on_dense_data": BY_BATCH}),
    (
        LSTMForecaster(hidden_size=4, epochs=2, window=4),
        {
            "check_methods_sample_order_invariance": NO_SAMPLES,
            "check_methods_subset_invariance": NO_SAMPLES,
            "check_fit2d_1sample": NO_SAMPLES,
            "check_fit1d": "a series may be one-dimensional",
            "check_fit2d_predict1d": "a series may be one-dimensional",
        },
    ),
]


@pytest.mark.parametrize(("estimator", "excluded"), EXCLUDED, ids=lambda value: type(value).__name__)
def test_scikit_learns_checks(estimator, excluded):
    results = check_estimator(estimator, expected_failed_checks=excluded, on_skip=None, on_fail=None)
    bad = ("failed", "xfail")
    failed = {
        result["check_name"]: repr(result["exception"]) for result in results if result["status"] in bad
    }
    assert failed.keys() == excluded.keys(), failed
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert skipped <= {"check_array_api_input"}  # it asks for SCIPY_ARRAY_API in the environment


# What X may be


def test_forms_of_x():
    pandas = pytest.importorskip("pandas")
    X, y = labelled()
    index = pandas.MultiIndex.from_tuples(
        [(f"sequence {k}", step) for k, sequence in enumerate(X) for step in range(len(sequence))]
    )
    frame = pandas.DataFrame(np.concatenate(X), index=index, columns=["a", "b"])
    backwards = pandas.concat([frame.loc[[f"sequence {k}"]].iloc[::-1] for k in range(len(X))])
    expected = classifier().fit(X, y).predict_proba(X)
    by_frame = classifier().fit(frame, y)
    assert same_bits(by_frame.predict_proba(frame), expected)
    assert same_bits(by_frame.predict_proba(backwards), expected)
    assert list(by_frame.feature_names_in_) == ["a", "b"]
    objects = np.empty(len(X), object)
    objects[:] = X
    assert same_bits(classifier().fit(objects, y).predict_proba(X), expected)


def test_equal_lengths_and_tables():
    X, y = dense(size=1)
    table = X[:, :, 0]
    fitted, by_table = regressor().fit(X, y[:, 0]), regressor().fit(table, y[:, 0])
    assert same_bits(fitted.predict(X), fitted.predict(list(X)))
    assert same_bits(fitted.predict(X), by_table.predict(table))
    assert (fitted.n_features_in_, by_table.n_features_in_) == (1, 6)
    with pytest.raises(ValueError, match=r"X: expected sequences .* as in fit, got a table"):
        fitted.predict(table)
    assert fitted.predict(X[:, :3]).shape == (40,)


def test_sequences_without_steps():
    X, y = labelled()
    X[3] = X[3][:0]
    assert np.isfinite(classifier().fit(X, y).predict_proba([X[3]])).all()


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([np.ones((3, 2)), np.ones((3, 1))], r"X\[1\]: expected shape \(T, 2\), got \(3, 1\)"),
        (np.ones((0, 3, 2)), "X: expected at least one sequence"),
        ([np.full((3, 2), np.nan)], "contains NaN"),
        (np.ones((2, 3, 4, 5)), r"X: expected a table .*, got shape"),
        (np.ones((2, 5, 3)), "X has 3 features"),
        ([np.full((3, 2), "a")], "X: expected numbers, got dtype <U1"),
        ([[[1, 2], [3]]], r"X\[0\]: expected an array"),
        (np.zeros((2, 5, 2), "M8[s]"), r"X: expected numbers, got dtype datetime64\[s\]"),
    ],
)
def test_refused_x(X, message):
    with pytest.raises((ValueError, TypeError), match=message):
        regressor(epochs=1).fit(*dense()).predict(X)


# Names of features


def framed(X, columns="ab"):
    pandas = pytest.importorskip("pandas")
    return [pandas.DataFrame(sequence, columns=list(columns)) for sequence in X]


def swapped(X):
    return [frame.iloc[:, ::-1] for frame in X]


def test_a_list_of_frames_has_names():
    X, y = labelled()
    frames = framed(X)
    fitted = classifier().fit(frames, y)
    assert fitted.feature_names_in_.tolist() == ["a", "b"]
    assert same_bits(fitted.predict_proba(frames), classifier().fit(X, y).predict_proba(X))
    objects = np.empty(len(X), object)
    objects[:] = frames
    assert same_bits(fitted.predict_proba(objects), fitted.predict_proba(frames))
    with pytest.raises(ValueError, match=r"must be in the same order as they were in fit"):
        fitted.predict(swapped(frames))
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- c\n.*now missing:\n- b"):
        fitted.predict(framed(X, "ac"))
    with pytest.raises(ValueError, match="must be in the same order"):
        fitted.partial_fit(swapped(frames), y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        fitted.predict(X)
    assert not hasattr(fitted.fit(X, y), "feature_names_in_")
    with pytest.warns(UserWarning, match="X has feature names, but LSTMClassifier was fitted without"):
        fitted.predict(frames)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_frames_of_a_list_that_disagree(make):
    X, y = dense()
    frames = framed(X)
    for wrong, told in (
        (swapped(frames[3:4])[0], "the columns b, a"),
        (X[3], "no columns' names"),
        (framed(X[3:4], "ac")[0], "the columns a, c"),
    ):
        mixed = [*frames[:3], wrong, *frames[4:]]
        with pytest.raises(ValueError, match=rf"X\[3\]: expected the columns a, b as X\[0\] has, got {told}"):
            make().fit(mixed, y[:, 0] > 0)
        with pytest.raises(ValueError, match=r"X\[3\]: expected the columns a, b"):
            make(epochs=1).fit(frames, y[:, 0] > 0).predict(mixed)


def test_names_of_single_frames():
    pandas = pytest.importorskip("pandas")
    X, y = dense(size=2)
    index = pandas.MultiIndex.from_product([range(40), range(6)])
    by_steps = pandas.DataFrame(X.reshape(-1, 2), index, ["a", "b"])
    table = pandas.DataFrame(X[:, :, 0], columns=list("abcdef"))
    series = pandas.DataFrame(wave(60, variables=2), columns=["a", "b"])
    for fit, x in (
        (lambda: regressor(epochs=1).fit(by_steps, y), by_steps),
        (lambda: regressor(epochs=1).fit(table, y), table),
        (lambda: forecaster(epochs=1).fit(series), series),
    ):
        with pytest.raises(ValueError, match="must be in the same order"):
            fit().predict(x.iloc[:, ::-1])
        with pytest.warns(UserWarning, match="valid feature names"):
            fit().predict(x.to_numpy() if x is not by_steps else X)
    assert same_bits(
        regressor(epochs=1).fit(by_steps, y).predict(framed(X)),
        regressor(epochs=1).fit(framed(X), y).predict(by_steps),
    )


# What fit promises


@pytest.mark.parametrize(
    "options", [{}, {"bidirectional": False, "num_layers": 2, "dropout": 0.3, "readout": "last"}]
)
def test_same_bits(options):
    X, y = labelled()
    fitted = classifier(**options).fit(X, y)
    together = fitted.predict_proba(X)
    assert same_bits(together, classifier(**options).fit(X, y).predict_proba(X))
    assert same_bits(together, np.concatenate([fitted.predict_proba([sequence]) for sequence in X]))
    assert same_bits(together, pickle.loads(pickle.dumps(fitted)).predict_proba(X))
    assert not same_bits(together, classifier(**options, random_state=1).fit(X, y).predict_proba(X))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"hidden_size": 0}, "hidden_size: "),
        ({"readout": "first"}, "readout: expected one of last, mean, max, got 'first'"),
        ({"dropout": 2.0}, "dropout: "),
        ({"learning_rate": 0.0}, "learning_rate: "),
        ({"validation_fraction": 1.0}, "validation_fraction: "),
        ({"epochs": 0}, "epochs: "),
        ({"class_weight": "even"}, "class_weight"),
        ({"class_weight": {"up": "heavy", "other": 1}}, "class_weight: expected numbers"),
        ({"class_weight": {"other": -1.0, "down": 1}}, "class_weight: expected finite numbers of at least 0"),
        ({"bidirectional": "False"}, "bidirectional: expected True or False, got 'False'"),
        ({"warm_start": "False"}, "warm_start: expected True or False, got 'False'"),
        ({"cell": "mgu"}, "cell: expected one of lstm, gru, rnn, got 'mgu'"),
        ({"readout": ["max"]}, "readout: expected one of last, mean, max, got"),
        ({"random_state": "a"}, "random_state: expected an integer, a RandomState or None, got 'a'"),
        ({"validation_fraction": 0.001}, "validation_fraction: expected a share that leaves sequences"),
    ],
)
def test_refused_parameters_change_nothing(option, message):
    X, y = labelled()
    fitted = classifier(epochs=1).fit(X, y)
    before = fitted.predict_proba(X)
    attributes = dict(vars(fitted))
    with pytest.raises((ValueError, TypeError), match=message):
        fitted.set_params(**option).fit(X, np.where(y == "up", "other", y))
    assert dict(vars(fitted)) == attributes | option
    assert same_bits(fitted.predict_proba(X), before)


@pytest.mark.parametrize(
    ("y", "weight", "message"),
    [
        (["a"] * 59, None, "y: expected one for each of 60 sequences"),
        (np.linspace(0, 1, 60), None, "continuous"),
        (["a", "b"] * 30, np.ones((60, 2)), "sample_weight: expected shape"),
        (["a", "b"] * 30, -np.ones(60), "sample_weight: expected finite numbers of at least 0"),
        (["a", "b"] * 30, ["heavy"] * 60, "sample_weight: expected numbers, got dtype <U5"),
        (["a", 1] * 30, None, "y: expected labels of one kind, got numbers and strings"),
        (
            np.array(["a", None] * 30, object),
            None,
            "y: expected labels of one kind, got NoneType and strings",
        ),
        ([[1], [1, 2]] * 30, None, "y: expected an array"),
    ],
)
def test_refused_targets(y, weight, message):
    with pytest.raises((ValueError, TypeError), match=message):
        classifier().fit(labelled()[0], y, weight)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["up", "down"] * 20, "y: expected numbers, got dtype <U4"),
        (np.array(["up", "down"] * 20, object), "y: expected numbers, got dtype object"),
        (np.zeros(40, "M8[D]"), r"y: expected numbers, got dtype datetime64\[D\]"),
    ],
)
def test_labels_are_not_numbers(y, message):
    with pytest.raises((ValueError, TypeError), match=message):
        regressor().fit(dense()[0], y)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_targets_whose_deviation_no_float_can_hold():
    X, y = dense()
    with pytest.raises(ValueError, match="y: expected numbers whose squares float64 can hold"):
        regressor().fit(X, y * 1e300)


def test_validation_and_patience():
    X, y = labelled()
    fitted = classifier(epochs=200, validation_fraction=0.25, patience=3).fit(X, y)
    assert fitted.history_.stopped == "patience"
    assert len(fitted.history_["val_loss"]) == fitted.history_.best_epoch + 3


def test_warm_start_goes_on():
    X, y = labelled()
    fitted = classifier(epochs=5, warm_start=True).fit(X, y)
    first = fitted.history_["loss"]
    assert fitted.fit(X, y).history_["loss"][0] < first[0]
    with pytest.raises(ValueError, match="y: expected labels among"):
        fitted.fit(X, np.where(y == "up", "other", y))
    with pytest.raises(ValueError, match="hidden_size"):
        fitted.set_params(hidden_size=4).fit(X, y)


def interrupt(fit, *data):
    """Call fit, with Ctrl-C after its first step."""
    step = AdamW.step

    def step_and_interrupt(self, gradients):
        step(self, gradients)
        signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AdamW, "step", step_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            fit(*data)


def test_an_interrupted_fit_is_none():
    X, y = labelled()
    fresh = classifier()
    interrupt(fresh.fit, X, y)
    assert not hasattr(fresh, "model_")


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_an_interrupted_fit_that_went_on_changes_nothing(method):
    X, y = labelled()
    fitted = classifier(epochs=2, warm_start=True, dropout=0.2).partial_fit(X, y, np.unique(y))
    whole = pickle.loads(pickle.dumps(fitted))
    before = fitted.predict_proba(X)
    interrupt(getattr(fitted, method), X, y)
    assert same_bits(fitted.predict_proba(X), before)
    assert same_bits(
        getattr(fitted, method)(X, y).predict_proba(X), getattr(whole, method)(X, y).predict_proba(X)
    )


SEARCH = """
import numpy as np
from sklearn.model_selection import GridSearchCV
from fastlstm.estimators import LSTMClassifier
from fastlstm.training import AdamW

step = AdamW.step
def told(self, gradients):
    print("begun", flush=True)
    AdamW.step = step
    step(self, gradients)
AdamW.step = told

X = np.random.default_rng(0).standard_normal((40, 5, 2))
search = GridSearchCV(LSTMClassifier(epochs=100_000), {"hidden_size": [2, 4]}, cv=2)
search.fit(X, X[:, 0, 0] > 0)
print(search.best_score_)
"""


def test_ctrl_c_ends_a_search():
    search = subprocess.Popen(
        [sys.executable, "-c", SEARCH], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert search.stdout.readline() == "begun\n"
    search.send_signal(signal.SIGINT)
    try:
        out, err = search.communicate(timeout=30)
    finally:
        search.kill()
    assert search.returncode == -signal.SIGINT
    assert err.endswith("KeyboardInterrupt\n")
    assert out == ""


# The classifier


def test_classes_and_probabilities():
    X, y = labelled(200)
    fitted = classifier().fit(X, y)
    assert fitted.score(X, y) > 0.95
    assert fitted.classes_.tolist() == ["down", "up"]
    probabilities = fitted.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    assert (fitted.classes_[probabilities.argmax(axis=1)] == fitted.predict(X)).all()


def test_weights_of_classes_are_weights_of_sequences():
    X, y = labelled()
    by_class = classifier(class_weight={"up": 3.0}).fit(X, y)
    by_sequence = classifier().fit(X, y, np.where(y == "up", 3.0, 1.0))
    assert same_bits(by_class.predict_proba(X), by_sequence.predict_proba(X))


def test_balanced_classes_count_the_same():
    X, _ = labelled(100)
    X = [np.zeros_like(sequence) for sequence in X]  # nothing to tell them by but how often they are
    y = np.arange(100) % 10 == 0
    shares = [
        classifier(class_weight=w, epochs=30).fit(X, y).predict_proba(X).mean() for w in (None, "balanced")
    ]
    rare = [
        classifier(class_weight=w, epochs=30).fit(X, y).predict_proba(X)[:, 1].mean()
        for w in (None, "balanced")
    ]
    assert shares == pytest.approx([0.5, 0.5])
    assert rare == pytest.approx([0.1, 0.5], abs=0.05)


def test_sequences_that_weigh_nothing():
    X, y = labelled(200)
    wrong = np.random.default_rng(1).random(200) < 0.4
    swapped = np.where(wrong, np.where(y == "up", "down", "up"), y)
    assert classifier().fit(X, swapped, np.where(wrong, 0.0, 1.0)).score(X, y) > 0.9


def test_partial_fit():
    X, y = labelled()
    parts = classifier(epochs=1).partial_fit(X[:30], y[:30], ["up", "down", "level"])
    copied = pickle.loads(pickle.dumps(parts))
    for estimator in (parts, copied):
        estimator.partial_fit(X[30:], y[30:])
    assert same_bits(parts.predict_proba(X), copied.predict_proba(X))
    assert parts.predict_proba(X).shape == (60, 3)
    assert len(parts.history_["loss"]) == 2
    whole = classifier(epochs=1).partial_fit(X, y, np.unique(y))
    assert same_bits(whole.predict_proba(X), classifier(epochs=1).fit(X, y).predict_proba(X))


def test_refused_partial_fit():
    X, y = labelled()
    with pytest.raises(ValueError, match="classes: expected all classes in the first call"):
        classifier().partial_fit(X, y)
    fresh = classifier()
    with pytest.raises(ValueError, match="y: expected labels among"):
        fresh.partial_fit(X, y, ["up"])
    assert not hasattr(fresh, "classes_")
    for classes, message in (
        ("up", r"classes: expected shape \(C,\)"),
        ([], r"classes: expected shape \(C,\), at least one"),
        (["up", 1], "classes: expected labels of one kind"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            fresh.partial_fit(X, y, classes)
    with pytest.raises(ValueError, match=r"classes: expected .* as before"):
        classifier().partial_fit(X, y, ["up", "down"]).partial_fit(X, y, ["up", "off"])
    with pytest.raises(ValueError, match="class_weight: expected None or a dict"):
        classifier(class_weight="balanced").partial_fit(X, y, ["up", "down"])


# The regressor


def test_several_targets_of_any_scale():
    X, y = dense(100)
    fitted = regressor(epochs=40).fit(X, y * [1e6, 1e-6] + [0, 5])
    assert fitted.score(X, y * [1e6, 1e-6] + [0, 5]) > 0.9
    assert fitted.predict(X).shape == y.shape
    assert regressor().fit(X, y[:, 0]).predict(X).shape == (100,)
    assert regressor().fit(X, np.full(100, 7)).predict(X) == pytest.approx(7, abs=0.3)


def test_partial_fit_keeps_its_targets_scale():
    X, y = dense(100)
    fitted = regressor()
    for _ in range(40):
        fitted.partial_fit(X[:50], y[:50, 0]).partial_fit(X[50:], y[50:, 0])
    assert fitted.score(X, y[:, 0]) > 0.9
    with pytest.raises(ValueError, match="y: expected shape"):
        fitted.partial_fit(X, y)


# Around them


def test_searches_pipelines_and_clones():
    X, y = labelled(30)
    grid = {"hidden_size": [2, 4], "readout": ["last", "max"]}
    here = GridSearchCV(classifier(epochs=2), grid, cv=2, n_jobs=1).fit(X, y)
    there = GridSearchCV(classifier(epochs=2), grid, cv=2, n_jobs=2).fit(X, y)
    assert same_bits(here.cv_results_["mean_test_score"], there.cv_results_["mean_test_score"])
    assert cross_val_score(clone(here.best_estimator_), X, y, cv=2).shape == (2,)
    table, target = dense(size=1)
    pipeline = make_pipeline(StandardScaler(), regressor(epochs=40))
    assert pipeline.fit(table[:, :, 0], target[:, 0]).score(table[:, :, 0], target[:, 0]) > 0.8


def test_workers_keep_to_their_share():
    threads = Parallel(n_jobs=2)(delayed(fastlstm.get_num_threads)() for _ in range(2))
    assert threads == [max(1, cpu_count() // 2)] * 2


def test_scikit_learn_is_imported_where_it_is_used():
    imports = "import sys, fastlstm; assert 'sklearn' not in sys.modules; sys.modules['sklearn'] = None\n"
    result = subprocess.run(
        [sys.executable, "-c", imports + "import fastlstm.estimators"], capture_output=True, text=True
    )
    assert "fastlstm.estimators needs scikit-learn: pip install 'fastlstm[sklearn]'" in result.stderr


def test_the_page_runs():
    page = (Path(__file__).parents[1] / "docs" / "estimators.md").read_text(encoding="utf-8")
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, "estimators.md", "exec"), names)
    assert names["search"].best_score_ > 0.6
    assert same_bits(names["answer"], names["regressor"].predict(names["X"][:1])[0])
    assert ((names["lower"] < names["median"]) & (names["median"] < names["upper"])).all()


# The forecaster


@pytest.mark.parametrize("variables", [1, 2])
def test_a_wave_is_told(variables):
    series = wave(variables=variables)
    fitted = forecaster(epochs=40).fit(series[:-3])
    np.testing.assert_allclose(fitted.predict(), series[-3:], atol=0.3)
    lower, upper = fitted.predict_interval()
    assert lower.shape == upper.shape == series[-3:].shape
    assert (lower <= fitted.predict()).all()
    assert (fitted.predict() <= upper).all()


def test_score_is_the_error_of_all_windows():
    series = wave(40, variables=2)
    fitted = forecaster(epochs=2).fit(series)
    errors = [
        fitted.predict(series[:start]) - series[start : start + 3] for start in range(8, len(series) - 2)
    ]
    assert fitted.score(series) == pytest.approx(-np.abs(errors).mean(), rel=1e-12)


def test_a_long_path_goes_on_from_itself():
    series = wave()
    fitted = forecaster(epochs=2, seasonal_period=5).fit(series)
    path = fitted.predict(horizon=8)
    assert same_bits(path[:3], fitted.predict())
    assert same_bits(path[3:6], fitted.predict(np.concatenate([series, path[:3]])))


@pytest.mark.parametrize("period", [1, 12])
def test_seasons_are_told_as_differences(period):
    """A series that grows, which is never again where it was."""
    steps = np.arange(150)
    series = 0.3 * steps + (np.sin(steps * 2 * np.pi / 12) if period == 12 else 0)
    fitted = forecaster(seasonal_period=period, horizon=15, epochs=5).fit(series[:-15])
    np.testing.assert_allclose(fitted.predict(), series[-15:], atol=0.2)


def test_intervals_cover_what_they_say():
    rng = np.random.default_rng(0)
    series = np.zeros(3000)
    for t in range(1, len(series)):
        series[t] = 0.7 * series[t - 1] + rng.standard_normal()
    fitted = forecaster(window=4, horizon=2, epochs=4, batch_size=64, learning_rate=0.01).fit(series[:2000])
    ends = range(2000, 2998, 2)
    for coverage in (0.5, 0.6, 0.9):
        inside = [
            (lower <= series[end : end + 2]) & (series[end : end + 2] <= upper)
            for end in ends
            for lower, upper in [fitted.predict_interval(coverage, series[end - 4 : end])]
        ]
        assert np.mean(inside) == pytest.approx(coverage, abs=0.06)


def test_other_quantiles():
    fitted = forecaster(quantiles=(0.02, 0.4, 0.8), epochs=1).fit(wave())
    lower, upper = fitted.predict_interval(0.6)
    assert (lower < fitted.predict()).all()
    assert (fitted.predict() < upper).all()
    with pytest.raises(ValueError, match="coverage: expected what the quantiles"):
        fitted.predict_interval(0.9)


def test_validation_is_after_training():
    fitted = forecaster(validation_fraction=0.2, epochs=2).fit(wave())
    training, held_out = fitted._split(fitted._windows.starts(wave()[:, None]))
    assert training[-1] + fitted.horizon == held_out[0]
    assert len(fitted.history_["val_loss"]) == 2


def test_partial_fit_goes_on_from_another_stretch():
    fitted = forecaster(epochs=1).fit(wave(60))
    fitted.partial_fit(wave(40))
    assert same_bits(fitted.predict(), fitted.predict(wave(40)))
    assert len(fitted.history_["loss"]) == 2


def test_frames_get_frames():
    pandas = pytest.importorskip("pandas")
    dates = pandas.date_range("2020-01-31", periods=60, freq="ME", name="month")
    frame = pandas.DataFrame(wave(60, variables=2), index=dates, columns=["a", "b"])
    fitted = forecaster(epochs=1).fit(frame)
    ahead = fitted.predict()
    assert list(ahead.columns) == ["a", "b"]
    assert ahead.index.equals(pandas.date_range("2025-01-31", periods=3, freq="ME"))
    assert ahead.index.name == "month"
    assert same_bits(ahead, forecaster(epochs=1).fit(frame.to_numpy()).predict())
    for index, following in [
        (dates._with_freq(None), pandas.date_range("2025-01-31", periods=3, freq="ME")),
        (dates.to_period(), pandas.period_range("2025-01", periods=3, freq="M")),
        (pandas.RangeIndex(0, 120, 2), pandas.Index([120, 122, 124])),
        (pandas.Index(np.arange(60) * 0.5 + 1900), pandas.Index([1930.0, 1930.5, 1931.0])),
    ]:
        series = pandas.Series(wave(60), index=index, name="level")
        lower, upper = forecaster(epochs=1).fit(series).predict_interval()
        assert lower.name == upper.name == "level"
        assert lower.index.equals(following)
    with pytest.raises(ValueError, match="series: expected an index that tells how it goes on"):
        forecaster().fit(frame.drop(dates[5]))


def test_forecasts_are_of_what_was_learned():
    fitted = forecaster(epochs=1).fit(wave())
    path, interval = fitted.predict(), fitted.predict_interval()
    fitted.set_params(horizon=5, window=4, seasonal_period=2, quantiles=(0.4, 0.6))
    assert same_bits(fitted.predict(), path)
    assert same_bits(fitted.predict_interval(), interval)
    with pytest.raises(ValueError, match=r"model: expected Windows.*horizon=3.* as before"):
        fitted.partial_fit(wave())
    same_count = {"quantiles": (0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8)}
    with pytest.raises(ValueError, match=r"model: expected .*0\.95\) as before"):
        forecaster(epochs=1).fit(wave()).set_params(**same_count).partial_fit(wave())


def test_search_over_time():
    search = GridSearchCV(forecaster(epochs=1), {"window": [4, 6]}, cv=TimeSeriesSplit(2)).fit(wave(90))
    assert search.best_params_["window"] in (4, 6)
    assert search.best_score_ < 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: forecaster(horizon=0).fit(wave()), "horizon: "),
        (lambda: forecaster(quantiles=(0.6, 0.9)).fit(wave()), "quantiles: expected two or more ascending"),
        (lambda: forecaster(quantiles="abc").fit(wave()), "quantiles: expected two or more ascending"),
        (lambda: forecaster().fit(["a"] * 50), "series: expected numbers, got dtype <U1"),
        (lambda: forecaster().fit(wave(10)), "series: expected at least 11 steps, got 10"),
        (lambda: forecaster(validation_fraction=0.9).fit(wave(12)), "series: expected more steps"),
        (lambda: forecaster().fit(np.ones((3, 4, 5))), "series: expected shape"),
        (lambda: forecaster().fit(np.full(50, np.nan)), "Input series contains NaN"),
        (
            lambda: forecaster(epochs=1).fit(wave()).predict(wave(7)),
            "series: expected at least 8 steps, got 7",
        ),
        (lambda: forecaster(epochs=1).fit(wave()).predict(wave(9, 2)), "2 features"),
        (
            lambda: forecaster(epochs=1).fit(wave()).predict_interval(0.95),
            "coverage: expected what the quantiles",
        ),
    ],
)
def test_refused_series(call, message):
    with pytest.raises(ValueError, match=message):
        call()
