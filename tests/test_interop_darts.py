"""The forecaster as a model of Darts."""

import numpy as np
import pytest

pytest.importorskip("darts", reason="needs darts: pip install '.[darts]'")

import pandas as pd
from darts import TimeSeries
from darts.models import NaiveSeasonal

from fastlstm import estimators
from fastlstm.interop.darts import LSTMForecaster

SMALL = {"hidden_size": 4, "epochs": 2, "window": 12, "horizon": 4, "random_state": 0}

rng = np.random.default_rng(0)
TIMES = pd.date_range("2010-01-01", periods=132, freq="MS")
VALUES = np.sin(np.arange(132) * 2 * np.pi / 12) + 0.1 * rng.standard_normal(132)
SERIES = TimeSeries.from_times_and_values(TIMES, VALUES)
BOTH = TimeSeries.from_times_and_values(TIMES, np.stack([VALUES, -VALUES], axis=1), columns=["a", "b"])


def model(**options):
    return LSTMForecaster(**SMALL | options)


def own(values, **options):
    return estimators.LSTMForecaster(**SMALL | options).fit(values)


def test_forecasts_are_the_estimators():
    fitted = model().fit(SERIES)
    ahead = fitted.predict(6)
    assert ahead.start_time() == pd.Timestamp("2021-01-01")
    assert np.array_equal(ahead.values(), own(VALUES[:, None]).predict(horizon=6))
    several = model().fit(BOTH).predict(3)
    assert list(several.components) == ["a", "b"]
    assert np.array_equal(several.values(), own(BOTH.values()).predict(horizon=3))


def test_sampled_paths():
    fitted = model().fit(BOTH)
    paths = fitted.predict(6, num_samples=20)
    assert paths.all_values().shape == (6, 2, 20)
    assert paths == fitted.predict(6, num_samples=20)
    assert paths != fitted.predict(6, num_samples=20, random_state=1)


def test_other_series():
    fitted = model().fit(SERIES)
    one, two = fitted.predict(3, [SERIES[:-3], SERIES[:-5]])
    assert one.start_time() == SERIES.time_index[-3]
    assert np.array_equal(two.values(), own(VALUES[:, None]).predict(VALUES[:-5, None], 3))
    assert len(fitted.predict(3, SERIES[:20])) == 3


def test_past_covariates():
    covariates = TimeSeries.from_times_and_values(TIMES[5:], np.roll(VALUES, -2)[5:])
    fitted = model().fit(SERIES[:-6], past_covariates=covariates)
    expected = own(np.stack([VALUES, np.roll(VALUES, -2)], axis=1)[5:-6]).predict(horizon=4)[:, :1]
    assert np.array_equal(fitted.predict(4).values(), expected)
    assert np.array_equal(fitted.predict(4, SERIES[:-6], past_covariates=covariates).values(), expected)
    with pytest.raises(ValueError, match="past_covariates"):
        fitted.predict(4, SERIES[:-6])
    with pytest.raises(ValueError, match="past_covariates: expected steps known as far as the series"):
        fitted.predict(4, SERIES, past_covariates=covariates[:-1])


@pytest.mark.parametrize("retrain", [False, True])
def test_historical_forecasts(retrain):
    options = {"start": 0.9, "forecast_horizon": 3, "last_points_only": False, "retrain": retrain}
    fitted = model(epochs=1).fit(SERIES[:-20])
    told = fitted.historical_forecasts(SERIES, **options)
    naive = NaiveSeasonal(12).historical_forecasts(SERIES, **options | {"retrain": True})
    assert [forecast.start_time() for forecast in told] == [forecast.start_time() for forecast in naive]
    last = told[-1]
    before = SERIES.drop_after(last.start_time())
    again = model(epochs=1).fit(before if retrain else SERIES[:-20]).predict(3, before)
    assert np.array_equal(last.values(), again.values())


def test_historical_forecasts_with_covariates_see_no_end():
    covariates = TimeSeries.from_times_and_values(TIMES, np.roll(VALUES, -2))
    fitted = model().fit(SERIES[:-20], past_covariates=covariates)
    told = fitted.historical_forecasts(SERIES, covariates, start=0.9, forecast_horizon=2, retrain=False)
    changed = covariates.values().copy()
    changed[-1] = 100
    other = TimeSeries.from_times_and_values(TIMES, changed)
    assert told == fitted.historical_forecasts(SERIES, other, start=0.9, forecast_horizon=2, retrain=False)


def test_backtest_and_search():
    error = model().backtest(SERIES, start=0.8, forecast_horizon=3, stride=6)
    assert error < 60
    best, parameters, _ = LSTMForecaster.gridsearch(
        {"window": [6, 12], "epochs": [1], "hidden_size": [4], "random_state": [0]},
        SERIES[:-12],
        val_series=SERIES[-12:],
    )
    assert best.window == parameters["window"] in (6, 12)


def test_saved_and_loaded(tmp_path):
    fitted = model().fit(SERIES)
    fitted.save(str(tmp_path / "model.pkl"))
    loaded = LSTMForecaster.load(str(tmp_path / "model.pkl"), trusted=True)
    assert loaded.predict(5) == fitted.predict(5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: model().fit(SERIES, future_covariates=SERIES), "future_covariates: expected None"),
        (
            lambda: model().fit(SERIES).predict(2, future_covariates=SERIES),
            "future_covariates: expected None",
        ),
        (lambda: model().fit([SERIES]), "series: expected one TimeSeries, got list"),
        (lambda: model().fit(SERIES[:15]), "series: expected at least 16 steps, got 15"),
        (lambda: model().predict(2), "must be fit"),
        (lambda: LSTMForecaster(hidden=3), "hidden"),
        (lambda: model().fit(SERIES).predict(2, BOTH), "2 features"),
    ],
)
def test_refused(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
