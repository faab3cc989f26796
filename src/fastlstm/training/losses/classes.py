"""Losses over classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...layers import Linear
from ...model.checks import Array, as_floats, as_integers, check_indices, check_nonnegative
from ...model.gradients import Gradients
from ...model.layer import as_vectors
from ...model.precision import check_trains
from .real import Mask, as_weights, real_steps, scattered

CHUNK = 1 << 20
"""How many logits are worked on at a time."""

Classes = NDArray[np.int64]


def softmax_cross_entropy(
    output: ArrayLike,
    target: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    weight: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    batch_first: bool = False,
) -> tuple[float, Array]:
    """Return the mean of -log softmax(output)[target], and its gradient.

    As `torch.nn.functional.cross_entropy`, with the classes on the last axis.

    Parameters
    ----------
    output : array (T, B, C), or (B, T, C) with `batch_first`; (..., C) without `lengths`
        Logits.
    target : integer array like `output` without C
        From 0 to C - 1 where it counts.
    lengths : integer array (B,), optional
        How many steps each sequence has, 0 to T. The mean is over these.
    weight : array (C,), optional
        How much each class counts, 0 or more; the mean is then a weighted one.
    mask : boolean array, optional
        Of `target`'s shape or the beginning of it: which targets count.
    sample_weight : array that broadcasts to `target`, optional
        How much each target counts, 0 or more, beside its class.
    batch_first : bool, default False

    Returns
    -------
    value : float
        In nats; 0 where nothing counts.
    doutput : array like `output`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.training import softmax_cross_entropy
    >>> value, doutput = softmax_cross_entropy(np.zeros((2, 4)), [0, 3])
    >>> round(value, 4)
    1.3863
    >>> doutput[0].tolist()
    [-0.375, 0.125, 0.125, 0.125]

    Where targets are missing:

    >>> target = np.array([0, -1])
    >>> softmax_cross_entropy(np.zeros((2, 4)), target, mask=target >= 0)[1].tolist()
    [[-0.75, 0.25, 0.25, 0.25], [0.0, 0.0, 0.0, 0.0]]
    """
    given = as_floats(output, "output")
    if given.ndim == 0:
        raise ValueError("output: expected shape (..., C), got ()")
    count = given.shape[-1]
    classes, shares, real = _counted(target, given.shape, lengths, weight, mask, sample_weight, batch_first)
    rows = (given if real is None else given[real]).reshape(-1, count)
    gradient = rows.astype(np.result_type(given.dtype, np.float32), copy=real is None)
    value = sum(
        _into_gradient(gradient[part], classes[part], shares[part]) for part in _parts(len(rows), count)
    )
    return value, scattered(gradient, real, given.shape, given.dtype)


def linear_softmax_cross_entropy(
    linear: Linear,
    x: ArrayLike,
    target: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    weight: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    batch_first: bool = False,
) -> tuple[float, Gradients[None]]:
    """Return `softmax_cross_entropy` of a linear layer's output, and the layer's gradients.

    For large vocabularies: the logits exist for a few steps at a time only, while the layer followed by
    the loss would hold them all, twice.

    Parameters
    ----------
    linear : Linear
    x : array (T, B, in_features), or (B, T, in_features) with `batch_first`; any without `lengths`
        What the layer would read.
    target, lengths, weight, mask, sample_weight, batch_first
        As for `softmax_cross_entropy`.

    Returns
    -------
    value : float
    gradients : Gradients
        `input` and `parameters`, as the layer's tape would give them.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.training import linear_softmax_cross_entropy
    >>> linear = fastlstm.Linear(8, 50_000, rng=0)
    >>> value, gradients = linear_softmax_cross_entropy(linear, np.zeros((5, 2, 8)), np.zeros((5, 2), int))
    >>> gradients.input.shape, gradients.parameters["weight"].shape
    ((5, 2, 8), (50000, 8))
    """
    if not isinstance(linear, Linear):
        raise TypeError(f"linear: expected a Linear layer, got {type(linear).__name__}")
    check_trains(linear, "linear")
    given = as_vectors(x, linear.in_features)
    count = linear.out_features
    classes, shares, real = _counted(
        target, (*given.shape[:-1], count), lengths, weight, mask, sample_weight, batch_first
    )
    weights = linear._weights
    packed = linear._packed(weights)
    rows = np.ascontiguousarray((given if real is None else given[real]), linear.dtype)
    rows = rows.reshape(-1, linear.in_features)
    d_rows = np.empty_like(rows)
    d_weight, d_bias = np.zeros_like(weights.arrays["weight"]), np.zeros(count, linear.dtype)
    value = 0.0
    for part in _parts(len(rows), count):
        logits = packed.forward(rows[part])
        value += _into_gradient(logits, classes[part], shares[part])
        d_rows[part], d_weight, d_bias = packed.backward(rows[part], logits, d_weight, d_bias)
    gradients = linear._gradients(d_weight, d_bias)
    return value, Gradients(scattered(d_rows, real, given.shape, given.dtype), None, gradients)


def _counted(
    target: ArrayLike,
    shape: tuple[int, ...],
    lengths: ArrayLike | None,
    weight: ArrayLike | None,
    mask: ArrayLike | None,
    sample_weight: ArrayLike | None,
    batch_first: bool,
) -> tuple[Classes, Array, Mask | None]:
    """Return the real targets, the share of each in the loss, and which are real.

    `shape` is that of the logits.
    """
    classes = as_integers(target, "target", shape[:-1])
    real = real_steps(classes.shape, lengths, mask, batch_first)
    shares = np.ones(classes.shape) if sample_weight is None else as_weights(sample_weight, classes.shape)
    if real is None:
        classes, shares = classes.ravel(), shares.ravel()
    else:
        classes, shares = classes[real].ravel(), shares[real].ravel()
    count = shape[-1]
    check_indices(classes, "target", count, "classes")
    if weight is not None:
        shares = shares * _class_weights(weight, count)[classes]
    return classes, shares / (shares.sum() or 1), real


def _class_weights(weight: ArrayLike, count: int) -> Array:
    by_class = as_floats(weight, "weight", np.dtype(np.float64), (count,))
    check_nonnegative(by_class, "weight")
    return by_class


def _parts(rows: int, columns: int) -> Iterator[slice]:
    """Yield the rows some at a time."""
    step = max(1, CHUNK // max(columns, 1))
    for first in range(0, rows, step):
        yield slice(first, first + step)


def _into_gradient(logits: Array, classes: Classes, shares: Array) -> float:
    """Turn logits (n, C) into their gradient, in place; return their part of the loss."""
    rows = np.arange(len(logits))
    logits -= logits.max(axis=1, keepdims=True)
    picked = logits[rows, classes]
    np.exp(logits, out=logits)
    sums = logits.sum(axis=1)
    value = float(((np.log(sums) - picked) * shares).sum(dtype=np.float64))
    logits *= (shares / sums).astype(logits.dtype)[:, None]
    logits[rows, classes] -= shares.astype(logits.dtype)
    return value
