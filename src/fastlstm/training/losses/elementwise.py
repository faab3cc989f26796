"""Losses of each number by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...model.checks import Array, as_floats, as_positive, check_shape
from .real import as_weights, real_steps, scattered

Values = Callable[[Array, Array], tuple[Array, Array]]
"""From outputs and targets to each number's loss and its slope."""


def mean_squared_error(
    output: ArrayLike,
    target: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    mask: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    batch_first: bool = False,
) -> tuple[float, Array]:
    """Return the mean of (output - target)², and its gradient; as `torch.nn.functional.mse_loss`.

    Parameters
    ----------
    output : array (T, B, ...), or (B, T, ...) with `batch_first`; of any shape without `lengths`
    target : array like `output`
    lengths : integer array (B,), optional
        How many steps each sequence has, 0 to T. The mean is over these.
    mask : boolean array, optional
        Of `output`'s shape or the beginning of it: which numbers count.
    sample_weight : array that broadcasts to `target`, optional
        How much each number counts, 0 or more; the mean is then a weighted one.
    batch_first : bool, default False

    Returns
    -------
    value : float
        0 where nothing counts.
    doutput : array like `output`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.training import mean_squared_error
    >>> value, doutput = mean_squared_error(np.array([1.0, 5.0]), [2.0, 2.0])
    >>> value, doutput.tolist()
    (5.0, [-1.0, 3.0])
    """

    def values(y: Array, t: Array) -> tuple[Array, Array]:
        difference = y - t
        return difference * difference, 2 * difference

    return _mean(output, target, lengths, mask, sample_weight, batch_first, values)


def huber_loss(
    output: ArrayLike,
    target: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    delta: float = 1.0,
    mask: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    batch_first: bool = False,
) -> tuple[float, Array]:
    """Return the mean of Huber's loss, and its gradient; as `torch.nn.functional.huber_loss`.

    With d = output - target it is d² / 2 where abs(d) is at most delta, and delta·(abs(d) - delta / 2)
    beyond.

    Parameters
    ----------
    output, target, lengths, mask, sample_weight, batch_first
        As for `mean_squared_error`.
    delta : float, default 1.0
        Above 0.

    Returns
    -------
    value : float
    doutput : array like `output`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    .. [1] P. J. Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics
       35(1), 1964.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.training import huber_loss
    >>> huber_loss(np.array([1.0, 5.0]), [2.0, 2.0])
    (1.5, array([-0.5,  0.5]))
    """
    bound = as_positive(delta, "delta")

    def values(y: Array, t: Array) -> tuple[Array, Array]:
        difference = y - t
        slope = np.clip(difference, -bound, bound)
        return slope * (difference - slope / 2), slope

    return _mean(output, target, lengths, mask, sample_weight, batch_first, values)


def binary_cross_entropy_with_logits(
    output: ArrayLike,
    target: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    mask: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    batch_first: bool = False,
) -> tuple[float, Array]:
    """Return the mean of -t·log(p) - (1 - t)·log(1 - p) with p = sigmoid(output), and its gradient.

    As `torch.nn.functional.binary_cross_entropy_with_logits`.

    Parameters
    ----------
    output, lengths, mask, sample_weight, batch_first
        As for `mean_squared_error`; what a sigmoid would take.
    target : array like `output`
        From 0 to 1.

    Returns
    -------
    value : float
        In nats.
    doutput : array like `output`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.training import binary_cross_entropy_with_logits
    >>> value, doutput = binary_cross_entropy_with_logits(np.zeros(2), [0.0, 1.0])
    >>> round(value, 4), doutput.tolist()
    (0.6931, [0.25, -0.25])
    """
    from scipy.special import expit

    def values(y: Array, t: Array) -> tuple[Array, Array]:
        if not ((t >= 0) & (t <= 1)).all():
            wrong = t[~((t >= 0) & (t <= 1))][0]
            raise ValueError(f"target: expected numbers from 0 to 1, got {wrong}")
        return np.logaddexp(0, y) - y * t, expit(y) - t

    return _mean(output, target, lengths, mask, sample_weight, batch_first, values)


