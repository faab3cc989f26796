"""The forecaster's linear part, its calibration, and the paths beyond the steps it learned."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs sklearn: pip install '.[sklearn]'")

from sklearn.base import clone

import fastlstm
from fastlstm.estimators import LSTMForecaster
from fastlstm.estimators._linear import autoregression
from fastlstm.files import container
from fastlstm.predictors._conformal import shifts
from fastlstm.predictors._linear import Autoregression

SMALL = {"hidden_size": 4, "epochs": 2, "window": 8, "horizon": 3, "random_state": 0}


def forecaster(**options):
    return LSTMForecaster(**SMALL | options)


def recurrent(steps, weights=(0.7,), seed=0, variables=1):
    """Numbers that depend on the last ones linearly, (T, n)."""
    noise = np.random.default_rng(seed).standard_normal((steps, variables))
    for t in range(len(weights), steps):
        noise[t] += sum(w * noise[t - lag] for lag, w in enumerate(weights, 1))
    return noise


def same_bits(a, b):
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()


# The linear part


def test_a_linear_forecast_by_hand():
    linear = Autoregression(np.array([[0.5, 0.0], [0.25, 1.0]]), np.array([1.0, 0.0]))
    windows = np.array([[[9.0, 9], [4, 3], [8, 5]]])
    assert linear.forecast(windows, 3)[0, :, 0].tolist() == [6.0, 6.0, 5.5]
    assert linear.forecast(windows, 3)[0, :, 1].tolist() == [3.0, 5.0, 3.0]
    many = np.random.default_rng(0).standard_normal((5, 3, 2))
    assert same_bits(linear.forecast(many, 4)[2:3], linear.forecast(many[2:3], 4))


def test_a_recurrence_is_found():
    linear = autoregression(recurrent(3000, (1.6, -0.8)), 12)
    assert linear.weight[:2, 0] == pytest.approx([1.6, -0.8], abs=0.05)
    assert np.abs(linear.weight[2:]).max(initial=0) < 0.06
    each = autoregression(np.hstack([recurrent(3000), recurrent(3000, (-0.5,), seed=1)]), 12)
    assert each.weight[0] == pytest.approx([0.7, -0.5], abs=0.06)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(40),
        np.full(40, 1e-9),
        np.sin(np.arange(60) * 2 * np.pi / 12),
        np.exp(np.arange(60) / 5) / 1e4,
        np.arange(11.0),
        np.random.default_rng(0).standard_normal(10),
    ],
    ids=["zeros", "constant", "wave", "growth", "few", "fewer"],
)
def test_a_linear_forecast_never_explodes(values):
    linear = autoregression(values[:, None], 9)
    far = linear.forecast(values[None, -9:, None], 2000)
    assert np.abs(far).max() <= 1e4 * max(1, np.abs(values).max())


def test_the_lstm_learns_what_the_linear_part_leaves():
    series = recurrent(400, (1.6, -0.8))[:, 0]
    best = np.array([1.6, -0.8])
    errors = {}
    for linear in (False, True):
        fitted = forecaster(linear=linear, horizon=1).fit(series[:300])
        ahead = [fitted.predict(series[:end])[0] for end in range(300, 400)]
        errors[linear] = np.abs(ahead - series[300:]).mean()
    bound = np.abs(series[299:-1] * best[0] + series[298:-2] * best[1] - series[300:]).mean()
    assert errors[True] < 1.1 * bound < errors[False]


def test_a_season_shorter_than_the_horizon_goes_on_growing():
    steps = np.arange(120.0)
    series = steps + 3 * np.sin(steps * np.pi / 2)
    fitted = forecaster(seasonal_period=4, horizon=10).fit(series[:-10])
    np.testing.assert_allclose(fitted.predict(), series[-10:], atol=0.3)


# Calibration


@pytest.mark.parametrize("count", [9, 39, 200])
def test_shifts_make_intervals_hold(count):
    """Of N misses and one more, all alike, over 4,000 draws."""
    rng = np.random.default_rng(count)
    quantiles = (0.1, 0.25, 0.5, 0.75, 0.9)
    told = np.array([-0.3, -0.2, 0.0, 3.0, 4.0])
    moved = told + shifts(rng.standard_normal((count, 4000, 1)) - told, quantiles)
    came = rng.standard_normal(4000)
    assert (moved[:, 2] == 0).all()
    for (lower, upper), coverage in (((0, 4), 0.8), ((1, 3), 0.5)):
        inside = ((moved[:, lower] <= came) & (came <= moved[:, upper])).mean()
        assert coverage - 0.02 < inside < coverage + 1 / (count + 1) + 0.02


def test_shifts_of_quantiles_without_a_counterpart():
    misses = np.arange(1.0, 20)[:, None] - np.zeros(3)  # 19 that came 1 to 19 above what was forecast
    assert shifts(misses, (0.1, 0.4, 0.8)).tolist() == [2.0, 8.0, 16.0]


def test_calibration_is_by_a_twin_that_sees_no_end():
    series = recurrent(120)[:, 0]
    calibrated = forecaster().fit(series)
    assert calibrated.shift_.shape == (3, 1, 7)
    bare = clone(calibrated).set_params(calibration_fraction=0.0).fit(series)
    assert not bare.shift_.any()
    assert same_bits(calibrated.predict(), bare.predict())
    lower, upper = calibrated.predict_interval(0.8)
    unmoved = bare.predict_interval(0.8)
    np.testing.assert_allclose(lower - unmoved[0], calibrated.shift_[:, 0, 1], atol=1e-9)
    np.testing.assert_allclose(upper - unmoved[1], calibrated.shift_[:, 0, 5], atol=1e-9)
    windows = 120 - 8 - 3 + 1
    first = 8 + windows - round(0.4 * windows)
    twin = clone(bare).fit(series[:first])
    misses = [
        series[start : start + 3, None] - np.stack([twin.predict(series[:start])] * 7, axis=1)
        for start in range(first, 118)
    ]
    assert np.median(misses) == pytest.approx(0, abs=0.5)
    assert same_bits(calibrated.fit(series).shift_, clone(calibrated).fit(series).shift_)


def test_what_was_calibrated_stays_in_partial_fit():
    fitted = forecaster().fit(recurrent(120))
    shift, linear = fitted.shift_, fitted.linear_
    fitted.partial_fit(recurrent(60, seed=1))
    assert fitted.shift_ is shift
    assert fitted.linear_ is linear
    assert not forecaster().partial_fit(recurrent(120)).shift_.any()


def test_a_series_too_short_to_calibrate_is_told():
    with pytest.warns(UserWarning, match="series: 3 windows are too few to hold out 1"):
        fitted = forecaster().fit(recurrent(13))
    assert not fitted.shift_.any()


def test_calibrated_intervals_cover_what_they_say():
    """An LSTM that is too sure of itself, as it has learned 60 windows by heart."""
    coverage = {}
    for fraction in (0.0, 0.4):
        inside = []
        for seed in range(8):
            series = recurrent(70 + 20, seed=seed)[:, 0]
            options = {"hidden_size": 16, "epochs": 40, "learning_rate": 0.02}
            fitted = forecaster(calibration_fraction=fraction, horizon=1, **options).fit(series[:70])
            ahead = fitted._forecast(series[:, None], np.arange(70, 90))[:, 0, 0]
            lower, upper = fitted._at(ahead, 0.1), fitted._at(ahead, 0.9)
            inside.append((lower <= series[70:]) & (series[70:] <= upper))
        coverage[fraction] = np.mean(inside)
    assert coverage[0.0] < 0.7
    assert coverage[0.4] == pytest.approx(0.8, abs=0.08)


# Beyond the steps that were learned


def test_paths_are_reproducible():
    series = recurrent(120, variables=2)
    fitted = forecaster().fit(series)
    paths = fitted.sample(20, horizon=7)
    assert paths.shape == (20, 7, 2)
    assert np.isfinite(paths).all()
    assert same_bits(paths, fitted.sample(20, horizon=7))
    assert same_bits(paths[:, :4], fitted.sample(20, horizon=4))
    assert not same_bits(paths, fitted.sample(20, horizon=7, seed=1))
    assert forecaster().fit(series[:, 0]).sample(5).shape == (5, 3)


def test_paths_have_the_quantiles_that_were_learned():
    fitted = forecaster().fit(recurrent(120))
    paths = fitted.sample(2000)
    for coverage in (0.5, 0.8):
        for bound, place in zip(fitted.predict_interval(coverage), (-1, 1), strict=True):
            expected = np.quantile(paths, 0.5 + place * coverage / 2, axis=0)
            np.testing.assert_allclose(expected, bound, atol=0.02)


def test_intervals_go_on_where_they_were():
    fitted = forecaster().fit(recurrent(120))
    learned, longer = fitted.predict_interval(), fitted.predict_interval(horizon=8)
    assert all(same_bits(a, b[:3]) for a, b in zip(learned, longer, strict=True))
    assert same_bits(longer, fitted.predict_interval(horizon=8))
    assert not same_bits(longer, fitted.predict_interval(horizon=8, seed=1))
    assert (longer[0] < longer[1]).all()
    assert (longer[0] <= fitted.predict(horizon=8)).all()
    assert (fitted.predict(horizon=8) <= longer[1]).all()


@pytest.mark.parametrize("weights", [(0.7,), (1.0,)], ids=["stationary", "wanders off"])
def test_intervals_beyond_cover_what_they_say(weights):
    series = recurrent(3000, weights)
    options = {"window": 4, "horizon": 4, "epochs": 1, "learning_rate": 0.01, "calibration_fraction": 0.2}
    options |= {"seasonal_period": 1} if weights == (1.0,) else {}
    fitted = forecaster(**options).fit(series[:1000])
    inside = []
    for end in range(1000, 2980, 20):
        lower, upper = fitted.predict_interval(0.8, series[end - 20 : end], horizon=12, paths=100)
        inside.append(((lower <= series[end : end + 12]) & (series[end : end + 12] <= upper))[4:])
    assert np.mean(inside) == pytest.approx(0.8, abs=0.08)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda fitted: fitted.sample(0), "paths: expected an integer of at least 1"),
        (lambda fitted: fitted.sample(horizon=0), "horizon: expected an integer of at least 1"),
        (lambda fitted: fitted.predict_interval(paths=0), "paths: expected an integer"),
        (lambda fitted: fitted.sample(seed="a"), "seed: expected"),
        (lambda fitted: fitted.sample(seed=-1), "seed: expected"),
        (
            lambda fitted: clone(fitted).set_params(linear=1).fit(np.ones(50)),
            "linear: expected True or False",
        ),
        (
            lambda fitted: clone(fitted).set_params(calibration_fraction=1.0).fit(np.ones(50)),
            "calibration_fraction: expected",
        ),
    ],
)
def test_refused(call, message):
    fitted = forecaster().fit(recurrent(60))
    with pytest.raises((ValueError, TypeError), match=message):
        call(fitted)


# Files


def test_a_file_holds_both(tmp_path):
    fitted = forecaster().fit(recurrent(120, variables=2))
    fastlstm.save(fitted, tmp_path / "forecaster")
    loaded = fastlstm.load(tmp_path / "forecaster")
    assert same_bits(loaded.linear_.weight, fitted.linear_.weight)
    assert same_bits(loaded.predict_interval(), fitted.predict_interval())
    assert same_bits(loaded.sample(4, horizon=9), fitted.sample(4, horizon=9))


def test_a_file_from_before_there_was_a_linear_part(tmp_path):
    fitted = forecaster(linear=False, calibration_fraction=0.0).fit(recurrent(120))
    fastlstm.save(fitted, tmp_path / "new")
    description, tensors = container.read(tmp_path / "new", "fastlstm")
    for name in ("linear", "calibration_fraction", "cell"):
        del description["parameters"][name]
    before = {name: tensor for name, tensor in tensors.items() if name != "shift"}
    container.write(tmp_path / "old", "fastlstm", description, before)
    loaded = fastlstm.load(tmp_path / "old")
    assert loaded.get_params() == fitted.get_params()
    assert same_bits(loaded.predict_interval(), fitted.predict_interval())


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("linear.weight", np.zeros((9, 1)), "linear.weight: expected at most 8 steps, got 9"),
        ("linear.weight", np.zeros((2, 3)), r"linear.weight: expected"),
        ("linear.bias", np.full(1, np.nan), "linear.bias: expected finite numbers"),
        ("shift", np.zeros((3, 1, 6)), r"shift: expected"),
    ],
)
def test_forged_files_are_refused(tmp_path, name, tensor, message):
    fastlstm.save(forecaster().fit(recurrent(60)), tmp_path / "good")
    description, tensors = container.read(tmp_path / "good", "fastlstm")
    container.write(tmp_path / "bad", "fastlstm", description, dict(tensors) | {name: tensor})
    with pytest.raises(ValueError, match=message):
        fastlstm.load(tmp_path / "bad")
