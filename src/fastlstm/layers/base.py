"""What the layers around an LSTM share: call, forward and tape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array, as_floats, check_shape
from ..gradients import Gradients
from ..parameters import Parameterised, Weights


class LayerTape:
    """What one forward pass of a layer kept: from the gradient of its output to its gradients."""

    def __init__(self, shape: tuple[int, ...], backward: Callable[[Array], Gradients[None]]) -> None:
        self._shape = shape
        self._backward = backward

    def backward(self, dy: ArrayLike | None) -> Gradients[None]:
        """Return the gradients for `dy`, that of the layer's output, of its shape; None counts as zeros.

        Raises
        ------
        ValueError, TypeError
            If `dy` is not an array of floats of that shape.
        """
        array = np.zeros(self._shape) if dy is None else as_floats(dy, "dy")
        check_shape(array, "dy", self._shape)
        return self._backward(array)


def as_vectors(x: ArrayLike, size: int) -> Array:
    """Return `x` as an array of floats (..., size); ValueError or TypeError otherwise."""
    array = as_floats(x, "x")
    if array.ndim == 0 or array.shape[-1] != size:
        raise ValueError(f"x: expected shape (..., {size}), got {array.shape}")
    return array


class PlainLayer(Parameterised):
    """Base of the layers that treat every step alike; a subclass says in `_forward` how."""

    @property
    def _reads(self) -> int | None:
        """How many numbers the last axis of x must have; None where any will do."""
        return None

    @property
    def _gives(self) -> int | None:
        """How many numbers the last axis of y has; None where as many as x has."""
        return None

    def _forward(self, x: ArrayLike, weights: Weights) -> tuple[Array, LayerTape]:
        """Return the output in training, and its tape."""
        raise NotImplementedError

    def _evaluate(self, x: ArrayLike, weights: Weights) -> Array:
        """Return the output in evaluation."""
        return self._forward(x, weights)[0]

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
        return self._forward(x, self._weights)
