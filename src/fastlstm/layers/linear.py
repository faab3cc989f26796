"""The product with a matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._arrays import Array, as_dtype, as_size
from .._core import Product
from ..gradients import Gradients
from ..parameters import Weights
from ..recurrent import Rng
from .base import LayerTape, PlainLayer, as_vectors


class Linear(PlainLayer):
    """y = x Wᵀ + b over the last axis, as `torch.nn.Linear`: from (..., in) to (..., out_features).

    Parameters
    ----------
    in_features, out_features : int
    bias : bool, default True
    dtype : {"float32", "float64"}, default "float32"
    rng : numpy.random.Generator, seed or None
        Draws the initial values, U(-1/sqrt(in_features), 1/sqrt(in_features)).

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> linear = fastlstm.Linear(3, 2, rng=0)
    >>> y, tape = linear.forward(np.ones((5, 7, 3)))
    >>> y.shape
    (5, 7, 2)
    >>> tape.backward(np.ones_like(y)).parameters["weight"].shape
    (2, 3)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = "float32",
        rng: Rng = None,
    ) -> None:
        self.in_features = as_size(in_features, "in_features")
        self.out_features = as_size(out_features, "out_features")
        self.bias = bool(bias)
        self.dtype = as_dtype(dtype)
        generator = np.random.default_rng(rng)

        def draw(name: str, shape: tuple[int, ...]) -> Array:
            bound = 1 / np.sqrt(self.in_features)
            return generator.uniform(-bound, bound, shape)

        shapes: list[tuple[str, tuple[int, ...]]] = [("weight", (self.out_features, self.in_features))]
        if self.bias:
            shapes.append(("bias", (self.out_features,)))
        self._draw_initial(shapes, self.dtype, draw)

    @property
    def _reads(self) -> int:
        return self.in_features

    @property
    def _gives(self) -> int:
        return self.out_features

    def __repr__(self) -> str:
        bias = "" if self.bias else ", bias=False"
        return f"Linear({self.in_features}, {self.out_features}{bias})"

    def _packed(self, weights: Weights) -> Product:
        """Return the packed weights, which are kept with those they came from."""
        if weights.derived is None:
            bias = weights.arrays["bias"] if self.bias else np.zeros(self.out_features, self.dtype)
            weights.derived = Product(weights.arrays["weight"], bias)
        packed: Product = weights.derived
        return packed

    def _forward(self, x: ArrayLike, weights: Weights) -> tuple[Array, LayerTape]:
        given, packed = as_vectors(x, self.in_features), self._packed(weights)
        rows = np.ascontiguousarray(given.reshape(-1, self.in_features), self.dtype)
        y = np.empty((*given.shape[:-1], self.out_features), self.dtype)
        packed.forward(rows, y.reshape(-1, self.out_features))

        def backward(dy: Array) -> Gradients[None]:
            d_rows = np.ascontiguousarray(dy.reshape(-1, self.out_features), self.dtype)
            dx = np.empty_like(rows)
            gradients = {name: np.zeros_like(array) for name, array in weights.arrays.items()}
            d_bias = gradients["bias"] if self.bias else np.zeros(self.out_features, self.dtype)
            packed.backward(rows, d_rows, dx, gradients["weight"], d_bias)
            return Gradients(dx.reshape(given.shape).astype(given.dtype, copy=False), None, gradients)

        return y, LayerTape(y.shape, backward)
