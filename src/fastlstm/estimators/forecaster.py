"""Series to what follows them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial as bound
from typing import Any, Self

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from ..model.checks import Array, as_share, as_size
from ..predictors import Forecaster
from ..predictors._conformal import shifts
from ..predictors._linear import Autoregression
from ..predictors._numbers import check_convertible
from ..predictors._series import Form
from ..predictors._windows import Places, Windows
from ..predictors.forecaster import as_quantiles
from ..training.losses.elementwise import flat_quantile_loss
from ._base import LSTMEstimator, unchanged_if_refused
from ._linear import autoregression
from ._scaling import standardisation


@dataclass(kw_only=True, eq=False, repr=False)
class LSTMForecaster(LSTMEstimator, Forecaster):
    """An LSTM that reads the last steps of a series and forecasts the next ones, with intervals.

    A linear autoregression comes first: each variable from its own last steps, as many as Akaike's criterion
    says, by least squares. The LSTM learns what that leaves, as LSTNet does [1]_: several quantiles of each
    of the next `horizon` steps at once, from every window of the series [2]_. Quantiles that cross are
    sorted [3]_, then moved by what they missed of a held-out end [4]_. What is read, and each step that is
    forecast, is standardised by mean and deviation in training.

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
    linear : bool, default True
        Whether there is an autoregression. Without it the LSTM wants more epochs, 50 or so.
    calibration_fraction : float, default 0.4
        What share of the windows calibrates the intervals, those at the end. `fit` trains twice then: first
        on what is before them, to see how far from its quantiles they came, then on all. 0 leaves intervals
        as they were learned.
    hidden_size, num_layers, bidirectional, dropout, readout, epochs, batch_size, learning_rate, \
