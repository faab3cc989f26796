"""Which steps of a series a model reads, and which it forecasts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..model.checks import Array, as_dict, as_size

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """Windows of a series, and the steps after each; a start is the first step that is forecast.

    Attributes
    ----------
    window : int
        How many steps are read.
    horizon : int
        How many are forecast.
    period : int, optional
        Of a season: the model reads and forecasts the differences from the steps a season ago.
    """

    window: int
    horizon: int
    period: int | None

    @property
    def needed(self) -> int:
        """How many steps must precede a start."""
        return self.window + (self.period or 0)

    def starts(self, values: Array) -> Places:
        """Return all starts of a series; ValueError if it has none."""
        starts = np.arange(self.needed, len(values) - self.horizon + 1)
        if not len(starts):
            least = self.needed + self.horizon
            raise ValueError(f"series: expected at least {least} steps, got {len(values)}")
        return starts

    def ahead(self, starts: Places) -> Places:
        """Return the places of the steps to be forecast, (N, horizon)."""
        return starts[:, None] + np.arange(self.horizon)

    def differences(self, values: Array) -> Array:
        """Return a series without its season; it begins that much later."""
        return values if self.period is None else values[self.period :] - values[: -self.period]

    def base(self, values: Array, starts: Places) -> Array:
        """Return what the forecast differences are added to, (N, horizon, n): the last season again, or 0."""
        if self.period is None:
            return np.zeros((len(starts), self.horizon, values.shape[1]))
        base: Array = values[starts[:, None] - self.period + np.arange(self.horizon) % self.period]
        return base

    def summed(self, differences: Array) -> Array:
        """Return the differences (N, horizon, n) from the season before as those from the last one."""
        if self.period is None or self.period >= self.horizon:
            return differences
        summed = differences.copy()
        for step in range(self.period, self.horizon):
            summed[:, step] += summed[:, step - self.period]
        return summed

    def read(self, differences: Array, starts: Places) -> Array:
        """Return what is read before each start, (N, window, n)."""
        windows = sliding_window_view(differences, self.window, axis=0)
        return windows[starts - self.needed].swapaxes(1, 2)

    def described(self) -> dict[str, Any]:
        """Return what a file keeps."""
        return asdict(self)

    @classmethod
    def stored(cls, description: object) -> Self:
        """Return what a file kept; ValueError or TypeError if it is none."""
        sizes = as_dict(description, "windows")
        window, horizon = (as_size(sizes.get(name, 0), name) for name in ("window", "horizon"))
        period = sizes.get("period")
        return cls(window, horizon, None if period is None else as_size(period, "period"))
