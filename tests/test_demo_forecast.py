"""The demo forecast: its series, its baselines by hand, its scores, and that nobody looks ahead."""

import dataclasses
import sys

import numpy as np
import pytest
from support import pictures

from fastlstm.cli import main
from fastlstm.demos import baselines, forecast, series
from fastlstm.demos.forecast import Settings
from fastlstm.demos.series import Series

pytest.importorskip("statsmodels", reason="needs the extra demo")
pytest.importorskip("sklearn", reason="needs the extra demo")

QUICK = Settings(members=1, epochs=10, hidden=8)


def small(values=(1, 2, 3, 5, 4, 6, 7, 9, 5, 8), period=2, held_out=4, **options):
    values = np.array(values, float)
    return Series("small", "things", values, np.arange(len(values)), period, held_out, **options)


def wavy(count=80, **options):
    steps = np.arange(count)
    noise = np.random.default_rng(0).normal(0, 0.5, count)
    return small(10 + 0.1 * steps + 4 * np.sin(2 * np.pi * steps / 5) + noise, 5, 20, **options)


def test_series_as_told():
    spots = series.sunspots()
    assert (len(spots.values), spots.times[0], spots.times[-1]) == (309, 1700, 2008)
    assert spots.values[-1] == 2.9
    air = series.carbon_dioxide()
    assert (len(air.values), round(air.times[0], 2), round(air.times[-1], 2)) == (526, 1958.17, 2001.92)
    assert np.isfinite(air.values).all()
    assert air.values[-1] == pytest.approx(np.mean([370.3, 370.8, 371.2, 371.3, 371.5]))


def test_origins_and_truth():
    of = small()
    assert of.known == 6
    assert of.origins.tolist() == [5, 6, 7]
    assert of.truth.tolist() == [[7, 9], [9, 5], [5, 8]]
    assert of.earlier().values.tolist() == [1, 2, 3, 5, 4, 6]


def test_blocks_are_the_series_as_it_comes_to_be_known():
    of = wavy()
    blocks = of.blocks()
    assert [len(block.origins) for block in blocks] == [10, 6]
    assert [block.known for block in blocks] == [60, 70]
    assert np.concatenate([block.origins for block in blocks]).tolist() == of.origins.tolist()
    assert np.array_equal(np.concatenate([block.truth for block in blocks]), of.truth)


def test_seasonal_naive_by_hand():
    forecasts = baselines.seasonal_naive(small())
    assert forecasts[..., 1].tolist() == [[4, 6], [6, 7], [7, 9]]
    # Among the known values it erred by 2, 3, 1 and 1; 10 % of a normal distribution lie above 1.2816.
    half = 1.2816 * np.sqrt((4 + 9 + 1 + 1) / 4)
    assert forecasts[..., 2] - forecasts[..., 1] == pytest.approx(half, rel=1e-4)
    assert forecasts[..., 1] - forecasts[..., 0] == pytest.approx(half, rel=1e-4)


def test_scores_by_hand():
    of = small()
    scores = forecast.scores(of, baselines.seasonal_naive(of))
    # Errors at the first step: 3, 3, -2; at the second: 3, -2, -1. All intervals are 2.48 to each side.
    assert scores.mae.tolist() == pytest.approx([8 / 3, 2])
    assert scores.mase == pytest.approx((8 / 3 + 2) / 2 / (7 / 4))
    assert scores.coverage == pytest.approx(3 / 6)
    assert scores.width == pytest.approx(2 * 2.4817, rel=1e-3)


def test_root_and_growth_lead_back():
    for options in ({}, {"root": True}, {"growing": True}, {"root": True, "growing": True}):
        of = wavy(**options)
        view = series.View(of)
        ahead = view.origins[:, None] + 1 + np.arange(of.period)
        assert view.restored(view.values[ahead][..., None])[..., 0] == pytest.approx(of.truth)
        assert np.array_equal(view.until(of.origins[3]), view.values[: view.origins[3] + 1])


def test_smoothing_finds_season_and_trend():
    steps = np.arange(60)
    of = small(100 + 2 * steps + np.tile([0, 5, -3, 1, 7], 12) + 1e-3 * np.cos(steps**2), 5, 12)
    forecasts = baselines.smoothing(of)
    assert forecasts[..., 1] == pytest.approx(of.truth, abs=0.1)
    assert (forecasts[..., 0] < forecasts[..., 2]).all()


