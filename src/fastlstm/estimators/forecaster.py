"""Series to what follows them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial as bound
from typing import Any, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from .._arrays import Array, as_share, as_size
from ..training import predict
from ..training.losses.elementwise import flat_quantile_loss
from ._base import LSTMEstimator, unchanged_if_refused
from ._series import Form, as_series

Places = NDArray[np.int64]


@dataclass(kw_only=True, eq=False, repr=False)
class LSTMForecaster(LSTMEstimator):
    """An LSTM that reads the last steps of a series and tells the next ones, with intervals.

    It learns several quantiles of each of the next `horizon` steps at once, from every window of the
    series. What is read, and each step that is told, is standardised by mean and deviation in training.

    Parameters
    ----------
    horizon : int, default 1
        How many steps ahead are learned.
    window : int, default 32
        How many past steps are read.
    quantiles : sequence of float
        What is learned of each step; others are interpolated.
    seasonal_period : int, optional
        Of how many steps a season is, if the series has one. The model then reads by how much each step
        differs from that a season ago, and learns by how much the next ones will. With 1 it reads and
        learns changes: for series that wander off.
    hidden_size, num_layers, bidirectional, dropout, readout, epochs, batch_size, learning_rate, \
weight_decay, max_norm, validation_fraction, patience, warm_start, random_state, verbose
        As `LSTMClassifier` takes them, but that `bidirectional` is False and `readout` "last" by default;
        what is kept apart for validation is the end of the series.

    Attributes
    ----------
    model_ : Sequential
        From windows to quantiles, standardised.
    scaler_, target_scaler_ : sklearn.preprocessing.StandardScaler
        Of what the model reads, (T, n), and of what it learns, (N, horizon·n).
    history_ : History
    n_features_in_ : int
        How many variables the series has.
    feature_names_in_ : array of str
        The columns of a DataFrame.

    References
    ----------
    .. [1] R. Wen, K. Torkkola, B. Narayanaswamy and D. Madeka, "A Multi-Horizon Quantile Recurrent
       Forecaster", NeurIPS 2017 Time Series Workshop.
    .. [2] V. Chernozhukov, I. Fernández-Val and A. Galichon, "Quantile and Probability Curves Without
       Crossing", Econometrica 78(3), 2010: quantiles that cross are sorted.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.estimators import LSTMForecaster
    >>> series = np.sin(np.arange(200) * 2 * np.pi / 12)
    >>> forecaster = LSTMForecaster(horizon=6, window=12, learning_rate=0.01, epochs=20, random_state=0)
    >>> forecaster.fit(series).predict().shape
    (6,)
    >>> lower, upper = forecaster.predict_interval(coverage=0.8)
    >>> bool((lower <= upper).all())
    True
    """

    horizon: int = 1
    window: int = 32
    quantiles: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    seasonal_period: int | None = None

    def fit(self, series: Any, y: None = None) -> Self:
        """Train on a series.

        Parameters
        ----------
        series : array (T,) or (T, n), Series or DataFrame
            At least window + horizon steps, and a season more with `seasonal_period`.
        y : None
            There because scikit-learn's searches hand it in.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If an argument or a parameter is not as it should be; the estimator is as it was.
        FloatingPointError
            If the loss is no longer a number.
        """
        return self._fit(series, partial=False)

    def partial_fit(self, series: Any, y: None = None) -> Self:
        """Go once through another stretch of the series, with the model and the optimiser as they are.

        `predict` goes on from its end. It remains standardised by the first call's mean and deviation.

        Parameters
        ----------
        series, y
            As `fit` takes them.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As `fit`.
        """
        return self._fit(series, partial=True)

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
        count = self.horizon if horizon is None else as_size(horizon, "horizon")
        path = np.empty((0, values.shape[1]))
        while len(path) < count:
            so_far = np.concatenate([values, path])
            ahead = self._forecast(so_far, np.array([len(so_far)]))[0]
            path = np.concatenate([path, self._at(ahead, 0.5)])
        return form.following(path[:count])

    def predict_interval(
        self, coverage: float = 0.8, series: Any = None, horizon: int | None = None
    ) -> tuple[Any, Any]:
        """Return between what the next steps will be, each with the probability `coverage`.

        Parameters
        ----------
        coverage : float, default 0.8
            At most what `quantiles` span: 0.9 by default.
        series, horizon
            As `predict` takes them; no more steps than were learned.

        Returns
        -------
        lower, upper : as `predict` returns them

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above.
        """
        values, form = self._known(series)
        count = self.horizon if horizon is None else as_size(horizon, "horizon")
        if count > self.horizon:
            raise ValueError(f"horizon: expected at most the {self.horizon} steps learned, got {count}")
        outside = (1 - as_share(coverage, "coverage")) / 2
        if outside < max(self.quantiles[0], 1 - self.quantiles[-1]) - 1e-9:
            raise ValueError(f"coverage: expected what the quantiles {self.quantiles} span, got {coverage}")
        ahead = self._forecast(values, np.array([len(values)]))[0, :count]
        lower, upper = self._at(ahead, outside), self._at(ahead, 1 - outside)
        return form.following(lower), form.following(upper)

    def score(self, series: Any, y: None = None) -> float:
        """Return minus the mean absolute error of the median, over all windows of a series.

        Parameters
        ----------
        series, y
            As `fit` takes them.

        Returns
        -------
        float
            At most 0, in the series's unit.

        Raises
        ------
        ValueError, TypeError
            As `fit`.
        """
        check_is_fitted(self, "model_")
        values, _ = as_series(self, series, reset=False)
        starts = self._starts(values)
        errors = self._at(self._forecast(values, starts), 0.5) - values[self._ahead(starts)]
        return -float(np.abs(errors).mean())

    # Training

    def _fit(self, series: Any, partial: bool) -> Self:
        with unchanged_if_refused(self):
            self._check_parameters()
            is_new = self._is_new(partial)
            values, form = as_series(self, series, reset=is_new)
            starts = self._starts(values)
            training, held_out = starts, starts[:0]
            if self.validation_fraction and not partial:
                training, held_out = self._split(starts)
            if is_new:
                self.scaler_ = StandardScaler().fit(self._differences(values[: training[-1]]))
                self.target_scaler_ = StandardScaler().fit(self._targets(values, training))
            n = values.shape[1]
            self._prepare(n, self.horizon * n * len(self.quantiles), partial)
            validation = self._examples(values, held_out) if len(held_out) else None
            loss = bound(flat_quantile_loss, quantiles=[float(q) for q in self.quantiles])
            self._learn(self._examples(values, training), validation, loss, partial)
            self._end = values[-self._needed :], form
        return self

    def _check_parameters(self) -> None:
        super()._check_parameters()
        as_size(self.horizon, "horizon")
        as_size(self.window, "window")
        if self.seasonal_period is not None:
            as_size(self.seasonal_period, "seasonal_period")
        q = np.asarray(self.quantiles, np.float64)
        if q.ndim != 1 or len(q) < 2 or not (0 < q[0] <= 0.5 <= q[-1] < 1) or not (np.diff(q) > 0).all():
            expected = "two or more ascending numbers above 0 and below 1, around 0.5"
            raise ValueError(f"quantiles: expected {expected}, got {self.quantiles!r}")

    def _split(self, starts: Places) -> tuple[Places, Places]:
        """Return where to learn from, and where to validate: at the end, with no step in both."""
        count = max(1, round(self.validation_fraction * len(starts)))
        training = starts[: max(0, len(starts) - count - self.horizon + 1)]
        if not len(training):
            raise ValueError(f"series: expected more steps than validation takes, got {len(starts)} windows")
        return training, starts[-count:]

    def _examples(self, values: Array, starts: Places) -> tuple[Array, Array]:
        """Return windows, and what follows them, standardised."""
        targets = self.target_scaler_.transform(self._targets(values, starts))
        return self._windows(values, starts), targets.astype(np.float32)

    def _targets(self, values: Array, starts: Places) -> Array:
        """Return the steps to be told, as differences from the last season, (N, horizon·n)."""
        ahead = values[self._ahead(starts)] - self._base(values, starts)
        return ahead.reshape(len(starts), -1)

    # Places in a series: a start is the first step that is to be told

    @property
    def _needed(self) -> int:
        """How many steps must precede a start."""
        return self.window + (self.seasonal_period or 0)

    def _starts(self, values: Array) -> Places:
        starts = np.arange(self._needed, len(values) - self.horizon + 1)
        if not len(starts):
            least = self._needed + self.horizon
            raise ValueError(f"series: expected at least {least} steps, got {len(values)}")
        return starts

    def _ahead(self, starts: Places) -> Places:
        """Return the places of the steps to be told, (N, horizon)."""
        return starts[:, None] + np.arange(self.horizon)

    def _differences(self, values: Array) -> Array:
        """Return a series without its season; it begins that much later."""
        period = self.seasonal_period
        return values if period is None else values[period:] - values[:-period]

    def _base(self, values: Array, starts: Places) -> Array | float:
        """Return what the steps to be told are told as differences from: the last season, repeated."""
        period = self.seasonal_period
        if period is None:
            return 0.0
        base: Array = values[starts[:, None] - period + np.arange(self.horizon) % period]
        return base

    def _windows(self, values: Array, starts: Places) -> Array:
        """Return what the model reads, (N, window, n)."""
        standardised = self.scaler_.transform(self._differences(values)).astype(np.float32)
        windows = sliding_window_view(standardised, self.window, axis=0)
        return windows[starts - self._needed].swapaxes(1, 2)

    # Forecasts

    def _known(self, series: Any) -> tuple[Array, Form]:
        """Return what to go on from."""
        check_is_fitted(self, "model_")
        if series is None:
            return self._end
        values, form = as_series(self, series, reset=False)
        if len(values) < self._needed:
            raise ValueError(f"series: expected at least {self._needed} steps, got {len(values)}")
        return values, form

    def _forecast(self, values: Array, starts: Places) -> Array:
        """Return the quantiles of the steps to be told, (N, horizon, n, Q), in the series's unit."""
        outputs: Any = predict(self.model_, self._windows(values, starts))
        scaler, Q = self.target_scaler_, len(self.quantiles)
        ascending = np.sort(np.asarray(outputs, np.float64).reshape(len(starts), -1, Q), axis=2)
        differences = ascending * scaler.scale_[:, None] + scaler.mean_[:, None]
        ahead = differences.reshape(len(starts), self.horizon, values.shape[1], Q)
        in_unit: Array = ahead + np.expand_dims(self._base(values, starts), -1)
        return in_unit

    def _at(self, ahead: Array, probability: float) -> Array:
        """Return any quantile: between those learned as if the distribution there were normal."""
        scores, score = ndtri(self.quantiles), ndtri(probability)
        above = int(np.clip(np.searchsorted(scores, score), 1, len(scores) - 1))
        share = (score - scores[above - 1]) / (scores[above] - scores[above - 1])
        between: Array = (1 - share) * ahead[..., above - 1] + share * ahead[..., above]
        return between
