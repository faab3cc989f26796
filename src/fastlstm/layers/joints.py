"""Sums, products and concatenations of what several layers of a graph give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from ..model.checks import Array
from ..model.joint import Joint


class Add(Joint):
    """The sum of arrays of one shape, as of a skip connection.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.Add()(np.ones((2, 3)), np.ones((2, 3))).tolist()
    [[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]
    """

    def _join(self, given: Sequence[Array]) -> tuple[Array, Callable[[Array], list[Array]]]:
        dtypes = [array.dtype for array in given]
        return reduce(np.add, given), lambda dy: [dy.astype(dtype, copy=False) for dtype in dtypes]


class Multiply(Joint):
    """The product of arrays of one shape, number by number, as of a gate.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.Multiply()(np.array([2.0, 3.0]), np.array([4.0, 5.0])).tolist()
    [8.0, 15.0]
    """

    def _join(self, given: Sequence[Array]) -> tuple[Array, Callable[[Array], list[Array]]]:
        def backward(dy: Array) -> list[Array]:
            gradients = []
            for place, array in enumerate(given):
                others = [other for k, other in enumerate(given) if k != place]
                gradients.append(reduce(np.multiply, others, dy).astype(array.dtype, copy=False))
            return gradients

        return reduce(np.multiply, given), backward


class Concat(Joint):
    """Arrays side by side along their last axis.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.Concat()(np.ones((4, 2)), np.ones((4, 3))).shape
    (4, 5)
    """

    _mixes_columns = True

    def _size(self, sizes: Sequence[int | None]) -> int | None:
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    def _join(self, given: Sequence[Array]) -> tuple[Array, Callable[[Array], list[Array]]]:
        ends = np.cumsum([array.shape[-1] for array in given])[:-1]
        dtypes = [array.dtype for array in given]

        def backward(dy: Array) -> list[Array]:
            parts = np.split(dy, ends, axis=-1)
            return [part.astype(dtype, copy=False) for part, dtype in zip(parts, dtypes, strict=True)]

        return np.concatenate(given, axis=-1), backward
