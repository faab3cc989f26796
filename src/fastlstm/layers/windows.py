"""Layers that slide a window over the steps: where its places are, and how they run whole and in chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import ArrayLike, NDArray

from ..model.batch import Sequences
from ..model.checks import Array, as_floats, as_integers, as_size
from ..model.gradients import Gradients
from ..model.layer import LayerTape
from ..model.parameters import Weights
from ..model.temporal import TemporalLayer


@dataclass(frozen=True)
class Windows:
    """The places of a window that slides over padded steps.

    Attributes
    ----------
    size : int
        How many steps a window has.
    stride : int
        From one window's first step to the next one's.
    dilation : int
        From one step of a window to its next.
    before, after : int
        How many steps of padding there are.
    """

    size: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def span(self) -> int:
        """How many steps there are from a window's first to its last, both included."""
        return self.dilation * (self.size - 1) + 1

    def counts(self, steps: Any) -> NDArray[np.int64]:
        """Return how many windows sequences of so many steps have; none has none."""
        padded = np.asarray(steps) + self.before + self.after
        places = np.maximum((padded - self.span) // self.stride + 1, 0)
        return np.where(np.asarray(steps) > 0, places, 0)

    def of(self, padded: Array, count: int) -> Array:
        """Return the first windows of padded steps (B, T, n), as a view (B, count, size, n)."""
        sequence, step, number = padded.strides
        return as_strided(
            padded,
            (len(padded), count, self.size, padded.shape[2]),
            (sequence, self.stride * step, self.dilation * step, number),
            writeable=False,
        )

    def steps_of(self, place: int, count: int) -> slice:
        """Return which padded steps the first windows have at one of their places."""
        first = place * self.dilation
        return slice(first, first + self.stride * count, self.stride)


class WindowLayer(TemporalLayer):
    """Base of the layers that slide a window over the steps."""

    _windowed = True
    _fill = 0.0
    """What padding holds."""
    windows: Windows

    def lengths_after(self, lengths: ArrayLike) -> NDArray[np.int64]:
        """Return how many windows sequences of `lengths` steps have. See `TemporalLayer.lengths_after`."""
        return self.windows.counts(as_integers(lengths, "lengths"))

    def _dtype(self, x: Array) -> np.dtype[Any]:
        """Return what an array is calculated in."""
        return x.dtype

    def _slide(
        self, padded: Array, count: int, weights: Weights
    ) -> tuple[Array, Callable[[Array], tuple[Array, dict[str, Array]]]]:
        """Return what the first windows of padded steps (B, T, n) give, (B, count, m); and what goes back.

        The latter makes of its gradient that of `padded`, and those of the parameters.
        """
        raise NotImplementedError

    def _forward(
        self, x: Array, sequences: Sequences | None, weights: Weights
    ) -> tuple[Array, Sequences | None, LayerTape]:
        assert sequences is not None
        if sequences.mask is not None:
            raise ValueError(f"mask: expected lengths, as a window of {self!r} has no holes, got a mask")
        before, T = self.windows.before, sequences.T
        padded = np.full(
            (sequences.B, before + T + self.windows.after, x.shape[-1]), self._fill, self._dtype(x)
        )
        steps = padded[:, before : before + T]
        steps[...] = _by_sequence(x, sequences)
        after = self._sequences_after(sequences)
        ends = None if after.lengths is None else ~after.real().T
        if sequences.lengths is not None:
            steps[~sequences.real().T] = self._fill
        rows, slide_back = self._slide(padded, after.T, weights)
        if ends is not None:
            rows[ends] = 0

        def backward(dy: Array) -> Gradients[None]:
            d_rows = _by_sequence(dy, after).astype(rows.dtype, copy=ends is not None)
            if ends is not None:
                d_rows[ends] = 0
            d_padded, gradients = slide_back(d_rows)
            dx = np.empty_like(x)
            _by_sequence(dx, sequences)[...] = d_padded[:, before : before + T]
            return Gradients(sequences.zero_past_ends(dx), None, gradients)

        y = rows[0] if after.unbatched else rows if after.batch_first else rows.swapaxes(0, 1)
        return y, after, LayerTape(y.shape, backward)

    def _sequences_after(self, sequences: Sequences) -> Sequences:
        lengths = sequences.lengths
        return sequences._replace(
            T=int(self.windows.counts(sequences.T)),
            lengths=None if lengths is None else self.windows.counts(lengths),
        )

    def _stream(self, axes: tuple[int, ...], batch_first: bool) -> WindowStream:
        """Return what runs the layer on chunks of steps."""
        return WindowStream(self, axes, batch_first)


def _by_sequence(array: Array, sequences: Sequences) -> Array:
    """Return an array of the caller's as a view (B, T, n)."""
    return sequences.time_major(array).swapaxes(0, 1)


class WindowStream:
    """A layer that slides a window, fed chunk by chunk: it keeps what windows to come will read.

    All sequences of a stream are at the same step.
    """

    def __init__(self, layer: WindowLayer, axes: tuple[int, ...], batch_first: bool) -> None:
        self._layer = layer
        self._axes = axes
        self._batch_first = batch_first and bool(axes)
        self.reset()

    def reset(self) -> None:
        """Start again: before the first step there is padding alone."""
        self._tail: Array | None = None
        self._skipped = 0

    @property
    def state(self) -> tuple[Array, int] | None:
        """The steps (B, n, size) that windows to come read, and how many they leave out before those; a copy.

        None before the first step.
        """
        return None if self._tail is None else (self._tail.copy(), self._skipped)

    @state.setter
    def state(self, state: tuple[ArrayLike, int] | None) -> None:
        if state is None:
            self.reset()
            return
        if not isinstance(state, (tuple, list)) or len(state) != 2:
            raise ValueError(f"state: expected steps and a number, got {type(state).__name__}")
        tail, skipped = as_floats(state[0], "state steps"), as_size(state[1], "state number", least=0)
        sequences, size = (*self._axes, 1)[0], self._layer._reads
        fits = tail.ndim == 3 and len(tail) == sequences and size in (None, tail.shape[2])
        if not fits or tail.shape[1] >= self._layer.windows.span or (skipped and tail.shape[1]):
            wanted = f"({sequences}, fewer than {self._layer.windows.span}, {size or 'n'})"
            raise ValueError(f"state steps: expected shape {wanted}, got {tail.shape}")
        self._tail, self._skipped = tail.astype(self._layer._dtype(tail)), skipped

    def feed(self, x: Array, weights: Weights) -> Array:
        """Return what the windows give that a chunk of steps completes, laid out as the chunk."""
        return self._slide(self._by_sequence(x), weights)

    def finish(self, x: Array, weights: Weights) -> Array:
        """Return the same for the last chunk, with the windows that reach into the padding behind it."""
        steps = self._by_sequence(x)
        if self._tail is None and not steps.shape[1]:
            return self._slide(steps, weights)
        padding = np.full((len(steps), self._layer.windows.after, steps.shape[2]), self._layer._fill)
        return self._slide(np.concatenate([steps, padding.astype(steps.dtype)], axis=1), weights)

    def _by_sequence(self, array: Array) -> Array:
        """Return a chunk as a view (B, T, n)."""
        if not self._axes:
            return array[None]
        return array if self._batch_first else array.swapaxes(0, 1)

    def _slide(self, steps: Array, weights: Weights) -> Array:
        layer, windows = self._layer, self._layer.windows
        known = self._tail
        if known is None:  # before the first step there is nothing but padding, and without one not even that
            count = windows.before if steps.shape[1] else 0
            known = np.full((len(steps), count, steps.shape[2]), layer._fill, layer._dtype(steps))
        if steps.shape[1]:
            known = np.concatenate([known, steps[:, self._skipped :].astype(known.dtype)], axis=1)
            self._skipped = max(self._skipped - steps.shape[1], 0)
        count = max((known.shape[1] - windows.span) // windows.stride + 1, 0)
        rows, _ = layer._slide(known, count, weights)
        if steps.shape[1]:
            read = count * windows.stride
            self._tail = known[:, read:].copy()
            self._skipped += max(read - known.shape[1], 0)
        y: Array
        if not self._axes:
            y = rows[0]
            return y
        y = rows if self._batch_first else rows.swapaxes(0, 1)
        return y
