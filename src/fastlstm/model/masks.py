"""What training multiplies numbers by at random."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks import Array

LEVELS = 1 << 16


def dropout_mask(rng: np.random.Generator, p: float, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return 0 for a share p of the numbers, 1 / (1 - p) for the others."""
    keep = 1 - p
    mask: Array = (rng.random(shape, np.float32) < keep).astype(dtype)
    if keep:
        mask /= keep
    return mask


def drop_mask(rng: np.random.Generator, p: float, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return the same of many numbers, faster, with p to the nearest of 65,536 levels."""
    mask = (~_drawn(rng, p, shape)).astype(dtype)
    dropped = round(p * LEVELS)
    if dropped < LEVELS:
        mask *= LEVELS / (LEVELS - dropped)
    return mask


def zone_mask(rng: np.random.Generator, p: float, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return 1 for a share p of the numbers, to the nearest of 65,536 levels, 0 for the others."""
    return _drawn(rng, p, shape).astype(dtype)


def _drawn(rng: np.random.Generator, p: float, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return whether each number is among a share p. Four are drawn as one, in a third of the time."""
    count = math.prod(shape)
    levels = rng.integers(0, 1 << 64, -(-count // 4), np.uint64).view(np.uint16)[:count]
    chosen: NDArray[np.bool_] = (levels < round(p * LEVELS)).reshape(shape)
    return chosen