def test_autoregression_finds_a_recurrence():
    values = [5.0, 8.0]
    rng = np.random.default_rng(0)
    for _ in range(300):
        values.append(2 + 1.6 * values[-1] - 0.8 * values[-2] + rng.normal())
    of = small(values, 5, 100)
    forecasts = baselines.autoregression(of)
    known = of.values
    expected = 2 + 1.6 * known[of.origins] - 0.8 * known[of.origins - 1]
    assert np.abs(forecasts[:, 0, 1] - expected).mean() < 0.5
    assert 0.6 < forecast.scores(of, forecasts).coverage < 0.95


@pytest.mark.parametrize("options", [{}, {"root": True}, {"growing": True}])
def test_nobody_looks_ahead(options):
    """A forecast doesn't change with what comes after its origin."""
    of = wavy(**options)
    first_new = of.origins[4] + 1
    changed = of.values.copy()
    changed[first_new:] += 3
    other = dataclasses.replace(of, values=changed)
    before, after = forecast.results(of, QUICK), forecast.results(other, QUICK)
    for name in before:
        assert np.array_equal(before[name][:5], after[name][:5]), name
        assert not np.array_equal(before[name][5:], after[name][5:]), name


def test_lstm_learns_a_season():
    of = wavy(growing=True)
    forecasts = forecast.lstm(of, Settings(members=2, epochs=100, hidden=16, lr=1e-2))
    assert (np.diff(forecasts, axis=-1) >= 0).all()
    assert forecast.scores(of, forecasts).mase < 1


def test_lstm_in_fewer_bits_forecasts_nearly_the_same():
    of = wavy(growing=True)
    floats, *others = (
        forecast.lstm(of, dataclasses.replace(QUICK, precision=precision))
        for precision in (None, "int8", "bfloat16")
    )
    for forecasts in others:
        assert 0 < abs(forecasts - floats).max() < 0.02 * np.ptp(of.values)


@pytest.mark.parametrize("make", [series.sunspots, series.carbon_dioxide])
def test_autoregression_and_lstm_together_are_no_worse_than_either(make):
    """Before what is held out, as settings are chosen there."""
    of = make().earlier()
    linear = forecast.scores(of, baselines.autoregression(of))
    learned, calibrated = (
        forecast.scores(of, forecast.with_autoregression(of, Settings(), calibrated=way))
        for way in (False, True)
    )
    assert calibrated.mase < 1.01 * linear.mase
    assert calibrated.loss < linear.loss
    assert calibrated.mase == pytest.approx(learned.mase, rel=0.01)  # medians but where quantiles cross
    assert abs(calibrated.coverage - 0.8) < 0.08


def test_picture():
    of = wavy(growing=True)
    (ax,) = pictures().draw_forecasts(QUICK, (of,)).axes
    came, median, line, _ = ax.lines
    assert came.get_ydata()[-5:] == pytest.approx(of.truth[-1])
    assert median.get_xdata() == pytest.approx(of.times[-5:])
    assert line.get_ydata() == pytest.approx(baselines.autoregression(of.blocks()[-1])[-1, :, 1])


def test_command(capsys, monkeypatch):
    monkeypatch.setattr(forecast, "smoothing", baselines.seasonal_naive)  # which takes its time
    monkeypatch.setattr(forecast, "with_autoregression", lambda of, **_: baselines.seasonal_naive(of))
    assert main(["demo", "forecast", "--members", "1", "--epochs", "5", "--hidden", "8"]) == 0
    shown = capsys.readouterr().out
    assert "sunspots: 249 values to learn from, then 50 forecasts of the next 11, 1949 to 2008" in shown
    assert "CO2: 406 values to learn from, then 109 forecasts of the next 12, 1992 to 2002" in shown
    rows = [line for line in shown.splitlines() if line.startswith("LSTM")]
    assert [row[:21].strip() for row in rows] == ["LSTM", "LSTM + AR", "LSTM + AR, calibrated"] * 2
    assert all(len(row[21:].split()) == 7 for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("make", [series.sunspots, series.carbon_dioxide])
def test_lstm_is_better_than_last_season(make):
    of = make()
    scores = {name: forecast.scores(of, paths) for name, paths in forecast.results(of, Settings()).items()}
    assert scores["LSTM"].mase < scores["seasonal naive"].mase
    assert scores["LSTM"].loss < scores["seasonal naive"].loss
    assert 0.55 < scores["LSTM"].coverage < 0.9
    with_both = scores["LSTM + AR, calibrated"]
    assert with_both.mase < 1.02 * scores["autoregression"].mase
    assert with_both.loss < scores["autoregression"].loss
    assert 0.7 < with_both.coverage < 0.9


def test_command_without_statsmodels(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels.api", None)
    assert main(["demo", "forecast"]) == 2
    assert "pip install 'fastlstm[demo]'" in capsys.readouterr().err
