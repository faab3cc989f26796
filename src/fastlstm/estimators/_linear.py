"""How a linear autoregression is learned: least squares, of as many steps as Akaike's criterion says."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.linalg import solve_triangular

from ..model.checks import Array
from ..predictors._linear import Autoregression

RIDGE = 1e-6
"""What is added to the variance of each lag: those of a perfect wave depend on each other."""

TINY = 1e-12
"""Of a variance of 1, what counts as nothing left."""


def autoregression(values: Array, longest: int) -> Autoregression:
    """Return what forecasts each variable of a standardised series best, from at most `longest` steps.

    Parameters
    ----------
    values : array (T, n)
        With mean 0 and deviation 1.
    longest : int
        Below T.

    Notes
    -----
    The order of each variable is that of the least AIC [1]_, over the same rows for all orders.

    References
    ----------
    .. [1] H. Akaike, "A New Look at the Statistical Model Identification", IEEE Transactions on Automatic
       Control 19(6), 1974.
    """
    weights, bias = [], np.empty(values.shape[1])
    for variable, series in enumerate(values.T):
        lags, target = _lags(series, _order(*_lags(series, longest)))
        weights.append(_stable(_least_squares(lags, target)))
        bias[variable] = np.mean(target - lags @ weights[-1])
    order = max(map(len, weights))
    return Autoregression(np.stack([np.pad(own, (0, order - len(own))) for own in weights], axis=1), bias)


def _lags(series: Array, count: int) -> tuple[Array, Array]:
    """Return the last `count` numbers before each, (N, count), and each, (N,)."""
    if not count:
        return np.empty((len(series), 0)), series
    return sliding_window_view(series, count)[:-1, ::-1], series[count:]


def _order(lags: Array, target: Array) -> int:
    """Return of how many lags the criterion is least.

    One QR decomposition has the squares of all orders: each lag takes its own from those that are left.
    """
    count, longest = lags.shape
    if count < 4:
        return 0
    taken = _triangle(lags, target)[:, -1] ** 2
    left = np.maximum(np.cumsum(taken[::-1])[::-1][1:] / count, TINY)
    criterion = count * np.log(left) + 2 * np.arange(longest + 1)
    return int(np.argmin(criterion[: count // 2]))


def _least_squares(lags: Array, target: Array) -> Array:
    """Return the weight of each lag."""
    R = _triangle(lags, target)[: lags.shape[1] + 1]
    weight: Array = solve_triangular(R[:, :-1], R[:, -1])[1:]
    return weight


def _triangle(lags: Array, target: Array) -> Array:
    """Return R of the QR decomposition of ones, the lags and the target."""
    count, order = lags.shape
    rows = np.column_stack([np.ones(count), lags, target])
    ridge = np.sqrt(RIDGE * count) * np.eye(order + 2)[1:-1]
    return np.asarray(np.linalg.qr(np.concatenate([rows, ridge]), mode="r"))


def _stable(weight: Array) -> Array:
    """Return weights whose forecasts don't grow without end: no root of theirs is beyond 1."""
    if not len(weight):
        return weight
    largest = np.abs(np.roots(np.concatenate([[1.0], -weight]))).max()
    return np.asarray(weight / max(1.0, largest) ** np.arange(1, len(weight) + 1))
