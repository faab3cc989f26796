"""The forecaster and the classifier of sktime, by its own checks and beside the estimators."""

import numpy as np
import pytest

pytest.importorskip("sktime", reason="needs sktime: pip install '.[sktime]'")

import pandas as pd
from sktime.datatypes import convert_to
from sktime.forecasting.base import ForecastingHorizon
from sktime.forecasting.model_evaluation import evaluate
from sktime.split import ExpandingWindowSplitter
from sktime.utils.estimator_checks import check_estimator

from fastlstm import estimators
from fastlstm.interop.sktime import LSTMClassifier, LSTMForecaster

# sktime's own, of defaults that will change, and of what its checks do.
pytestmark = pytest.mark.filterwarnings("ignore")

SMALL = {"hidden_size": 4, "epochs": 2, "window": 8, "horizon": 3, "random_state": 0}

rng = np.random.default_rng(0)
INDEX = pd.period_range("2010-01", periods=96, freq="M")
WAVE = np.sin(np.arange(96) * 2 * np.pi / 12) + 0.1 * rng.standard_normal(96)
Y = pd.Series(WAVE, INDEX, name="level")
X = pd.DataFrame({"early": np.roll(WAVE, -2), "noise": rng.standard_normal(96)}, INDEX)


def forecaster(**options):
    return LSTMForecaster(**SMALL | options)


def own(values, **options):
    return estimators.LSTMForecaster(**SMALL | options).fit(values)


def passed(kind, **which):
    """Run sktime's checks, and return how many passed; all have to."""
    results = check_estimator(kind, raise_exceptions=False, verbose=False, **which)
    assert {name: result for name, result in results.items() if result != "PASSED"} == {}
    return len(results)


def test_a_sample_of_the_checks():
    names = ["test_constructor", "test_predict_quantiles", "test_update_with_exogenous_variables"]
    assert passed(LSTMForecaster, tests_to_run=names) > 24
    names = ["test_constructor", "test_classifier_output", "test_fit_idempotent", "test_clone"]
    assert passed(LSTMClassifier, tests_to_run=names) > 5


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "least"), [(LSTMForecaster, 700), (LSTMClassifier, 200)])
def test_all_checks(kind, least):
    assert passed(kind) > least


# The forecaster


def test_forecasts_are_the_estimators():
    fitted = forecaster().fit(Y)
    expected = own(WAVE[:, None])
    ahead = fitted.predict(fh=[1, 2, 3, 5])
    assert ahead.name == "level"
    assert ahead.index.equals(pd.PeriodIndex(["2018-01", "2018-02", "2018-03", "2018-05"], freq="M"))
    assert np.array_equal(ahead, expected.predict(horizon=5)[[0, 1, 2, 4], 0])
    quantiles = fitted.predict_quantiles(fh=[2, 5], alpha=[0.1, 0.6])
    beside = expected.predict_quantiles([0.1, 0.6], horizon=5)
    assert np.array_equal(quantiles, np.hstack(beside)[[1, 4]])
    interval = fitted.predict_interval(fh=[2, 5], coverage=0.8)
    assert np.array_equal(interval, np.hstack(expected.predict_interval(0.8, horizon=5))[[1, 4]])


def test_in_sample_is_one_step_ahead_of_what_was_before():
    fitted = forecaster().fit(Y)
    inside = fitted.predict(fh=ForecastingHorizon(INDEX, is_relative=False))
    assert inside.index.equals(INDEX)
    assert np.isfinite(inside).all()
    expected = own(WAVE[:, None])
    for place in (8, 50, 95):
        assert inside.iloc[place] == expected.predict(WAVE[:place, None])[0, 0]
    assert inside.iloc[0] == expected.predict(np.full((8, 1), WAVE[0]))[0, 0]
    with pytest.raises(ValueError, match="fh: expected steps of the 96 known"):
        fitted.predict(fh=[-200])


def test_exogenous_variables_are_read_as_they_are_known():
    fitted = forecaster().fit(Y, X=X)
    expected = own(np.column_stack([WAVE, X])).predict()[:, 0]
    assert np.array_equal(fitted.predict(fh=[1, 2, 3]), expected)
    later = pd.DataFrame(1e9, pd.period_range("2018-01", periods=3, freq="M"), X.columns)
    assert np.array_equal(fitted.predict(fh=[1, 2, 3], X=later), expected)
    assert fitted.predict_interval(fh=[1, 5]).shape == (2, 2)


def test_updates():
    known, new = Y[:80], Y[80:]
    moved = forecaster().fit(known).update(new, update_params=False)
    assert np.array_equal(moved.predict(fh=[1, 2]), own(WAVE[:80, None]).predict(WAVE[:, None])[:2, 0])
    learned = forecaster().fit(known).update(new)
    # The windows whose last step is new.
    expected = own(WAVE[:80, None]).partial_fit(WAVE[80 - 8 - 3 + 1 :, None])
    assert np.array_equal(learned.predict(fh=[1, 2]), expected.predict(WAVE[:, None])[:2, 0])
    assert learned.predict(fh=[1]).index[0] == pd.Period("2018-01", "M")
    with pytest.raises(ValueError, match="X: expected X as in fit"):
        forecaster().fit(known, X=X[:80]).update(new)


def test_evaluated_over_time():
    splits = ExpandingWindowSplitter(initial_window=60, step_length=12, fh=[1, 2, 3])
    for strategy in ("refit", "no-update_params"):
        results = evaluate(forecaster(), splits, Y, strategy=strategy, error_score="raise")
        assert (results["test_MeanAbsolutePercentageError"] < 20).all()


def test_refused_arguments():
    with pytest.raises(TypeError, match="hidden"):
        LSTMForecaster(hidden=3)
    with pytest.raises(ValueError, match="window: expected"):
        forecaster(window=0).fit(Y)
    with pytest.raises(ValueError, match=r"probabilities: expected numbers from 0\.05 to 0\.95"):
        forecaster().fit(Y).predict_quantiles(fh=[1], alpha=[0.99])


# The classifier


def test_series_of_different_lengths():
    frames = [pd.DataFrame(rng.standard_normal((n, 2)), columns=["a", "b"]) for n in range(3, 33)]
    y = np.array(["up" if frame["a"].sum() > 0 else "down" for frame in frames])
    options = {"hidden_size": 8, "epochs": 30, "learning_rate": 0.02, "random_state": 0}
    fitted = LSTMClassifier(**options).fit(convert_to(frames, "df-list"), y)
    expected = estimators.LSTMClassifier(**options).fit([frame.to_numpy() for frame in frames], y)
    assert np.array_equal(fitted.predict(frames), expected.predict([frame.to_numpy() for frame in frames]))
    assert fitted.predict_proba(frames).shape == (30, 2)
    assert fitted.score(frames, y) > 0.9
