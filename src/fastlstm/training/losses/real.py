"""Which steps of a batch a loss counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._arrays import Array, as_booleans, as_floats, check_nonnegative
from ...ragged import Padding

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
    real: Mask | None = None
    if lengths is not None:
        if len(shape) < 2:
            raise ValueError(f"lengths: expected None for a target of shape {shape}, got lengths")
        padding = Padding.of(shape[:2], batch_first)
        steps = padding.lengths(lengths)
        assert steps is not None
        real = ~padding.past_end(steps)
    if mask is not None:
        chosen = as_booleans(mask, "mask")
        if chosen.shape != shape[: chosen.ndim]:
            raise ValueError(f"mask: expected shape {shape} or its beginning, got {chosen.shape}")
        axes = max(chosen.ndim, 2)
        real = chosen if real is None else _with_axes(chosen, axes) & _with_axes(real, axes)
    return real


def as_weights(sample_weight: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Return how much each number of an array of that shape counts; ValueError or TypeError otherwise."""
    weights = as_floats(sample_weight, "sample_weight", np.dtype(np.float64))
    check_nonnegative(weights, "sample_weight")
    try:
        return np.broadcast_to(weights, shape)
    except ValueError:
        expected = f"a shape that broadcasts to {shape}"
        raise ValueError(f"sample_weight: expected {expected}, got {weights.shape}") from None


def _with_axes(mask: Mask, axes: int) -> Mask:
    return mask.reshape(mask.shape + (1,) * (axes - mask.ndim))


def scattered(rows: Array, real: Mask | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return the gradient for an output of that shape and dtype from that of its real places."""
    if real is None:
        return rows.reshape(shape).astype(dtype, copy=False)
    gradient = np.zeros(shape, dtype)
    gradient[real] = rows.reshape(np.count_nonzero(real), *shape[real.ndim :])
    return gradient
