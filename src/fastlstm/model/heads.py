"""Block-diagonal recurrent weights: heads, and the passes of the core that they become.

A cell with heads is as many independent cells, of which each reads x and writes its own columns of y. So a
direction of a layer is several passes of the core, side by side. Small heads share a pass, so that its
vectors are full; between these there are zeros in its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .checks import Array, as_size

if TYPE_CHECKING:
    from .recurrent import Recurrent

SMALLEST = 16
"""Units of a pass, if there are as many heads as that takes."""


def as_heads(value: Any, name: str) -> int:
    """Return a number of heads."""
    return as_size(value, name)


def check_heads(model: Recurrent[Any]) -> None:
    """Raise ValueError unless the units of a model can be shared out among its heads."""
    if model.hidden_size % model.heads:
        raise ValueError(f"heads: expected a divisor of hidden_size {model.hidden_size}, got {model.heads}")
    for name in ("proj_size", "layer_norm"):
        if model.heads > 1 and getattr(model, name):
            raise ValueError(f"{name}: expected none with heads, got {getattr(model, name)!r}")


def passes_of(hidden_size: int, heads: int) -> int:
    """Return how many passes a direction of a layer is: each of so many whole heads."""
    each = hidden_size // heads
    together = next(n for n in range(1, heads + 1) if heads % n == 0 and (n * each >= SMALLEST or n == heads))
    return heads // together


def of_pass(array: Array, blocks: int, passes: int, k: int) -> Array:
    """Return the rows of the k-th pass's units, of an array of `blocks` rows for each unit, gate by gate."""
    parts = array.reshape(blocks, passes, -1, *array.shape[1:])[:, k]
    return np.ascontiguousarray(parts.reshape(-1, *array.shape[1:]))


def of_passes(arrays: Sequence[Array], blocks: int) -> Array:
    """Undo `of_pass`."""
    parts = [array.reshape(blocks, 1, -1, *array.shape[1:]) for array in arrays]
    return np.concatenate(parts, axis=1).reshape(-1, *arrays[0].shape[1:])


def block_diagonal(weight: Array, blocks: int) -> Array:
    """Return a pass's recurrent weights, (blocks·H, H), from its heads', (blocks·H, H of one)."""
    each = weight.shape[1]
    heads = len(weight) // blocks // each
    if heads == 1:
        return weight
    whole = np.zeros((blocks, heads, each, heads, each), weight.dtype)
    place = np.arange(heads)
    whole[:, place, :, place] = weight.reshape(blocks, heads, each, each).swapaxes(0, 1)
    return whole.reshape(len(weight), -1)


def diagonal_blocks(weight: Array, blocks: int, each: int) -> Array:
    """Undo `block_diagonal`."""
    heads = weight.shape[1] // each
    place = np.arange(heads)
    parts = weight.reshape(blocks, heads, each, heads, each)[:, place, :, place]
    return np.ascontiguousarray(parts.swapaxes(0, 1).reshape(len(weight), each))


# States: by name (layers·D, B, size) outside; for the core h and what is carried beside it, pass by pass


def states_for_core(states: Sequence[Array], passes: int) -> list[Array]:
    """Return h, and the other states side by side, as (layers·D·passes, B, n) arrays.

    They are the same arrays where that is the same: calls of small models take some microseconds in all.
    """
    if passes == 1 and len(states) <= 2:
        return list(states)
    if passes > 1:
        states = [_apart(state, passes) for state in states]
    h, *others = states
    return [h, *([np.concatenate(others, axis=2)] if len(others) > 1 else others)]


def states_from_core(arrays: Sequence[Array], count: int, passes: int) -> list[Array]:
    """Undo `states_for_core`, for `count` states."""
    if passes == 1 and count <= 2:
        return list(arrays)
    h, *rest = arrays
    states = [h, *(np.split(rest[0], count - 1, axis=2) if count > 1 else [])]
    return [_together(state, passes) for state in states]


def _apart(state: Array, passes: int) -> Array:
    places, B, size = state.shape
    parts = state.reshape(places, B, passes, size // passes).swapaxes(1, 2)
    return np.ascontiguousarray(parts.reshape(places * passes, B, size // passes))


def _together(state: Array, passes: int) -> Array:
    places, B, size = state.shape
    parts = state.reshape(places // passes, passes, B, size).swapaxes(1, 2)
    return np.ascontiguousarray(parts.reshape(places // passes, B, passes * size))
