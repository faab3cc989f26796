"""From all steps of each sequence to one vector, whatever stands past its end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import Array, as_floats
from ..gradients import Gradients
from ..parameters import Parameterised
from ..ragged import Padding, Sequences
from .base import LayerTape

Lengths = NDArray[np.int64]


class Readout(Parameterised):
    """Base of the readouts. A subclass reads (T, B, n) arrays, whatever their caller's layout."""

    _reads = None
    _gives = None

    def __init__(self) -> None:
        self._set_initial({})

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __call__(
        self,
        x: ArrayLike,
        *,
        lengths: ArrayLike | None = None,
        batch_first: bool = False,
        bidirectional: bool = False,
    ) -> Array:
        """Return a vector for each sequence. See `forward`."""
        y, _ = self.forward(x, lengths=lengths, batch_first=batch_first, bidirectional=bidirectional)
        return y

    def forward(
        self,
        x: ArrayLike,
        *,
        lengths: ArrayLike | None = None,
        batch_first: bool = False,
        bidirectional: bool = False,
    ) -> tuple[Array, LayerTape]:
        """Return a vector for each sequence, and a tape for `LayerTape.backward`.

        In a `Sequential` all but `x` comes from the layers before.

        Parameters
        ----------
        x : array (T, B, n), or (B, T, n) with `batch_first`, or (T, n) for one sequence
        lengths : integer array (B,), optional
            How many steps each sequence has, 0 to T.
        batch_first : bool, default False
        bidirectional : bool, default False
            Whether `x` holds two directions, forward first; it matters to `LastStep` alone.

        Returns
        -------
        y : array (B, n), or (n,) for one sequence
            Zeros for a length of zero.
        tape : LayerTape

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above.
        """
        array = as_floats(x, "x")
        if array.ndim not in (2, 3):
            layout = "(B, T, n)" if batch_first else "(T, B, n)"
            raise ValueError(f"x: expected shape {layout} or (T, n), got {array.shape}")
        padding = Padding.of(array.shape[:-1], batch_first)
        return self._forward(array, Sequences(padding, padding.lengths(lengths)), bidirectional)

    def _forward(self, x: Array, sequences: Sequences, bidirectional: bool) -> tuple[Array, LayerTape]:
        """Return the vectors, and their tape."""
        padding, lengths = sequences.padding, sequences.lengths
        if lengths is None:
            lengths = np.full(padding.B, padding.T)
        vectors, spread = self._read(padding.time_major(x), lengths, bidirectional)

        def backward(dy: Array) -> Gradients[None]:
            dx = np.zeros_like(x)
            spread(dy.reshape(vectors.shape), padding.time_major(dx))
            return Gradients(dx, None, {})

        y = vectors[0] if padding.unbatched else vectors
        return y, LayerTape(y.shape, backward)

    def _read(
        self, x: Array, lengths: Lengths, bidirectional: bool
    ) -> tuple[Array, Callable[[Array, Array], None]]:
        """Return the vectors (B, n), and what writes their gradient into zeros like `x`."""
        raise NotImplementedError


class LastStep(Readout):
    """Each sequence's last step; of a bidirectional layer's reverse half its last, which is step 0.

    It is what h_n has of a recurrent layer's last layer. In a `Sequential` the two directions are told
    apart as long as no `Linear` stands between.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> x = np.array([[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]])    # three steps of one sequence
    >>> fastlstm.LastStep()(x, lengths=[2])
    array([[3., 4.]])
    >>> fastlstm.LastStep()(x, lengths=[2], bidirectional=True)
    array([[3., 2.]])
    """

    def _read(
        self, x: Array, lengths: Lengths, bidirectional: bool
    ) -> tuple[Array, Callable[[Array, Array], None]]:
        if bidirectional and x.shape[2] % 2:
            raise ValueError(f"x: expected an even last axis, of two directions, got {x.shape[2]}")
        half = x.shape[2] // 2 if bidirectional else x.shape[2]
        sequences = np.flatnonzero(lengths)
        last = lengths[sequences] - 1
        first = np.zeros_like(last)
        y = np.zeros(x.shape[1:], x.dtype)
        y[sequences, :half] = x[last, sequences, :half]
        if bidirectional:
            y[sequences, half:] = x[first, sequences, half:]

        def spread(dy: Array, dx: Array) -> None:
            dx[last, sequences, :half] = dy[sequences, :half]
            if bidirectional:
                dx[first, sequences, half:] = dy[sequences, half:]

        return y, spread


class MeanOverTime(Readout):
    """The mean over each sequence's steps.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.MeanOverTime()(np.array([[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]]), lengths=[2])
    array([[2., 3.]])
    """

    def _read(
        self, x: Array, lengths: Lengths, bidirectional: bool
    ) -> tuple[Array, Callable[[Array, Array], None]]:
        real = real_steps(x, lengths)
        weight = (1 / np.maximum(lengths, 1)).astype(x.dtype)[:, None]

        def spread(dy: Array, dx: Array) -> None:
            np.copyto(dx, dy * weight, where=real)

        return sums_over_time(x, real) * weight, spread


class MaxOverTime(Readout):
    """The largest over each sequence's steps; the gradient goes to the first of several.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.MaxOverTime()(np.array([[[1.0, 4.0]], [[3.0, 2.0]], [[5.0, 6.0]]]), lengths=[2])
    array([[3., 4.]])
    """

    def _read(
        self, x: Array, lengths: Lengths, bidirectional: bool
    ) -> tuple[Array, Callable[[Array, Array], None]]:
        empty = (lengths == 0)[:, None]
        if not len(x):
            return np.zeros(x.shape[1:], x.dtype), lambda dy, dx: None
        at = np.where(real_steps(x, lengths), x, -np.inf).argmax(axis=0)[None]

        def spread(dy: Array, dx: Array) -> None:
            np.put_along_axis(dx, at, np.where(empty, 0, dy)[None], axis=0)

        return np.where(empty, 0, np.take_along_axis(x, at, axis=0)[0]), spread


def real_steps(x: Array, lengths: Lengths) -> NDArray[np.bool_]:
    """Return which steps of x (T, B, n) its sequences have, as (T, B, 1)."""
    real: NDArray[np.bool_] = np.arange(len(x))[:, None, None] < lengths[:, None]
    return real


def sums_over_time(x: Array, real: NDArray[np.bool_]) -> Array:
    """Return the sums (B, n) over each sequence's real steps, added one step after another."""
    if x.shape[2] > 1:
        sums: Array = x.sum(axis=0, where=real)
        return sums
    # Here one step's number may lie beside the next one's, and NumPy would add them by halves and quarters,
    # differently in each company.
    steps = np.zeros((len(x) + 1, *x.shape[1:]), x.dtype)
    np.copyto(steps[1:], x, where=real)
    total: Array = np.add.accumulate(steps)[-1]
    return total
