"""Padded batches as one ragged, time-major matrix of rows, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arrays import Array, as_integers, check_shape
from ._core import RaggedBatch, empty


class Arrangement:
    """Where each step of a padded (T, B) batch lies among the rows of a `RaggedBatch`.

    Step t comes before step t + 1, and within a step longer sequences come first. A batch whose
    sequences all have T steps keeps its order, and then nothing needs to move.

    Parameters
    ----------
    T : int
    B : int
    lengths : int64 array (B,), optional
        None where every sequence has T steps.

    Attributes
    ----------
    batch : RaggedBatch
    dense : bool
        Whether every sequence has T steps.
    """

    def __init__(self, T: int, B: int, lengths: NDArray[np.int64] | None = None) -> None:
        self._shape = (T, B)
        self.dense = lengths is None
        if lengths is None:
            self.batch = RaggedBatch(T=T, B=B)
            return
        self._order = np.argsort(-lengths, kind="stable")
        sorted_lengths = lengths[self._order]
        self.batch = RaggedBatch(sorted_lengths)
        # Row by row: the step, and the sequence by its place in the caller's batch.
        real = np.arange(self.batch.T)[:, None] < sorted_lengths
        self._step, rank = np.nonzero(real)
        self._sequence = self._order[rank]

    def rows(self, padded: Array) -> Array:
        """Return padded (T, B, n) as C-contiguous rows (rows, n); a view where that is possible."""
        if self.dense:
            return np.ascontiguousarray(padded.reshape(self.batch.rows, padded.shape[2]))
        return padded[self._step, self._sequence]

    def unpack(self, rows: Array, padded: Array) -> Array:
        """Write rows (rows, n) into padded (T, B, n), zero past each sequence's end; return `padded`."""
        if self.dense:
            padded[...] = rows.reshape(padded.shape)
        else:
            padded[...] = 0
            padded[self._step, self._sequence] = rows
        return padded

    def sort(self, states: Array) -> Array:
        """Return a copy of states (k, B, n) in the order of the rows."""
        out = empty(states.shape, states.dtype)
        out[...] = states if self.dense else states[:, self._order]
        return out

    def unsort(self, states: Array) -> Array:
        """Undo `sort` of a batch that is not dense."""
        out = empty(states.shape, states.dtype)
        out[:, self._order] = states
        return out


class Padding(NamedTuple):
    """How the caller's arrays are laid out."""

    T: int
    B: int
    unbatched: bool
    batch_first: bool

    @classmethod
    def of(cls, leading: tuple[int, ...], batch_first: bool) -> Padding:
        """Return the layout of an array with these axes before its last: (T, B), (B, T) or (T,)."""
        if len(leading) == 1:
            return cls(leading[0], 1, True, False)
        T, B = leading[::-1] if batch_first else leading
        return cls(T, B, False, batch_first)

    def lengths(self, lengths: ArrayLike | None) -> NDArray[np.int64] | None:
        """Return checked lengths (B,), None for None.

        Raises
        ------
        ValueError, TypeError
            If they are not integers from 0 to T, one for each sequence of a batch.
        """
        if lengths is None:
            return None
        if self.unbatched:
            raise ValueError("lengths: expected None for one sequence (T, I), got lengths")
        steps = as_integers(lengths, "lengths")
        check_shape(steps, "lengths", (self.B,))
        if self.B and (steps.min() < 0 or steps.max() > self.T):
            wrong = steps.min() if steps.min() < 0 else steps.max()
            raise ValueError(f"lengths: expected 0 to T={self.T}, got {wrong}")
        return steps

    def past_end(self, lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return where, in the caller's layout without the last axis, a sequence has ended."""
        past: NDArray[np.bool_] = np.arange(self.T)[:, None] >= lengths
        return past.T if self.batch_first else past

    def time_major(self, array: Array) -> Array:
        """Return the (T, B, n) view of an array in the caller's layout."""
        if self.unbatched:
            return array[:, None]
        return array.swapaxes(0, 1) if self.batch_first else array

    def shape(self, columns: int) -> tuple[int, ...]:
        """Return the shape in the caller's layout."""
        if self.unbatched:
            return (self.T, columns)
        return (self.B, self.T, columns) if self.batch_first else (self.T, self.B, columns)

    def state_shape(self, count: int, size: int) -> tuple[int, ...]:
        """Return the caller's shape of `count` states."""
        return (count, size) if self.unbatched else (count, self.B, size)

    def rows(self, arrangement: Arrangement, array: Array, dtype: np.dtype[Any]) -> Array:
        """Return an array in the caller's layout as rows of `dtype`; where they lie in order, as they lie."""
        if self.in_order(arrangement):
            return np.ascontiguousarray(array, dtype)
        return arrangement.rows(self.time_major(array)).astype(dtype, copy=False)

    def empty(self, columns: int, dtype: np.dtype[Any]) -> Array:
        """Return a new array of anything in the caller's layout."""
        return empty(self.shape(columns), dtype)

    def in_order(self, arrangement: Arrangement) -> bool:
        """Return whether the caller's arrays have their rows in the order that a pass has them."""
        return arrangement.dense and not self.batch_first

    def unpack(self, arrangement: Arrangement, rows: Array, out: Array) -> None:
        """Write rows into an array in the caller's layout."""
        arrangement.unpack(rows, self.time_major(out))


@dataclass(frozen=True)
class Sequences:
    """A batch of sequences in the caller's layout; `lengths` is None where all have T steps."""

    padding: Padding
    lengths: NDArray[np.int64] | None

    def zero_past_ends(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array over all steps with zeros past each sequence's end; itself if it has them."""
        if self.lengths is None:
            return array
        past = self.padding.past_end(self.lengths)
        if not array[past].any():
            return array
        array = array.copy()
        array[past] = 0
        return array


def side_by_side(arrays: Sequence[NDArray[Any]], batch_first: bool) -> NDArray[Any]:
    """Return arrays (T_k, ...) as one, (T, B, ...) or (B, T, ...), with zeros past their ends."""
    T, B = max(map(len, arrays), default=0), len(arrays)
    rest = arrays[0].shape[1:] if arrays else ()
    dtype = np.result_type(*arrays) if arrays else np.dtype(np.int64)
    padded = np.zeros((B, T, *rest) if batch_first else (T, B, *rest), dtype)
    by_sequence = padded if batch_first else padded.swapaxes(0, 1)
    for row, array in zip(by_sequence, arrays, strict=True):
        row[: len(array)] = array
    return padded


def apart(padded: Array, lengths: NDArray[np.int64] | None, batch_first: bool) -> list[Array]:
    """Undo `side_by_side`: copies of each sequence's own steps."""
    by_sequence = padded if batch_first else padded.swapaxes(0, 1)
    ends = [by_sequence.shape[1]] * len(by_sequence) if lengths is None else lengths
    return [sequence[:end].copy() for sequence, end in zip(by_sequence, ends, strict=True)]
