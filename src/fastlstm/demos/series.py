"""Two seasonal series, and what models read of them.

The package statsmodels carries both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.checks import Array

Indices = NDArray[np.int64]

QUANTILES = (0.1, 0.5, 0.9)
COVERAGE = 0.8
"""What the outer two promise."""

Forecasts = Array
"""(origins, steps ahead, 3): the quantiles of what follows each origin."""


@dataclass(frozen=True)
class Series:
    """Numbers at equal distances in time, the last of them to be forecast.

    Attributes
    ----------
    name, unit : str
    values : array (N,)
    times : array (N,)
        In years.
    period : int
        Steps in a season; as far ahead go the forecasts.
    held_out : int
        How many values at the end are forecast.
    root : bool
        Whether models read square roots: where numbers swing more the larger they are.
    growing : bool
        Whether models read the change over a period: where numbers grow beyond what was seen.
    """

    name: str
    unit: str
    values: Array
    times: Array
    period: int
    held_out: int
    root: bool = False
    growing: bool = False

    @property
    def known(self) -> int:
        """How many values there are to learn from."""
        return len(self.values) - self.held_out

    @property
    def origins(self) -> Indices:
        """The last places that are known when a forecast is made: all whose forecasts can be judged."""
        return np.arange(self.known - 1, len(self.values) - self.period)

    @property
    def truth(self) -> Array:
        """What followed each origin, (origins, steps ahead)."""
        truth: Array = self.values[self.origins[:, None] + 1 + np.arange(self.period)]
        return truth

    @property
    def stable(self) -> Array:
        """The values, or their roots."""
        return np.sqrt(self.values) if self.root else self.values

    def restored(self, stable: Array) -> Array:
        """Return values of what was forecast of `stable`."""
        return np.maximum(stable, 0) ** 2 if self.root else stable

    def blocks(self) -> list[Series]:
        """Return the series as it comes to be known: its origins two periods at a time, and what is before.

        Each is what models learn anew from.
        """
        size, parts = 2 * self.period, []
        for first in range(0, len(self.origins), size):
            count = min(size, len(self.origins) - first)
            held_out = count + self.period - 1
            end = self.known + first + held_out
            parts.append(replace(self, values=self.values[:end], times=self.times[:end], held_out=held_out))
        return parts

    def earlier(self) -> Series:
        """Return the series without what is held out, to choose settings by."""
        return replace(self, values=self.values[: self.known], times=self.times[: self.known])


def sunspots() -> Series:
    """Return the mean number of sunspots of each year from 1700 to 2008; it swings with about eleven."""
    data = _statsmodels().datasets.sunspots.load_pandas().data
    values, years = data["SUNACTIVITY"].to_numpy(), data["YEAR"].to_numpy()
    return Series("sunspots", "a year", values, years, period=11, held_out=60, root=True)


def carbon_dioxide() -> Series:
    """Return the concentration of CO2 in each month from March 1958 to December 2001.

    A month's number is the mean of its weeks; five months have none, and lie on the line between their
    neighbours.
    """
    weeks = _statsmodels().datasets.co2.load_pandas().data["co2"]
    months = weeks.resample("MS").mean().interpolate()
    years = (months.index.year + (months.index.month - 1) / 12).to_numpy()
    return Series("CO2", "ppm", months.to_numpy(), years, period=12, held_out=120, growing=True)


def _statsmodels() -> Any:
    try:
        import statsmodels.api
    except ImportError as error:
        raise ImportError("the demo forecast needs statsmodels: pip install 'fastlstm[demo]'") from error
    return statsmodels.api


class View:
    """What models read of a series, and the way back.

    Attributes
    ----------
    values : array
        The stable values, or their change over a period.
    known : int
        How many of them there are to learn from.
    """

    def __init__(self, series: Series) -> None:
        self._series = series
        stable, period = series.stable, series.period
        self.values = stable[period:] - stable[:-period] if series.growing else stable
        self._skipped = len(stable) - len(self.values)
        self.known = series.known - self._skipped

    @property
    def origins(self) -> Indices:
        """The places of the series' origins."""
        return self._series.origins - self._skipped

    def until(self, origin: int) -> Array:
        """Return what is known at an origin of the series."""
        return self.values[: origin + 1 - self._skipped]

    def restored(self, forecasts: Forecasts) -> Forecasts:
        """Return forecasts of the series of those of the view."""
        series = self._series
        if series.growing:
            ahead = np.arange(series.period)
            before = series.stable[series.origins[:, None] + 1 - series.period + ahead]
            forecasts = forecasts + before[..., None]
        return series.restored(forecasts)
