"""What the axes of a value are, and where they go where a graph turns and folds it.

An axis is "T" or "B", time or batch, "D", two directions, "H", the numbers of a step, "1", one of size one,
"L", the layers of a final state, or "0" or "1st" as long as nothing has told which of the two is time.
"""

from __future__ import annotations

from collections.abc import Sequence

Axes = tuple[str, ...]

UNTOLD = ("0", "1st")
ONE = "1"


def transposed(axes: Axes, order: Sequence[int]) -> Axes | None:
    """Return the axes in another order; None if it is none of theirs."""
    if sorted(order) != list(range(len(axes))):
        return None
    return tuple(axes[place] for place in order)


def squeezed(axes: Axes, places: Sequence[int] | None) -> Axes | None:
    """Return the axes without some of size one, or all such; None if others are meant."""
    if places is None:
        return tuple(axis for axis in axes if axis != ONE)
    left_out = {place % len(axes) for place in places if -len(axes) <= place < len(axes)}
    if len(left_out) < len(places) or any(axes[place] != ONE for place in left_out):
        return None
    return tuple(axis for place, axis in enumerate(axes) if place not in left_out)


def unsqueezed(axes: Axes, places: Sequence[int]) -> Axes | None:
    """Return the axes with more of size one, which are then at these places; None if they can't be."""
    rank = len(axes) + len(places)
    added = {place % rank for place in places if -rank <= place < rank}
    if len(added) < len(places):
        return None
    rest = iter(axes)
    return tuple(ONE if place in added else next(rest) for place in range(rank))


def reshaped(axes: Axes, shape: Sequence[int | None], sizes: Sequence[int]) -> Axes | None:
    """Return the axes of a value in another shape; None if it is cut otherwise than along them.

    Parameters
    ----------
    axes : tuple of str
    shape : sequence of int or None
        As a node Reshape has it, with 0 for what stays and -1 for the rest; None for what is calculated.
    sizes : sequence of int
        The size of D and of H.
    """
    given: list[int | str | None] = list(shape)
    for k, size in enumerate(given):
        if size == 0:
            if k >= len(axes):
                return None
            given[k] = axes[k]
    real = [axis for axis in axes if axis != ONE]
    places = [size for size in given if size not in (1, ONE)]
    if len(places) == len(real) - 1 and real[-2:] == ["D", "H"]:
        real, sizes = [*real[:-2], "H"], (1, sizes[0] * sizes[1])
    if len(places) != len(real):
        return None
    for place, axis in zip(places, real, strict=True):
        if isinstance(place, str) and place != axis:
            return None
        if isinstance(place, int) and place != -1 and axis in "DH" and place != sizes["DH".index(axis)]:
            return None
    rest = iter(real)
    return tuple(ONE if size in (1, ONE) else next(rest) for size in given)
