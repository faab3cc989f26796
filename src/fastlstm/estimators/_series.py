"""Series of steps from whatever they came as, and what follows them given back alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from .._arrays import Array


@dataclass(frozen=True)
class Form:
    """What a series came as.

    Attributes
    ----------
    rows : bool
        Whether its steps are rows (n,) rather than numbers.
    kind : type, optional
        Series or DataFrame.
    names : name of a Series, or columns of a DataFrame
    last, step : what the index ends with, and what takes it on
    """

    rows: bool
    kind: Any = None
    names: Any = None
    last: Any = None
    step: Any = None

    def following(self, path: Array) -> Any:
        """Return the steps (h, n) that follow the series, as it came itself."""
        values = path if self.rows else path[:, 0]
        if self.kind is None:
            return values
        index = following(self.last, self.step, len(path))
        if self.rows:
            return self.kind(values, index=index, columns=self.names)
        return self.kind(values, index=index, name=self.names)


def as_series(estimator: BaseEstimator, series: Any, *, reset: bool) -> tuple[Array, Form]:
    """Return a series as (T, n) of float64, and its form; note what an estimator reads, or compare.

    Raises
    ------
    ValueError, TypeError
        If it is no series, has numbers that are not finite or an index that does not tell how it goes on,
        or has not as many variables as noted.
    """
    values = check_array(series, input_name="series", ensure_2d=False, allow_nd=True, dtype=np.float64)
    if values.ndim not in (1, 2):
        raise ValueError(f"series: expected shape (T,) or (T, n), got {values.shape}")
    rows = values.reshape(len(values), -1)
    named = series if values.ndim == 2 else rows
    validate_data(estimator, named, reset=reset, skip_check_array=True)
    if not hasattr(series, "iloc"):
        return rows, Form(values.ndim == 2)
    names = series.columns if values.ndim == 2 else series.name
    return rows, Form(values.ndim == 2, type(series), names, series.index[-1:], step_of(series.index))


def step_of(index: Any) -> Any:
    """Return what leads from each entry of a pandas index to the next: a frequency, or a difference."""
    import pandas as pd

    step = None
    if isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)):
        step = index.freq or (type(index)(index, freq="infer").freq if len(index) > 2 else None)
    elif index.dtype.kind in "iufm" and len(index) > 1:
        difference = index[1] - index[0]
        if np.allclose(np.diff(index) / difference, 1):
            step = difference
    if step is None:
        expected = "an index that tells how it goes on: dates with a frequency, periods, even numbers"
        raise ValueError(f"series: expected {expected}, got {type(index).__name__} that ends in {index[-1]}")
    return step


def following(last: Any, step: Any, count: int) -> Any:
    """Return an index of `count` entries after `last`, an index of one."""
    import pandas as pd

    if isinstance(last, pd.DatetimeIndex):
        return pd.date_range(last[0], periods=count + 1, freq=step, name=last.name)[1:]
    if isinstance(last, pd.PeriodIndex):
        return pd.period_range(last[0], periods=count + 1, name=last.name)[1:]
    return pd.Index(last[0] + step * np.arange(1, count + 1), name=last.name)
