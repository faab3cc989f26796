"""Which steps of a batch a loss counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...model.batch import Sequences
from ...model.checks import Array, as_boolean, as_booleans, as_floats, check_nonnegative

Mask = NDArray[np.bool_]


def real_steps(
    shape: tuple[int, ...], lengths: ArrayLike | None, mask: ArrayLike | None, batch_first: bool
) -> Mask | None:
    """Return which leading places of an array of that shape count, None where all do.

    Raises
    ------
    ValueError, TypeError
        If `lengths` or `mask` don't fit the shape.
    """
    as_boolean(batch_first, "batch_first")
    real: Mask | None = None
    if lengths is not None:
        if len(shape) < 2:
            raise ValueError(f"lengths: expected None for a target of shape {shape}, got lengths")
        real = ~Sequences.of(shape[:2], batch_first, lengths).unread()
    if mask is not None:
        chosen = as_booleans(mask, "mask")
        if chosen.shape != shape[: chosen.ndim]:
            raise ValueError(f"mask: expected shape {shape} or its beginning, got {chosen.shape}")
        axes = max(chosen.ndim, 2)
        real = chosen if real is None else _with_axes(chosen, axes) & _with_axes(real, axes)
    return real


def as_weights(sample_weight: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Return how much each number of an array of that shape counts; ValueError or TypeError otherwise."""
    given = as_floats(sample_weight, "sample_weight")
    try:
        np.broadcast_to(given, shape)
    except ValueError:
        expected = f"a shape that broadcasts to {shape}"
        raise ValueError(f"sample_weight: expected {expected}, got {given.shape}") from None
    check_nonnegative(given, "sample_weight")
    return np.broadcast_to(given.astype(np.float64, copy=False), shape)


def _with_axes(mask: Mask, axes: int) -> Mask:
    return mask.reshape(mask.shape + (1,) * (axes - mask.ndim))


def scattered(rows: Array, real: Mask | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return the gradient for an output of that shape and dtype from that of its real places."""
    if real is None:
        return rows.reshape(shape).astype(dtype, copy=False)
    gradient = np.zeros(shape, dtype)
    gradient[real] = rows.reshape(np.count_nonzero(real), *shape[real.ndim :])
    return gradient
