"""Memory that one training step leaves for the next.

The operating system hands out fresh memory page by page, and zeroes each page. For a small model this takes
longer than the arithmetic. So after `backward` the memory of a tape goes back to its model, and the next pass
of about the same size uses it again. A model holds the memory of at most one tape, however large. The core
keeps freed memory, too, but only 8 pieces and 32 MB of it, for all models together.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import empty
from .checks import Array

BYTE = np.dtype(np.uint8)
SMALLEST = 1 << 16
"""Blocks of fewer bytes are not kept."""


class Workspace:
    """The large arrays of one pass."""

    def __init__(self, spare: list[NDArray[np.uint8]]) -> None:
        self._spare = spare
        self._used: list[NDArray[np.uint8]] = []
        self.late = False
        """Whether a late worker may still write to this memory: then no other pass may use it."""

    def bytes(self, size: int) -> NDArray[np.uint8]:
        """Return a block of so many bytes, not initialised."""
        if size < SMALLEST:
            return empty((size,), BYTE)
        fitting = [k for k, block in enumerate(self._spare) if size <= block.nbytes <= 2 * size]
        block = self._spare.pop(fitting[0]) if fitting else empty((size,), BYTE)
        self._used.append(block)
        return block[:size]

    def empty(self, rows: int, columns: int, dtype: np.dtype[Any]) -> Array:
        """Return a (rows, columns) array, not initialised."""
        array: Array = self.bytes(rows * columns * dtype.itemsize).view(dtype).reshape(rows, columns)
        return array

    def like(self, array: Array) -> Array:
        """Return an array of the same shape and dtype, not initialised."""
        other: Array = self.bytes(array.nbytes).view(array.dtype).reshape(array.shape)
        return other


class Slices(Workspace):
    """The same, cut from one array, a block of columns after the other.

    Who cuts it again in the same order gets the same memory, with what was written there.
    """

    def __init__(self, memory: Array) -> None:
        """Cut `memory`, C-contiguous: (numbers in each row, rows)."""
        super().__init__([])
        self._memory = memory
        self._cut = 0

    def empty(self, rows: int, columns: int, dtype: np.dtype[Any]) -> Array:
        """Return the next of the memory's columns, (rows, columns)."""
        block = self._memory[self._cut : self._cut + columns]
        self._cut += columns
        return block.reshape(rows, columns)


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
        """Keep the memory of a pass for the next one; nothing may use its arrays any more."""
        if not workspace.late:
            self._idle.append(workspace._used)

    def __reduce__(self) -> tuple[type[Workspaces], tuple[()]]:
        return Workspaces, ()
