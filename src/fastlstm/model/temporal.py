"""Base of the layers from steps to steps that look at more than the step itself."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .batch import Sequences, check_layout
from .checks import Array, as_boolean, as_floats, as_integers
from .layer import LayerTape
from .parameters import Parameterised, Weights


class TemporalStream(Protocol):
    """A windowed layer that is fed chunk by chunk."""

    @property
    def state(self) -> Any:
        """What it keeps; a copy. Setting it checks and copies."""

    @state.setter
    def state(self, state: Any) -> None: ...

    def reset(self) -> None:
        """Start again."""

    def feed(self, x: Array, weights: Weights) -> Array:
        """Return what a chunk of steps completes, laid out as the chunk."""

    def finish(self, x: Array, weights: Weights) -> Array:
        """Return the same for the last chunk, and what reaches past the end."""


class TemporalLayer(Parameterised):
    """Base of the layers from steps to steps, maybe fewer; what is past a sequence's end is ignored.

    A subclass says in `_forward` how: for an array of floats in its caller's layout, and where sequences lie
    in it; None if each row stands for itself, which a subclass that sets `_over_time` to False must expect.
    """

    _axes = "TB"
    _num_embeddings = None
    _gives_new = False
    """As that of `PlainLayer`."""
    _over_time = True
    """Whether it needs to know where sequences lie."""
    _windowed = False
    """Whether it looks at several steps, and so may change how many there are."""
    _streams = True
    """Whether it can run on steps as they come."""

    @property
    def _reads(self) -> int | None:
        """How many numbers the last axis of x must have; None where any will do."""
        return None

    @property
    def _gives(self) -> int | None:
        """How many numbers the last axis of y has; None where as many as x has."""
        return None

    @property
    def _leaves_fewer(self) -> bool:  # type: ignore[override]
        long = np.array([1 << 20])
        return bool((self.lengths_after(long) != long).any())

    def _stream(self, axes: tuple[int, ...], batch_first: bool) -> TemporalStream:
        """Return what runs a windowed layer on chunks of steps."""
        raise NotImplementedError

    def lengths_after(self, lengths: ArrayLike) -> NDArray[np.int64]:
        """Return how many steps are left of sequences that have `lengths` steps.

        Parameters
        ----------
        lengths : integer array

        Returns
        -------
        int64 array of the same shape

        Raises
        ------
        TypeError
            If `lengths` is something else.
        """
        return as_integers(lengths, "lengths")

    def _forward(
        self, x: Array, sequences: Sequences | None, weights: Weights
    ) -> tuple[Array, Sequences | None, LayerTape]:
        """Return the output in training, where sequences lie in it, and its tape."""
        raise NotImplementedError

    def _forward_whole(
        self, x: Array, sequences: Sequences | None, weights: Weights
    ) -> tuple[Array, Sequences | None, LayerTape]:
        """Return the same as it is in evaluation."""
        return self._forward(x, sequences, weights)

    def _evaluate(
        self, x: Array, sequences: Sequences | None, weights: Weights
    ) -> tuple[Array, Sequences | None]:
        """Return the output in evaluation, and where sequences lie in it."""
        return self._forward_whole(x, sequences, weights)[:2]

    def _evaluate_alone(self, x: Array, weights: Weights) -> Array:
        """Return the output in evaluation of one whole sequence, (T, n)."""
        return self._evaluate(x, Sequences.of(x.shape[:1], False), weights)[0]

    def __call__(
        self,
        x: ArrayLike,
        *,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        batch_first: bool = False,
    ) -> Array:
        """Return the layer's output in evaluation. See `forward`."""
        if lengths is None and mask is None and batch_first is False:
            array = as_floats(x, "x")
            if array.ndim == 2 and self._reads in (None, array.shape[1]):
                return self._evaluate_alone(array, self._weights)
        given, sequences = self._checked(x, lengths, mask, batch_first)
        return self._evaluate(given, sequences, self._weights)[0]

    def forward(
        self,
        x: ArrayLike,
        *,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        batch_first: bool = False,
    ) -> tuple[Array, LayerTape]:
        """Return the layer's output in training, and a tape for `LayerTape.backward`.

        In a `Sequential` or a `Graph` all but `x` comes from the layers before.

        Parameters
        ----------
        x : array (T, B, n), or (B, T, n) with `batch_first`, or (T, n) for one sequence
        lengths : integer array (B,), optional
            How many steps each sequence has, 0 to T.
        mask : bool array (T, B), (B, T) or (T,), optional
            In the place of lengths, which steps each sequence has. Layers whose windows go over several steps
            refuse one with holes.
        batch_first : bool, default False

        Returns
        -------
        y : array
            Laid out as `x`. Each sequence has `lengths_after` steps; those past its end are zero.
        tape : LayerTape

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above.
        """
        given, sequences = self._checked(x, lengths, mask, batch_first)
        y, _, tape = self._forward(given, sequences, self._weights)
        return y, tape

    def _checked(
        self, x: ArrayLike, lengths: ArrayLike | None, mask: ArrayLike | None, batch_first: bool
    ) -> tuple[Array, Sequences | None]:
        """Return x, and where sequences lie in it; ValueError or TypeError if it can't be read."""
        array = as_floats(x, "x")
        as_boolean(batch_first, "batch_first")
        last = self._reads or "n"
        if array.ndim == 0 or (self._reads is not None and array.shape[-1] != self._reads):
            raise ValueError(f"x: expected shape (..., {last}), got {array.shape}")
        if not self._over_time and lengths is None and mask is None:
            return array, None
        check_layout(array, "x", last, batch_first)
        return array, Sequences.of(array.shape[:-1], batch_first, lengths, mask)