def quantile_loss(
    output: ArrayLike,
    target: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    quantiles: Sequence[float] = (0.5,),
    mask: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    batch_first: bool = False,
) -> tuple[float, Array]:
    """Return the mean of the pinball loss, and its gradient: it is least at the target's quantiles.

    With d = target - output[..., k] it is q·d where d is above 0, and (q - 1)·d below, q the k-th quantile.

    Parameters
    ----------
    output : array (T, B, ..., Q), or (B, T, ..., Q) with `batch_first`
        For each number of the target an estimate of each of Q quantiles.
    target : array (T, B, ...), or (B, T, ...) with `batch_first`
    quantiles : sequence of Q floats, default (0.5,)
        Each above 0 and below 1.
    lengths, mask, sample_weight, batch_first
        As for `mean_squared_error`; `mask` of `target`'s shape or the beginning of it.

    Returns
    -------
    value : float
    doutput : array like `output`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    .. [1] R. Koenker and G. Bassett, "Regression Quantiles", Econometrica 46(1), 1978.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.training import quantile_loss
    >>> value, doutput = quantile_loss(np.array([[1.0, 4.0]]), [2.0], quantiles=[0.1, 0.9])
    >>> round(value, 4), doutput.tolist()
    (0.15, [[-0.05, 0.04999999999999999]])
    """
    q = as_floats(quantiles, "quantiles")
    if q.ndim != 1 or not len(q) or not ((q > 0) & (q < 1)).all():
        raise ValueError(f"quantiles: expected numbers above 0 and below 1, got {quantiles!r}")
    given, truth = as_floats(output, "output"), as_floats(target, "target")
    check_shape(given, "output", (*truth.shape, len(q)))

    def values(y: Array, t: Array) -> tuple[Array, Array]:
        difference = t - y
        slope = np.where(difference > 0, -q, np.where(difference < 0, 1 - q, 0)).astype(y.dtype)
        return -slope * difference, slope

    wide = np.broadcast_to(truth[..., None], given.shape)
    counts = None if sample_weight is None else as_weights(sample_weight, truth.shape)[..., None]
    return _mean(given, wide, lengths, mask, counts, batch_first, values)


def flat_quantile_loss(
    output: Array, target: Array, *, quantiles: Sequence[float], **options: Any
) -> tuple[float, Array]:
    """Return `quantile_loss` of an output that has n·Q numbers beside each other for a target's n."""
    value, gradient = quantile_loss(output.reshape(*target.shape, -1), target, quantiles=quantiles, **options)
    return value, gradient.reshape(output.shape)


def _mean(
    output: ArrayLike,
    target: ArrayLike,
    lengths: ArrayLike | None,
    mask: ArrayLike | None,
    sample_weight: ArrayLike | None,
    batch_first: bool,
    values: Values,
) -> tuple[float, Array]:
    """Return the mean of a loss over all real numbers, and its gradient."""
    given = as_floats(output, "output")
    dtype: np.dtype[Any] = np.result_type(given.dtype, np.float32)
    truth = as_floats(target, "target", dtype, given.shape)
    real = real_steps(given.shape, lengths, mask, batch_first)
    y = given.astype(dtype, copy=False)
    losses, slopes = values(y, truth) if real is None else values(y[real], truth[real])
    if sample_weight is None:
        count = float(max(losses.size, 1))
    else:
        weights = as_weights(sample_weight, given.shape)
        weights = (weights if real is None else weights[real]).astype(dtype, copy=False)
        losses, slopes = losses * weights, slopes * weights
        count = float(weights.sum(dtype=np.float64)) or 1.0
    slopes /= count
    return float(losses.sum(dtype=np.float64)) / count, scattered(slopes, real, given.shape, given.dtype)
