"""Series to what follows them, once that was learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..model.checks import Array, as_dict, as_integers, as_share, as_size
from ..model.predict import predict
from ..model.sequential import Sequential
from ._linear import Autoregression
from ._numbers import as_finite
from ._plain import entries
from ._scaling import Standardisation, stored
from ._series import Form
from ._windows import Places, Windows
from .base import Predictor, check_model


class Forecaster(Predictor):
    """Forecasts the next steps of a series; what is left of an `LSTMForecaster` without scikit-learn.

    Attributes
    ----------
    scaler_, target_scaler_ : fastlstm.predictors.Standardisation
        Of what the model reads, (T, n), and of what it learned, (N, horizon·n).
    linear_ : Autoregression, or None
        The linear forecast to which the model's is added.
    shift_ : array (horizon, n, Q)
        What is added to each quantile, for what was missed of a held-out end.
    """

    scaler_: Standardisation
    target_scaler_: Standardisation
    linear_: Autoregression | None
    shift_: Array
    _windows: Windows
    _quantiles: tuple[float, ...]
    _end: tuple[Array, Form]

    def predict(self, series: Any = None, horizon: int | None = None) -> Any:
        """Return the median of each of the next steps.

        Parameters
        ----------
        series : as `fit` takes it, optional
            What to go on from; at least `window` steps, and a season more with `seasonal_period`. If None,
            the series of the last fit.
        horizon : int, optional
            How many steps; if None, as many as were learned. Beyond these the forecast goes on from itself.

        Returns
        -------
        array (horizon,) or (horizon, n), Series or DataFrame
            As the series is; an index goes on from its end.

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above.
        """
        values, form = self._known(series)
        count = self._windows.horizon if horizon is None else as_size(horizon, "horizon")
        path = np.empty((0, values.shape[1]))
        while len(path) < count:
            so_far = np.concatenate([values, path])
            ahead = self._forecast(so_far, np.array([len(so_far)]))[0]
            path = np.concatenate([path, self._at(ahead, 0.5)])
        return form.following(path[:count])

    def predict_interval(
        self,
        coverage: float = 0.8,
        series: Any = None,
        horizon: int | None = None,
        *,
        paths: int = 500,
        seed: int = 0,
    ) -> tuple[Any, Any]:
        """Return between what the next steps will be, each with the probability `coverage`.

        Parameters
        ----------
        coverage : float, default 0.8
            At most what `quantiles` span: 0.9 by default.
        series, horizon
            As `predict` takes them. Beyond the steps learned the bounds are quantiles of `sample`.
        paths, seed : int
            As `sample` takes them.

        Returns
        -------
        lower, upper : as `predict` returns them

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above.
        """
        outside = (1 - as_share(coverage, "coverage")) / 2
        bounds = (outside, 1 - outside)
        if not all(map(self._spans, bounds)):
            raise ValueError(f"coverage: expected what the quantiles {self._quantiles} span, got {coverage}")
        lower, upper = self.predict_quantiles(bounds, series, horizon, paths=paths, seed=seed)
        return lower, upper

    def predict_quantiles(
        self,
        probabilities: Sequence[float],
        series: Any = None,
        horizon: int | None = None,
        *,
        paths: int = 500,
        seed: int = 0,
    ) -> list[Any]:
        """Return below what the next steps will be, with each of several probabilities.

        Parameters
        ----------
        probabilities : sequence of float
            Each between the least and the greatest of `quantiles`.
        series, horizon, paths, seed
            As `predict_interval` takes them.

        Returns
        -------
        list, for each probability as `predict` returns it

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above.
        """
        values, form = self._known(series)
        count = self._windows.horizon if horizon is None else as_size(horizon, "horizon")
        wanted, paths, seed = self._wanted(probabilities), as_size(paths, "paths"), as_size(seed, "seed", 0)
        ahead = self._forecast(values, np.array([len(values)]))[0, :count]
        told = [self._at(ahead, probability) for probability in wanted]
        if count > len(ahead):
            sampled = self._sampled(values, count, paths, seed)[:, len(ahead) :]
            beyond = np.quantile(sampled, wanted, axis=0)
            told = [np.concatenate(both) for both in zip(told, beyond, strict=True)]
        return list(map(form.following, told))

    def quantiles_at(self, series: ArrayLike, places: ArrayLike, probabilities: Sequence[float]) -> Array:
        """Return quantiles of what follows the first steps of a series, for several such beginnings.

        Parameters
        ----------
        series : array (T,) or (T, n)
        places : int array (N,)
            How many steps are known in each beginning; at least as many as `predict` asks for.
        probabilities : sequence of Q floats
            As `predict_quantiles` takes them.

        Returns
        -------
        array (N, horizon, n, Q)
            For `horizon` learned steps.

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above.
        """
        values, _ = self._known(series)
        starts = as_integers(places, "places")
        needed = self._windows.needed
        if starts.ndim != 1 or (len(starts) and not needed <= starts.min() <= starts.max() <= len(values)):
            raise ValueError(f"places: expected integers (N,) from {needed} to {len(values)}, got {starts}")
        wanted = self._wanted(probabilities)
        ahead = self._forecast(values, starts)
        return np.stack([self._at(ahead, probability) for probability in wanted], axis=-1)

    def _wanted(self, probabilities: Sequence[float]) -> list[float]:
        wanted = [as_share(probability, "probabilities") for probability in probabilities]
        if not all(map(self._spans, wanted)):
            least, *_, most = self._quantiles
            raise ValueError(f"probabilities: expected numbers from {least} to {most}, got {wanted}")
        return wanted

    def _spans(self, probability: float) -> bool:
        return self._quantiles[0] - 1e-9 <= probability <= self._quantiles[-1] + 1e-9

    def sample(
        self, paths: int = 500, series: Any = None, horizon: int | None = None, *, seed: int = 0
    ) -> Array:
        """Return paths that the series may take, all equally likely.

        Each path is drawn `horizon` learned steps at a time, and goes on from itself: of the quantiles of
        these steps it keeps to one, drawn for each variable. So each step is distributed as it was learned,
        and neighbours err to the same side.

        Parameters
        ----------
        paths : int, default 500
            How many.
        series, horizon
            As `predict` takes them.
        seed : int, default 0
            Draws the quantiles; the same seed gives the same paths.

        Returns
        -------
        array (paths, horizon) or (paths, horizon, n)

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above.
        """
        values, form = self._known(series)
        count = self._windows.horizon if horizon is None else as_size(horizon, "horizon")
        sampled = self._sampled(values, count, as_size(paths, "paths"), as_size(seed, "seed", 0))
        return sampled if form.rows else sampled[:, :, 0]

    def _sampled(self, values: Array, count: int, paths: int, seed: int) -> Array:
        """Return paths (paths, count, n) after a series."""
        rng, n = np.random.default_rng(seed), values.shape[1]
        sampled = np.repeat(values[None, -self._windows.needed :], paths, axis=0)
        ranks = np.tile((np.arange(paths) + 0.5) / paths, (n, 1))
        while sampled.shape[1] < self._windows.needed + count:
            ahead = self._forecast_each(sampled[:, -self._windows.needed :])
            own = rng.permuted(ranks, axis=1).T[:, None]
            sampled = np.concatenate([sampled, self._at(ahead, own)], axis=1)
        return sampled[:, self._windows.needed :][:, :count]

    # Forecasts

    def _known(self, series: Any) -> tuple[Array, Form]:
        """Return what to go on from."""
        if series is None:
            return self._end
        values, form = self._series(series)
        self._check_needed(values)
        return values, form

    def _check_needed(self, values: Array) -> None:
        if len(values) < self._windows.needed:
            raise ValueError(f"series: expected at least {self._windows.needed} steps, got {len(values)}")

    def _series(self, series: Any) -> tuple[Array, Form]:
        """Return a series as (T, n) of float64, and its form; ValueError or TypeError if it does not fit."""
        values = self._variables(series)
        self._warn_of_names(series, "series")
        return _as_rows(values), Form.of(series, values.ndim == 2)

    def _variables(self, series: ArrayLike) -> Array:
        values = as_finite(series, "series", np.float64)
        if values.ndim not in (1, 2):
            raise ValueError(f"series: expected shape (T,) or (T, n), got {values.shape}")
        self._check_features(series, _as_rows(values).shape[1], "series")
        return values

    def _forecast(self, values: Array, starts: Places) -> Array:
        """Return the quantiles of the steps to be forecast, (N, horizon, n, Q), in the series's unit."""
        outputs: Any = predict(self.model_, self._read(values, starts))
        return self._in_unit(outputs, self._base(values, starts))

    def _forecast_each(self, ends: Array) -> Array:
        """Return the quantiles of what follows each of several series (N, needed, n)."""
        starts = self._windows.needed * np.arange(1, len(ends) + 1)
        return self._forecast(ends.reshape(-1, ends.shape[2]), starts)

    def _base(self, values: Array, starts: Places) -> Array:
        """Return what the model's forecast is added to, (N, horizon, n): the last season, the linear one."""
        base = self._windows.base(values, starts)
        if self.linear_ is None:
            return base
        windows = self._windows.read(self.scaler_.transform(self._windows.differences(values)), starts)
        ahead = self.scaler_.inverse_transform(self.linear_.forecast(windows, self._windows.horizon))
        return base + self._windows.summed(ahead)

    def _read(self, values: Array, starts: Places) -> Array:
        """Return what the model reads, (N, window, n)."""
        standardised = self.scaler_.transform(self._windows.differences(values))
        return self._windows.read(standardised.astype(np.float32), starts)

    def _in_unit(self, outputs: Array, base: Array) -> Array:
        N, Q = len(outputs), len(self._quantiles)
        ascending = np.sort(np.asarray(outputs, np.float64).reshape(N, -1, Q), axis=2)
        differences = self.target_scaler_.inverse_transform(ascending.swapaxes(1, 2)).swapaxes(1, 2)
        ahead: Array = np.sort(differences.reshape(*base.shape, Q) + self.shift_, axis=3) + base[..., None]
        return ahead

    def _at(self, ahead: Array, probability: float | Array) -> Array:
        """Return any quantile, or one for each number: between those learned as if it were normal there."""
        from scipy.special import ndtri  # takes as long as all that a server imports of this package

        scores, score = ndtri(self._quantiles), ndtri(probability)
        above = np.clip(np.searchsorted(scores, score), 1, len(scores) - 1)
        share = (score - scores[above - 1]) / (scores[above] - scores[above - 1])
        places = np.broadcast_to(above, ahead.shape[:-1])[..., None]
        higher = np.take_along_axis(ahead, places, axis=-1)[..., 0]
        lower = np.take_along_axis(ahead, places - 1, axis=-1)[..., 0]
        between: Array = (1 - share) * lower + share * higher
        return between

    # For a batcher: each request is a series, each answer the medians of what follows it

    def _request(self, x: ArrayLike) -> Array:
        values = self._variables(x)
        self._check_needed(values)
        return values[-self._windows.needed :]

    def _answers(self, requests: Sequence[Array]) -> list[Any]:
        ends = np.stack([_as_rows(request) for request in requests])
        medians = self._at(self._forecast_each(ends), 0.5)
        return [
            (median if request.ndim == 2 else median[:, 0]).copy()
            for median, request in zip(medians, requests, strict=True)
        ]

    # What a file keeps

    def _described(self) -> dict[str, Any]:
        return super()._described() | {
            "windows": self._windows.described(),
            "quantiles": list(self._quantiles),
            "form": self._end[1].described(),
        }

    def _tensors(self) -> dict[str, Array]:
        scalers = self.scaler_.tensors("scaler") | self.target_scaler_.tensors("target_scaler")
        linear = {} if self.linear_ is None else self.linear_.tensors("linear")
        return scalers | linear | {"shift": self.shift_, "end": self._end[0]}

    def _restore(
        self, description: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], model: Sequential
    ) -> None:
        super()._restore(description, tensors, model)
        n = self.n_features_in_
        self._windows = Windows.stored(description.get("windows"))
        self._quantiles = as_quantiles(entries(description.get("quantiles"), "quantiles", float))
        told = self._windows.horizon * n
        check_model(model, n, told * len(self._quantiles))
        self.scaler_ = Standardisation.stored(tensors, "scaler", n)
        self.target_scaler_ = Standardisation.stored(tensors, "target_scaler", told)
        self.linear_ = None
        if "linear.bias" in tensors:
            self.linear_ = Autoregression.stored(tensors, "linear", self._windows.window, n)
        shape = (self._windows.horizon, n, len(self._quantiles))
        # Files of version 0.1 have no shift.
        self.shift_ = stored(tensors, "shift", shape) if "shift" in tensors else np.zeros(shape)
        end = stored(tensors, "end", (self._windows.needed, n))
        self._end = end, Form.stored(as_dict(description.get("form"), "form"), n)


def _as_rows(values: Array) -> Array:
    """Return a series (T,) or (T, n) as (T, n)."""
    return values[:, None] if values.ndim == 1 else values


def as_quantiles(quantiles: Any) -> tuple[float, ...]:
    """Return what a forecaster learns of each step; ValueError if that is not two or more quantiles."""
    try:
        q = np.asarray(quantiles, np.float64)
    except (TypeError, ValueError):
        q = np.empty(0)
    if q.ndim != 1 or len(q) < 2 or not (0 < q[0] <= 0.5 <= q[-1] < 1) or not (np.diff(q) > 0).all():
        expected = "two or more ascending numbers above 0 and below 1, around 0.5"
        raise ValueError(f"quantiles: expected {expected}, got {quantiles!r}")
    return tuple(map(float, q))
