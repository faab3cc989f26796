"""Forecasts without an LSTM.

Like the LSTM they learn from the known values of a series, and forecast from each origin what follows from
all values until there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..model.checks import Array
from .series import COVERAGE, QUANTILES, Forecasts, Series, View

LONGEST = 3
"""How many periods an autoregression may read."""


def seasonal_naive(series: Series) -> Forecasts:
    """Forecast what was a period ago; the interval is that of normal errors as large as those before."""
    median = series.values[series.origins[:, None] + 1 - series.period + np.arange(series.period)]
    half = _normal(COVERAGE) * np.sqrt(np.mean(seasonal_errors(series) ** 2))
    return np.stack([median - half, median, median + half], axis=-1)


def seasonal_errors(series: Series) -> Array:
    """Return the errors of the seasonal naive forecast among the known values."""
    known = series.values[: series.known]
    return known[series.period :] - known[: -series.period]


def _normal(coverage: float) -> float:
    """Return how many deviations on each side cover that share of a normal distribution."""
    from scipy.special import ndtri

    return float(ndtri((1 + coverage) / 2))


def smoothing(series: Series) -> Forecasts:
    """Forecast by exponential smoothing with additive season; the trend is chosen by AICc."""
    trends: tuple[dict[str, Any], ...] = (
        {"trend": None},
        {"trend": "add"},
        {"trend": "add", "damped_trend": True},
    )
    fitted = [_smoothing_model(series, series.known, trend).fit(disp=False) for trend in trends]
    best = int(np.argmin([result.aicc for result in fitted]))

    def until(origin: int) -> Any:
        return _smoothing_model(series, origin + 1, trends[best]).smooth(fitted[best].params)

    return series.restored(_from_each_origin(series, until))


def _smoothing_model(series: Series, count: int, trend: dict[str, Any]) -> Any:
    """Return the model of the first values."""
    import pandas as pd
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    return ETSModel(pd.Series(series.stable[:count]), seasonal="add", seasonal_periods=series.period, **trend)


def autoregression(series: Series) -> Forecasts:
    """Forecast by linear regression on the last values, as many as the AIC says, of what the LSTM reads."""
    import pandas as pd
    from statsmodels.tsa.ar_model import ar_select_order

    view = View(series)
    order = ar_select_order(view.values[: view.known], maxlag=LONGEST * series.period, ic="aic")
    fitted = order.model.fit()

    def until(origin: int) -> Any:
        return fitted.apply(pd.Series(view.until(origin)), refit=False)

    return view.restored(_from_each_origin(series, until))


def _from_each_origin(series: Series, until: Callable[[int], Any]) -> Forecasts:
    """Return the forecasts of what `until` makes of the values until an origin: a result of statsmodels."""
    forecasts = np.empty((len(series.origins), series.period, len(QUANTILES)))
    for row, origin in zip(forecasts, series.origins, strict=True):
        result = until(int(origin))
        first = len(result.model.endog)
        predicted = result.get_prediction(first, first + series.period - 1)
        # The mean comes first and the bounds last, whatever a model calls them.
        row[:] = predicted.summary_frame(alpha=1 - COVERAGE).iloc[:, [-2, 0, -1]]
    return forecasts
