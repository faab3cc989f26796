"""Memory that one training step leaves for the next.

Fresh pages cost more than the arithmetic of a small model: the system hands each out by itself, zeroed. So
what a tape kept goes back to its model when the tape has served, and the next pass of about the same size
finds it there. A model holds the memory of at most one tape, however large, and gives it back when it goes:
to the core, where some of what was given back waits for anybody (`_memory.pxi`).
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._arrays import Array
from ._core import empty

BYTE = np.dtype(np.uint8)
SMALLEST = 1 << 16
"""Bytes below which memory is not worth keeping."""


class Workspace:
    """The large arrays of one pass."""

    def __init__(self, spare: list[NDArray[np.uint8]]) -> None:
        self._spare = spare
        self._used: list[NDArray[np.uint8]] = []

    def bytes(self, size: int) -> NDArray[np.uint8]:
        """Return so many bytes of anything."""
        if size < SMALLEST:
            return empty((size,), BYTE)
        fitting = [k for k, block in enumerate(self._spare) if size <= block.nbytes <= 2 * size]
        block = self._spare.pop(fitting[0]) if fitting else empty((size,), BYTE)
        self._used.append(block)
        return block[:size]

    def empty(self, rows: int, columns: int, dtype: np.dtype[Any]) -> Array:
        """Return a (rows, columns) array of anything, as `numpy.empty` does."""
        array: Array = self.bytes(rows * columns * dtype.itemsize).view(dtype).reshape(rows, columns)
        return array


class Workspaces:
    """A model's workspace between passes: none, or one. Passes of several threads may ask at once."""

    def __init__(self) -> None:
        self._idle: deque[list[NDArray[np.uint8]]] = deque(maxlen=1)

    def take(self) -> Workspace:
        """Return a workspace for one pass."""
        try:
            return Workspace(self._idle.pop())
        except IndexError:
            return Workspace([])

    def give(self, workspace: Workspace) -> None:
        """Keep what a pass used for the next one; nobody may touch its arrays any more."""
        self._idle.append(workspace._used)

    def __reduce__(self) -> tuple[type[Workspaces], tuple[()]]:
        return Workspaces, ()
