"""The product with a matrix."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._core import Product
from ..model.checks import Array, as_boolean, as_dtype, as_generator, as_size
from ..model.gradients import Gradients
from ..model.layer import LayerTape, PlainLayer, as_vectors
from ..model.parameters import Weights
from ..model.precision import PRECISIONS, as_precision, as_scale, as_x_bits, check_precision, matrix
from ..model.recurrent import Rng


class Linear(PlainLayer):
    """y = x Wᵀ + b over the last axis, as `torch.nn.Linear`: from (..., in) to (..., out_features).

    Parameters
    ----------
    in_features, out_features : int
    bias : bool, default True
    dtype : {"float32", "float64"}, default "float32"
    rng : numpy.random.Generator, seed or None
        Draws the initial values, U(-1/sqrt(in_features), 1/sqrt(in_features)).
    precision : {"bfloat16", "int8", "int4"}, optional
        In what the product has x and the weights: see `LSTM`. With "int8" the parameters are `weight`, whole
        numbers from -127 to 127, and `weight_scale`, (out_features,), what one in each row is worth; with
        "int4", from -7 to 7 and (out_features, ceil(in_features / 64)).
    x_scale : float, optional
        What one of the whole numbers is worth that x becomes; None finds it for each vector.
    x_bits : {8, 16}, default 8
        The bits of a number of x: see `LSTM`.

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

    _gives_new = True
    _fixed = PlainLayer._fixed | {
        "in_features",
        "out_features",
        "bias",
        "dtype",
        "precision",
        "x_scale",
        "x_bits",
    }
    _precisions = PRECISIONS
    _scales_x = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = "float32",
        rng: Rng = None,
        precision: str | None = None,
        x_scale: float | None = None,
        x_bits: int = 8,
    ) -> None:
        self.in_features: Final = as_size(in_features, "in_features")
        self.out_features: Final = as_size(out_features, "out_features")
        self.bias: Final = as_boolean(bias, "bias")
        self.dtype: Final = as_dtype(dtype)
        self.precision = as_precision(precision, "precision")
        self.x_scale = as_scale(x_scale, "x_scale")
        self.x_bits = as_x_bits(x_bits, "x_bits")
        check_precision(self)
        self._kept_as = self.precision
        generator = as_generator(rng)

        def draw(name: str, shape: tuple[int, ...]) -> Array:
            bound = 1 / np.sqrt(self.in_features)
            return generator.uniform(-bound, bound, shape)

        shapes: list[tuple[str, tuple[int, ...]]] = [("weight", (self.out_features, self.in_features))]
        if self.bias:
            shapes.append(("bias", (self.out_features,)))
        self._draw_initial(shapes, self.dtype, draw, self.precision)

    @property
    def _reads(self) -> int:
        return self.in_features

    @property
    def _gives(self) -> int:
        return self.out_features

    def __repr__(self) -> str:
        bias = "" if self.bias else ", bias=False"
        precision = "" if self.precision is None else f", precision={self.precision!r}"
        x_scale = "" if self.x_scale is None else f", x_scale={self.x_scale!r}"
        x_bits = "" if self.x_bits == 8 else f", x_bits={self.x_bits}"
        return f"Linear({self.in_features}, {self.out_features}{bias}{precision}{x_scale}{x_bits})"

    def _packed(self, weights: Weights) -> Product:
        """Return the packed weights, which are kept with those they came from."""
        if weights.derived is None:
            bias = weights.arrays["bias"] if self.bias else np.zeros(self.out_features, self.dtype)
            kept_as = self._kept_as  # which another thread may change that trains with rounded weights
            weight, scale = matrix(weights.arrays, "weight", kept_as)
            scales = None if scale is None else (scale, self.x_scale, self.x_bits)
            weights.derived = Product(weight, bias, kept_as, scales, not self._is_whole)
        packed: Product = weights.derived
        return packed

    def _gradients(self, weight: Array, bias: Array) -> dict[str, Array]:
        """Return gradients by the names of the parameters."""
        return {"weight": weight, "bias": bias} if self.bias else {"weight": weight}

    def _evaluate(self, x: ArrayLike, weights: Weights) -> Array:
        return self._product(as_vectors(x, self.in_features), self._packed(weights))[1]

    def _evaluate_over(self, x: Array, weights: Weights) -> Array:
        if x.ndim == 1 and x.dtype == self.dtype and len(x) == self.in_features:
            y: Array = self._packed(weights).forward(x[None])[0]
            return y
        return self._evaluate(x, weights)

    def _product(self, given: Array, packed: Product) -> tuple[Array, Array]:
        """Return the vectors as rows, and y."""
        rows = np.ascontiguousarray(given.reshape(-1, self.in_features), self.dtype)
        return rows, packed.forward(rows).reshape(*given.shape[:-1], self.out_features)

    def _forward(self, x: ArrayLike, weights: Weights) -> tuple[Array, LayerTape]:
        given, packed = as_vectors(x, self.in_features), self._packed(weights)
        rows, y = self._product(given, packed)

        def backward(dy: Array) -> Gradients[None]:
            d_rows = np.ascontiguousarray(dy.reshape(-1, self.out_features), self.dtype)
            dx, d_weight, d_bias = packed.backward(rows, d_rows)
            gradients = self._gradients(d_weight, d_bias)
            return Gradients(dx.reshape(given.shape).astype(given.dtype, copy=False), None, gradients)

        return y, LayerTape(y.shape, backward)