weight_decay, max_norm, validation_fraction, patience, warm_start, random_state, verbose, cell
        As `LSTMClassifier` takes them, but that `bidirectional` is False, `readout` "last" and `epochs` 20 by
        default; what is kept apart for validation is the end of the series.

    Attributes
    ----------
    model_ : Sequential
        From windows to quantiles, standardised.
    scaler_, target_scaler_ : fastlstm.predictors.Standardisation
        Of what the model reads, (T, n), and of what it learns, (N, horizon·n).
    linear_ : Autoregression, or None
        `weight` (P, n), of the last step, the one before it and so on, and `bias` (n,), of standardised
        steps.
    shift_ : array (horizon, n, Q)
        By how much calibration moves each quantile, in the series's unit.
    history_ : History
    n_features_in_ : int
        How many variables the series has.
    feature_names_in_ : array of str
        The columns of a DataFrame.

    Notes
    -----
    Calibrated intervals hold with at least their probability, step by step, if the windows to come are like
    those held out in any order (exchangeable), and if learning the end, too, makes forecasts no worse. A
    series whose level or noise changes breaks the first; neighbouring windows overlap, so there are fewer
    independent ones than are counted. A series too short to hold out any is not calibrated, with a warning.

    References
    ----------
    .. [1] G. Lai, W.-C. Chang, Y. Yang and H. Liu, "Modeling Long- and Short-Term Temporal Patterns with Deep
       Neural Networks", SIGIR 2018.
    .. [2] R. Wen, K. Torkkola, B. Narayanaswamy and D. Madeka, "A Multi-Horizon Quantile Recurrent
       Forecaster", NeurIPS 2017 Time Series Workshop.
    .. [3] V. Chernozhukov, I. Fernández-Val and A. Galichon, "Quantile and Probability Curves Without
       Crossing", Econometrica 78(3), 2010.
    .. [4] Y. Romano, E. Patterson and E. Candès, "Conformalized Quantile Regression", NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.estimators import LSTMForecaster
    >>> series = np.sin(np.arange(200) * 2 * np.pi / 12)
    >>> forecaster = LSTMForecaster(horizon=6, window=12, random_state=0)
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
    linear: bool = True
    calibration_fraction: float = 0.4
    epochs: int = 20

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
        FloatingPointError, KeyboardInterrupt
            If the loss is no longer a number, or at Ctrl-C; the estimator is as it was.
        """
        return self._fit(series, partial=False)

    def partial_fit(self, series: Any, y: None = None) -> Self:
        """Go once through another stretch of the series, with the model and the optimiser as they are.

        `predict` goes on from its end. Mean, deviation and autoregression remain those of the first call,
        the calibration that of the last `fit`.

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
        values, _ = self._series(series)
        starts = self._windows.starts(values)
        errors = self._at(self._forecast(values, starts), 0.5) - values[self._windows.ahead(starts)]
        return -float(np.abs(errors).mean())

    # Training

    def _fit(self, series: Any, partial: bool) -> Self:
        with unchanged_if_refused(self):
            self._check_parameters()
            is_new = self._is_new(partial)
            values, form = as_series(self, series, reset=is_new)
            self._note_what_is_told(is_new)
            starts = self._windows.starts(values)
            training, held_out = starts, starts[:0]
            if self.validation_fraction and not partial:
                training, held_out = self._split(starts)
            if is_new or not partial:
                self.shift_ = self._held_out_shift(values, starts[:0] if partial else starts)
            if is_new:
                known = self._windows.differences(values[: training[-1]])
                self.scaler_ = standardisation(known, "series")
                self.linear_ = self._linear_part(values[: training[-1] + self._windows.horizon])
                self.target_scaler_ = standardisation(self._targets(values, training), "series")
            n = values.shape[1]
            self._prepare(n, self._windows.horizon * n * len(self._quantiles), partial)
            validation = self._examples(values, held_out) if len(held_out) else None
            loss = bound(flat_quantile_loss, quantiles=self._quantiles)
            self._learn(self._examples(values, training), validation, loss, partial)
            self._end = values[-self._windows.needed :].copy(), form
        return self

    def _check_parameters(self) -> None:
        super()._check_parameters()
        as_size(self.horizon, "horizon")
        as_size(self.window, "window")
        as_share(self.calibration_fraction, "calibration_fraction")
        if not isinstance(self.linear, (bool, np.bool_)):
            raise TypeError(f"linear: expected True or False, got {self.linear!r}")
        if self.seasonal_period is not None:
            as_size(self.seasonal_period, "seasonal_period")
        as_quantiles(self.quantiles)

    def _note_what_is_told(self, is_new: bool) -> None:
        """Note what is read and forecast, or compare with what was noted.

        Predictions are of what was learned, whatever the parameters say by then.
        """
        windows = Windows(self.window, self.horizon, self.seasonal_period)
        quantiles = as_quantiles(self.quantiles)
        if is_new:
            self._windows, self._quantiles = windows, quantiles
        elif (windows, quantiles) != (self._windows, self._quantiles):
            before = f"{self._windows} and quantiles {self._quantiles}"
            raise ValueError(f"model: expected {before} as before, got {windows} and {quantiles}")

    def _split(self, starts: Places) -> tuple[Places, Places]:
        """Return where to learn from, and where to validate: at the end, with no step in both."""
        count = max(1, round(self.validation_fraction * len(starts)))
        training = starts[: max(0, len(starts) - count - self.horizon + 1)]
        if not len(training):
            raise ValueError(f"series: expected more steps than validation takes, got {len(starts)} windows")
        return training, starts[-count:]

    def _held_out_shift(self, values: Array, starts: Places) -> Array:
        """Return by how much to move each quantile, by what a twin misses that learns all but the end."""
        unmoved = np.zeros((self._windows.horizon, values.shape[1], len(self._quantiles)))
        count = round(self.calibration_fraction * len(starts))
        if not count:
            return unmoved
        held_out = starts[-count:]
        if held_out[0] < self._windows.needed + self._windows.horizon:
            fewer = (
                f"{len(starts)} windows are too few to hold out {count}: intervals are as they are learned"
            )
            warnings.warn(f"series: {fewer}", stacklevel=4)
            return unmoved
        twin = clone(self).set_params(calibration_fraction=0.0, warm_start=False)
        twin.fit(values[: held_out[0]])
        came = values[self._windows.ahead(held_out)]
        return shifts(came[..., None] - twin._forecast(values, held_out), self._quantiles)

    def _linear_part(self, values: Array) -> Autoregression | None:
        """Return what forecasts each variable from its own past."""
        if not self.linear:
            return None
        known = self.scaler_.transform(self._windows.differences(values))
        return autoregression(known, self._windows.window)

    def _examples(self, values: Array, starts: Places) -> tuple[Array, Array]:
        """Return windows, and what follows them, standardised."""
        targets = self.target_scaler_.transform(self._targets(values, starts))
        return self._read(values, starts), targets.astype(np.float32)

    def _targets(self, values: Array, starts: Places) -> Array:
        """Return the steps to be forecast, less what is forecast without the model, (N, horizon·n)."""
        ahead = values[self._windows.ahead(starts)] - self._base(values, starts)
        return ahead.reshape(len(starts), -1)

    # Predictions, of series as scikit-learn checks them

    def _known(self, series: Any) -> tuple[Array, Form]:
        self._check_fitted()
        return super()._known(series)

    def _series(self, series: Any) -> tuple[Array, Form]:
        self._check_fitted()
        return as_series(self, series, reset=False)


def as_series(estimator: LSTMEstimator, series: Any, *, reset: bool) -> tuple[Array, Form]:
    """Return a series as (T, n) of float64, and its form; note what an estimator reads, or compare.

    Raises
    ------
    ValueError, TypeError
        If it is no series, has numbers that are not finite or an index that does not tell how it goes on,
        or has not as many variables as noted.
    """
    check_convertible(series, "series")
    values = check_array(series, input_name="series", ensure_2d=False, allow_nd=True, dtype=np.float64)
    if values.ndim not in (1, 2):
        raise ValueError(f"series: expected shape (T,) or (T, n), got {values.shape}")
    rows = values.reshape(len(values), -1)
    validate_data(estimator, series if values.ndim == 2 else rows, reset=reset, skip_check_array=True)
    return rows, Form.of(series, values.ndim == 2)
