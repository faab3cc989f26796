"""Our forecaster for Darts.

It needs Darts: ``pip install 'fastlstm[darts]'``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

try:
    from darts import TimeSeries
    from darts.models.forecasting.forecasting_model import GlobalForecastingModel
except ImportError as error:
    raise ImportError("fastlstm.interop.darts needs darts: pip install 'fastlstm[darts]'") from error

from .. import estimators
from ..model.checks import Array
from .parameters import estimator_of, takes_parameters_of

__all__ = ["LSTMForecaster"]


@takes_parameters_of(estimators.LSTMForecaster, add_encoders=None)
class LSTMForecaster(GlobalForecastingModel):
    """`fastlstm.estimators.LSTMForecaster` as a forecasting model of Darts, with sampled paths.

    It learns one series, of one component or several, and forecasts that and others like it.

    Parameters
    ----------
    horizon, window, quantiles, seasonal_period, linear, calibration_fraction, hidden_size, num_layers, \
bidirectional, dropout, readout, epochs, batch_size, learning_rate, weight_decay, max_norm, \
validation_fraction, patience, warm_start, random_state, verbose, cell
        As `fastlstm.estimators.LSTMForecaster` takes them.

    Attributes
    ----------
    estimator_ : fastlstm.estimators.LSTMForecaster

    Notes
    -----
    Past covariates are more variables of the windows: they have to be known as far as the series, and what is
    given beyond its end is not read. Future and static covariates are not read: the first are refused.
    Beyond `horizon` steps a forecast goes on from itself. With `num_samples` above 1 a forecast is that many
    sampled paths. `load` of a saved model asks for `trusted=True`, as Darts knows only its own as safe.

    Examples
    --------
    >>> import numpy as np
    >>> from darts import TimeSeries
    >>> from fastlstm.interop.darts import LSTMForecaster
    >>> series = TimeSeries.from_values(np.sin(np.arange(120) * 2 * np.pi / 12))
    >>> model = LSTMForecaster(horizon=6, window=12, random_state=0)
    >>> len(model.fit(series).predict(8))
    8
    >>> model.predict(6, num_samples=50).n_samples
    50
    """

    def fit(
        self,
        series: Any,
        past_covariates: Any = None,
        future_covariates: Any = None,
        verbose: bool | None = None,
    ) -> Self:
        """Train on a series.

        Parameters
        ----------
        series : TimeSeries
            At least window + horizon steps, and a season more with `seasonal_period`.
        past_covariates : TimeSeries, optional
            Known at least as far as the series.
        future_covariates : None
            Refused.
        verbose : bool, optional
            Whether to show a bar; if None, as the parameter `verbose` says.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If an argument or a parameter is not as above.
        """
        _refuse(future_covariates)
        if not isinstance(series, TimeSeries):
            raise TypeError(f"series: expected one TimeSeries, got {type(series).__name__}")
        values = _joined(series, past_covariates)
        estimator = estimator_of(self, estimators.LSTMForecaster)
        if verbose is not None:
            estimator.set_params(verbose=verbose)
        self.estimator_ = estimator.fit(values)
        self._components = series.n_components
        super().fit(series, past_covariates)
        return self

    def predict(
        self,
        n: int,
        series: Any = None,
        past_covariates: Any = None,
        future_covariates: Any = None,
        num_samples: int = 1,
        verbose: bool | None = None,
        predict_likelihood_parameters: bool = False,
        show_warnings: bool = True,
        random_state: int | None = None,
    ) -> Any:
        """Return the median of each of the next steps, or sampled paths of them.

        Parameters
        ----------
        n : int
            How many steps.
        series : TimeSeries or sequence of TimeSeries, optional
            What to go on from; if None, the series of the last fit.
        past_covariates : TimeSeries or sequence of TimeSeries, optional
            For each series, if there were any in `fit`.
        future_covariates : None
            Refused.
        num_samples : int, default 1
            How many paths, if more than 1.
        random_state : int, optional
            Draws the paths; if None, always the same.
        verbose, predict_likelihood_parameters, show_warnings
            There because Darts hands them in; likelihood parameters are refused.

        Returns
        -------
        TimeSeries, or a list of them for a sequence

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above.
        """
        _refuse(future_covariates)
        if series is None:
            series, past_covariates = self.training_series, past_covariates or self.past_covariate_series
        likelihood = predict_likelihood_parameters
        super().predict(n, series, past_covariates, None, num_samples, verbose, likelihood, False)
        if series is None:
            raise ValueError("series: expected a TimeSeries, as that of fit is no longer there, got None")
        if isinstance(series, TimeSeries):
            return self._following(n, series, past_covariates, num_samples, random_state or 0)
        covariates = [None] * len(series) if past_covariates is None else past_covariates
        return [
            self._following(n, one, covariate, num_samples, random_state or 0)
            for one, covariate in zip(series, covariates, strict=True)
        ]

    def _following(self, n: int, series: Any, covariates: Any, num_samples: int, seed: int) -> Any:
        values = _joined(series, covariates)
        if num_samples > 1:
            steps = self.estimator_.sample(num_samples, values, n, seed=seed).transpose(1, 2, 0)
        else:
            steps = self.estimator_.predict(values, n)
        return self._build_forecast_series(np.ascontiguousarray(steps[:, : self._components]), series)

    # What Darts asks of a model

    @property
    def supports_multivariate(self) -> bool:
        """Whether series may have several components."""
        return True

    @property
    def supports_past_covariates(self) -> bool:
        """Whether past covariates are read."""
        return True

    @property
    def supports_probabilistic_prediction(self) -> bool:
        """Whether paths are sampled."""
        return True

    @property
    def supports_sample_weight(self) -> bool:
        """Whether steps may have weights."""
        return False

    @property
    def supports_optimized_historical_forecasts(self) -> bool:
        """Whether historical forecasts have a way of their own."""
        return False

    @property
    def output_chunk_length(self) -> int:
        """How many steps are forecast at once."""
        return int(self.horizon)

    @property
    def min_train_samples(self) -> int:
        """How many windows there must be to learn from."""
        return 1

    @property
    def _target_window_lengths(self) -> tuple[int, int]:
        return int(self.window) + int(self.seasonal_period or 0), int(self.horizon)

    @property
    def extreme_lags(self) -> tuple[Any, ...]:
        """Which steps are read and forecast, from the first that is forecast."""
        needed, horizon = self._target_window_lengths
        covariates = (-needed, -1) if self.uses_past_covariates else (None, None)
        return (-needed, horizon - 1, *covariates, None, None, 0)

    @property
    def _model_encoder_settings(self) -> tuple[Any, ...]:
        return (*self._target_window_lengths, True, False, None, None)


def _refuse(future_covariates: object) -> None:
    if future_covariates is not None:
        raise ValueError("future_covariates: expected None, as the model reads what is past, got some")


def _joined(series: Any, covariates: Any) -> Array:
    """Return a series and its covariates as (T, n), over the steps of both."""
    if covariates is None:
        return np.asarray(series.values(copy=False))
    if covariates.freq != series.freq or covariates.end_time() < series.end_time():
        known = f"as far as the series, {series.end_time()}, by {series.freq}"
        got = f"until {covariates.end_time()} by {covariates.freq}"
        raise ValueError(f"past_covariates: expected steps known {known}, got {got}")
    both: Sequence[Any] = (series.slice_intersect(covariates), covariates.slice_intersect(series))
    return np.concatenate([part.values(copy=False) for part in both], axis=1)
