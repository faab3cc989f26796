"""One output of two directions: their sum, mean or product, and the way back."""

from __future__ import annotations

import numpy as np

from .checks import Array

MERGES = ("concat", "sum", "mean", "mul")


def halves(both: Array) -> tuple[Array, Array]:
    """Return the columns of each direction, as views."""
    size = both.shape[-1] // 2
    return both[..., :size], both[..., size:]


def merged(merge: str, both: Array, out: Array) -> Array:
    """Write what two directions side by side, (..., 2·P), give together into `out`, (..., P); return it."""
    forward, reverse = halves(both)
    if merge == "mul":
        return np.multiply(forward, reverse, out)
    np.add(forward, reverse, out)
    if merge == "mean":
        out *= 0.5
    return out


def unmerged(merge: str, d_merged: Array, both: Array) -> tuple[Array, Array]:
    """Return the gradients of both directions, whose outputs were `both`."""
    if merge == "sum":
        return d_merged, d_merged
    if merge == "mean":
        half = d_merged * 0.5
        return half, half
    forward, reverse = halves(both)
    return d_merged * reverse, d_merged * forward
