"""Bases of the layers around an LSTM: those that treat every step alike, and the readouts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .batch import Sequences, check_layout
from .checks import Array, as_boolean, as_floats
from .gradients import Gradients
from .parameters import Parameterised, Weights
from .precision import check_trains

Directions = Literal["forward", "reverse", "both"]
"""What a readout finds in the columns it reads: one direction, or both side by side, forward first."""


Spread = Callable[[Array, Array], Mapping[str, Array] | None]
"""From the gradient of the vectors: writes that of x into zeros, and returns those of the parameters."""


class LayerTape:
    """What one forward pass of a layer kept, for its backward pass."""

    def __init__(self, shape: tuple[int, ...], backward: Callable[[Array], Gradients[None]]) -> None:
        self._shape = shape
        self._backward = backward

    def __repr__(self) -> str:
        return f"<tape of a layer: y {self._shape}>"

    def backward(self, dy: ArrayLike | None) -> Gradients[None]:
        """Return the gradients for `dy`, that of the layer's output, of its shape; None counts as zeros.

        Raises
        ------
        ValueError, TypeError
            If `dy` is not an array of floats of that shape.
        """
        given = np.zeros(self._shape) if dy is None else as_floats(dy, "dy", shape=self._shape)
        return self._backward(given)


def as_vectors(x: ArrayLike, size: int) -> Array:
    """Return `x` as an array of floats (..., size); ValueError or TypeError otherwise."""
    array = as_floats(x, "x")
    if array.ndim == 0 or array.shape[-1] != size:
        raise ValueError(f"x: expected shape (..., {size}), got {array.shape}")
    return array


class PlainLayer(Parameterised):
    """Base of the layers that treat every step alike; a subclass says in `_forward` how."""

    _gives_new = False
    """Whether what it gives is floats of its own dtype in new memory, whatever it read."""

    @property
    def _reads(self) -> int | None:
        """How many numbers the last axis of x must have; None where any will do."""
        return None

    @property
    def _num_embeddings(self) -> int | None:
        """What the indices in x must be below; None where x is floats."""
        return None

    @property
    def _gives(self) -> int | None:
        """How many numbers the last axis of y has; None where as many as x has."""
        return None

    def _forward(self, x: ArrayLike, weights: Weights) -> tuple[Array, LayerTape]:
        """Return the output in training, and its tape."""
        raise NotImplementedError

    def _forward_whole(self, x: ArrayLike, weights: Weights) -> tuple[Array, LayerTape]:
        """Return the output with nothing dropped, and its tape."""
        return self._forward(x, weights)

    def _evaluate(self, x: ArrayLike, weights: Weights) -> Array:
        """Return the output in evaluation."""
        return self._forward(x, weights)[0]

    def _evaluate_over(self, x: Array, weights: Weights) -> Array:
        """Return the same where nobody else reads x, so that y may take its place."""
        return self._evaluate(x, weights)

    def __call__(self, x: ArrayLike) -> Array:
        """Return the layer's output in evaluation.

        Raises
        ------
        TypeError, ValueError
            If `x` is not as the layer's description says.
        """
        return self._evaluate(x, self._weights)

    def forward(self, x: ArrayLike) -> tuple[Array, LayerTape]:
        """Return the layer's output in training, and a tape for `LayerTape.backward`.

        The tape holds `x` and y themselves where it needs them: leave both as they are until `backward`.

        Raises
        ------
        TypeError, ValueError
            If `x` is not as the layer's description says.
        """
        check_trains(self)
        return self._forward(x, self._weights)


class Readout(Parameterised):
    """Base of the readouts. A subclass reads (T, B, n) arrays, whatever their caller's layout."""

    _axes = "B"
    _num_embeddings = None
    _gives = None
    _tells_directions = False
    """Whether it reads the columns of two directions differently."""

    def __init__(self) -> None:
        self._set_initial({})

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    @property
    def _reads(self) -> int | None:
        """How many numbers the last axis of x must have; None where any will do."""
        return None

    def __call__(
        self,
        x: ArrayLike,
        *,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        batch_first: bool = False,
        bidirectional: bool = False,
        reverse: bool = False,
    ) -> Array:
        """Return a vector for each sequence. See `forward`."""
        y, _ = self.forward(
            x,
            lengths=lengths,
            mask=mask,
            batch_first=batch_first,
            bidirectional=bidirectional,
            reverse=reverse,
        )
        return y

    def forward(
        self,
        x: ArrayLike,
        *,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        batch_first: bool = False,
        bidirectional: bool = False,
        reverse: bool = False,
    ) -> tuple[Array, LayerTape]:
        """Return a vector for each sequence, and a tape for `LayerTape.backward`.

        In a `Sequential` all but `x` comes from the layers before.

        Parameters
        ----------
        x : array (T, B, n), or (B, T, n) with `batch_first`, or (T, n) for one sequence
        lengths : integer array (B,), optional
            How many steps each sequence has, 0 to T.
        mask : bool array (T, B), (B, T) or (T,), optional
            In the place of lengths, which steps each sequence has; the others have no influence.
        batch_first : bool, default False
        bidirectional : bool, default False
            Whether `x` holds two directions, forward first; it matters to `LastStep` alone.
        reverse : bool, default False
            Whether `x` holds the reverse direction alone; likewise.

        Returns
        -------
        y : array (B, n), or (n,) for one sequence
            Zeros for a sequence without steps.
        tape : LayerTape

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above.
        """
        array = as_floats(x, "x")
        as_boolean(batch_first, "batch_first")
        both, backward = as_boolean(bidirectional, "bidirectional"), as_boolean(reverse, "reverse")
        if both and backward:
            raise ValueError("reverse: expected False with bidirectional=True, which has both directions")
        check_layout(array, "x", "n", batch_first)
        if self._reads not in (None, array.shape[-1]):
            raise ValueError(f"x: expected shape (..., {self._reads}), got {array.shape}")
        sequences = Sequences.of(array.shape[:-1], batch_first, lengths, mask)
        directions: Directions = "both" if both else "reverse" if backward else "forward"
        return self._forward(array, sequences, directions, self._weights)

    def _forward(
        self, x: Array, sequences: Sequences, directions: Directions, weights: Weights
    ) -> tuple[Array, LayerTape]:
        """Return the vectors, and their tape."""
        vectors, spread = self._read(sequences.time_major(x), sequences, directions, weights)

        def backward(dy: Array) -> Gradients[None]:
            dx = np.zeros_like(x)
            gradients = spread(dy.reshape(vectors.shape), sequences.time_major(dx))
            return Gradients(dx, None, gradients or {})

        y = vectors[0] if sequences.unbatched else vectors
        return y, LayerTape(y.shape, backward)

    def _read(
        self, x: Array, sequences: Sequences, directions: Directions, weights: Weights
    ) -> tuple[Array, Spread]:
        """Return the vectors (B, n), and what takes their gradient back."""
        raise NotImplementedError
