"""Padded batches as their caller lays them out, and the same steps as ragged, time-major rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._core import RaggedBatch, empty
from .checks import Array, as_booleans, as_integers, check_shape


class Sequences(NamedTuple):
    """A batch of sequences as its caller lays it out, or one sequence.

    Attributes
    ----------
    T : int
        How many steps the arrays have.
    B : int
        How many sequences; 1 for one without an axis of its own.
    unbatched : bool
        Whether the arrays are (T, n).
    batch_first : bool
        Whether they are (B, T, n) rather than (T, B, n).
    lengths : int64 array (B,) or None
        How many steps each sequence has; None where all have T, or there is a mask.
    mask : bool array (T, B) or None
        Which steps each sequence has, where some are masked: a recurrent layer leaves these out, and gives
        there what it gave before.
    packed : bool
        Whether the caller's arrays are the rows of a pass already, (rows, n), without padding and with longer
        sequences first: the layout of PyTorch's `PackedSequence`.
    """

    T: int
    B: int
    unbatched: bool
    batch_first: bool
    lengths: NDArray[np.int64] | None
    mask: NDArray[np.bool_] | None = None
    packed: bool = False

    @classmethod
    def of(
        cls,
        leading: tuple[int, ...],
        batch_first: bool,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> Sequences:
        """Return the layout of an array with these axes before its last: (T, B), (B, T) or (T,).

        Raises
        ------
        ValueError, TypeError
            If lengths are not integers from 0 to T, one for each sequence of a batch, or the mask is not of
            booleans, one for each step; or if there are both.
        """
        if mask is not None:
            if lengths is not None:
                raise ValueError("mask: expected None with lengths, got a mask")
            return cls.of(leading, batch_first)._masked(mask)
        if len(leading) == 1:
            if lengths is not None:
                raise ValueError("lengths: expected None for one sequence (T, I), got lengths")
            return cls(leading[0], 1, True, False, None)
        T, B = leading[::-1] if batch_first else leading
        steps = None if lengths is None else as_lengths(lengths, T, B)
        return cls(T, B, False, batch_first, steps)

    @classmethod
    def of_packed(cls, batch_sizes: NDArray[np.int64]) -> Sequences:
        """Return the layout of packed rows with so many sequences at each step, never more than before."""
        first = int(batch_sizes[0]) if len(batch_sizes) else 0
        lengths = np.searchsorted(-batch_sizes, -np.arange(first), side="left")
        return cls(len(batch_sizes), first, False, False, lengths.astype(np.int64), packed=True)

    def _masked(self, mask: ArrayLike) -> Sequences:
        """Return the same with a mask, checked and copied; without where it masks nothing."""
        steps = as_booleans(mask, "mask")
        check_shape(steps, "mask", self.shape(1)[:-1])
        return self if steps.all() else self._replace(mask=self.time_major(steps[..., None])[..., 0].copy())

    @property
    def spans(self) -> NDArray[np.int64]:
        """How many steps there are until each sequence's end, masked ones included, (B,)."""
        return np.full(self.B, self.T) if self.lengths is None else self.lengths

    @property
    def steps(self) -> NDArray[np.int64]:
        """How many steps each sequence has, (B,)."""
        return self.spans if self.mask is None else self.mask.sum(axis=0)

    def shape(self, columns: int) -> tuple[int, ...]:
        """Return the shape of an array of so many columns."""
        if self.packed:
            return (int(self.spans.sum()), columns)
        if self.unbatched:
            return (self.T, columns)
        return (self.B, self.T, columns) if self.batch_first else (self.T, self.B, columns)

    def state_shape(self, count: int, size: int) -> tuple[int, ...]:
        """Return the shape of `count` states."""
        return (count, size) if self.unbatched else (count, self.B, size)

    def empty(self, columns: int, dtype: np.dtype[Any]) -> Array:
        """Return a new array of so many columns, its numbers not set."""
        return empty(self.shape(columns), dtype)

    def time_major(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array of the caller's as a view (T, B, n); packed rows as they are."""
        if self.packed:
            return array
        if self.unbatched:
            return array[:, None]
        return array.swapaxes(0, 1) if self.batch_first else array

    def real(self) -> NDArray[np.bool_]:
        """Return which steps each sequence has, (T, B)."""
        if self.mask is not None:
            return self.mask
        real: NDArray[np.bool_] = np.arange(self.T)[:, None] < self.steps
        return real

    def ends(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the places of the sequences that have steps, and the first and last step of each."""
        some = np.flatnonzero(self.steps)
        if self.mask is None:
            return some, np.zeros_like(some), self.steps[some] - 1
        real = self.mask[:, some]
        return some, real.argmax(axis=0), self.T - 1 - real[::-1].argmax(axis=0)

    def unread(self) -> NDArray[np.bool_]:
        """Return where, in the caller's layout without the last axis, a sequence has no step."""
        unread = ~self.real()
        if self.unbatched:
            return unread[:, 0]
        return unread.T if self.batch_first else unread

    def zero_unread(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array of the caller's with zeros where a sequence has no step; itself if it has them."""
        if self.lengths is None and self.mask is None:
            return array
        unread = self.unread()
        if not array[unread].any():
            return array
        array = array.copy()
        array[unread] = 0
        return array

    def zero_past_ends(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array of the caller's with zeros past each sequence's end; itself if it has them."""
        return array if self.lengths is None else self.zero_unread(array)


def check_layout(array: Array, name: str, last: int | str, batch_first: bool) -> None:
    """Raise ValueError unless an array has the axes of a batch, or of one sequence, whose last is `last`."""
    if array.ndim not in (2, 3):
        layout = f"(B, T, {last})" if batch_first else f"(T, B, {last})"
        raise ValueError(f"{name}: expected shape {layout} or (T, {last}), got {array.shape}")


def as_lengths(lengths: ArrayLike, T: int, B: int) -> NDArray[np.int64]:
    """Return lengths (B,), each from 0 to T; ValueError or TypeError otherwise."""
    steps = as_integers(lengths, "lengths", (B,))
    if B and (steps.min() < 0 or steps.max() > T):
        wrong = steps.min() if steps.min() < 0 else steps.max()
        raise ValueError(f"lengths: expected 0 to T={T}, got {wrong}")
    return steps


class Arrangement:
    """Where each step of a batch of sequences lies among the rows of a `RaggedBatch`, and the way back.

    Step t comes before step t + 1, and within a step longer sequences come first. A batch whose
    sequences all have T steps keeps its order, and then nothing needs to move.

    Attributes
    ----------
    sequences : Sequences
        The caller's side.
    batch : RaggedBatch
        The core's.
    dense : bool
        Whether every sequence has T steps, or the caller's arrays are packed: no row is left out then.
    masked : bool
        Whether there are steps that repeat what was given before.
    in_order : bool
        Whether the caller's arrays have their rows in the order that a pass has them.
    """

    def __init__(self, sequences: Sequences) -> None:
        self.sequences = sequences
        lengths, mask = sequences.lengths, sequences.mask
        self.masked = mask is not None
        self.dense = (lengths is None and mask is None) or sequences.packed
        self.in_order = self.dense and not sequences.batch_first
        if sequences.packed:
            self.batch = RaggedBatch(lengths)
            return
        if self.dense:
            self.batch = RaggedBatch(T=sequences.T, B=sequences.B)
            return
        steps = sequences.steps
        self._order = np.argsort(-steps, kind="stable")
        sorted_steps = steps[self._order]
        self.batch = RaggedBatch(sorted_steps)
        # Row by row: the step, and the sequence by its place in the caller's batch.
        real = np.arange(self.batch.T)[:, None] < sorted_steps
        self._step, rank = np.nonzero(real)
        self._sequence = self._order[rank]
        if mask is not None:  # what was counted so far are steps that are not masked
            times = np.argsort(~mask, axis=0, kind="stable")
            self._step = times[self._step, self._sequence]

    def rows(self, array: Array, dtype: np.dtype[Any]) -> Array:
        """Return an array of the caller's as C-contiguous rows (rows, n) of `dtype`; a view where it can be.

        Where they are in order they keep their axes, (T, B, n) or (T, n).
        """
        if self.in_order:
            return np.ascontiguousarray(array, dtype)
        padded = self.sequences.time_major(array)
        if self.dense:
            rows = np.ascontiguousarray(padded.reshape(self.batch.rows, padded.shape[2]))
        else:
            rows = padded[self._step, self._sequence]
        return rows.astype(dtype, copy=False)

    def pad(self, rows: Array, out: Array) -> Array:
        """Write rows (rows, n) into an array of the caller's, zero where there is none; return `out`."""
        padded = self.sequences.time_major(out)
        if self.dense:
            padded[...] = rows.reshape(padded.shape)
        else:
            padded[...] = 0
            padded[self._step, self._sequence] = rows
        return out

    def repeat(self, rows: Array, out: Array, reverse: bool) -> None:
        """Write one direction's rows (rows, n) into an array of the caller's, repeated at masked steps.

        They repeat the row of the step that the direction visited last, and are zero before the first.
        """
        padded = self.sequences.time_major(out)
        repeated = self._repeated(reverse)
        padded[...] = 0
        padded[repeated >= 0] = rows[repeated[repeated >= 0]]

    def sums(self, array: Array, reverse: bool) -> Array:
        """Return as rows the sums of an array of the caller's over the steps that `repeat` writes each to."""
        steps = self.sequences.time_major(array).reshape(-1, array.shape[-1])
        repeated = self._repeated(reverse).ravel()
        of_row = np.argsort(repeated, kind="stable")[np.count_nonzero(repeated < 0) :]
        counts = np.bincount(repeated[of_row], minlength=self.batch.rows)
        first = np.cumsum(counts) - counts
        sums: Array = steps[of_row[first]]
        for k in range(1, counts.max(initial=0)):
            longer = np.flatnonzero(counts > k)
            sums[longer] += steps[of_row[first[longer] + k]]
        return sums

    def _repeated(self, reverse: bool) -> NDArray[np.int64]:
        """Return the row that each step shows, (T, B): its own, or that of the last visited; -1 for none."""
        none = self.batch.rows if reverse else -1
        rows = np.full((self.sequences.T, self.sequences.B), none)
        rows[self._step, self._sequence] = np.arange(self.batch.rows)
        if not reverse:  # a sequence's later steps are later rows
            return np.maximum.accumulate(rows, axis=0)
        rows = np.minimum.accumulate(rows[::-1], axis=0)[::-1]
        return np.where(rows == none, -1, rows)

    def zero_empty(self, states: list[Array]) -> None:
        """Set the states (k, B, n), in the order of the rows, of sequences without a step to zero."""
        if self.dense and self.sequences.T:
            return
        nonempty = np.count_nonzero(self.sequences.steps)
        for array in states:
            array[:, nonempty:] = 0

    def sort(self, states: Array) -> Array:
        """Return a copy of states (k, B, n) in the order of the rows."""
        out = empty(states.shape, states.dtype)
        out[...] = states if self.dense else states[:, self._order]
        return out

    def unsort(self, states: list[Array]) -> list[Array]:
        """Return states (k, B, n) as the caller has them: in the order and with the axes of `sequences`."""
        if not self.dense:
            states = [self._unsorted(array) for array in states]
        return [array[:, 0] for array in states] if self.sequences.unbatched else states

    def _unsorted(self, states: Array) -> Array:
        out = empty(states.shape, states.dtype)
        out[:, self._order] = states
        return out
