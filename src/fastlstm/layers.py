"""The layers that stand around an LSTM: plain NumPy, with the recurrent models' face."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse import csr_array

from ._arrays import Array, as_dtype, as_floats, as_integers, as_size, check_shape
from .gradients import Gradients
from .parameters import Parameterised
from .recurrent import Rng


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


class Embedding(Parameterised):
    """A vector for each index, as `torch.nn.Embedding`.

    Parameters
    ----------
    num_embeddings : int
        Indices run from 0 to this, exclusive.
    embedding_dim : int
        Numbers in each vector.
    dtype : {"float32", "float64"}, default "float32"
    rng : numpy.random.Generator, seed or None
        Draws the initial values, N(0, 1).

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> embedding = fastlstm.Embedding(10, 4, rng=0)
    >>> embedding(np.array([[1, 2], [3, 3], [9, 0]])).shape
    (3, 2, 4)
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, *, dtype: DTypeLike = "float32", rng: Rng = None
    ) -> None:
        self.num_embeddings = as_size(num_embeddings, "num_embeddings")
        self.embedding_dim = as_size(embedding_dim, "embedding_dim")
        weight = np.random.default_rng(rng).standard_normal((num_embeddings, embedding_dim))
        self._set_initial({"weight": weight.astype(as_dtype(dtype))})

    def __repr__(self) -> str:
        return f"Embedding({self.num_embeddings}, {self.embedding_dim})"

    def _indices(self, x: ArrayLike) -> NDArray[np.int64]:
        indices = as_integers(x, "x")
        if indices.size and (indices.min() < 0 or indices.max() >= self.num_embeddings):
            wrong = indices.min() if indices.min() < 0 else indices.max()
            raise ValueError(f"x: expected indices from 0 to {self.num_embeddings - 1}, got {wrong}")
        return indices

    def __call__(self, x: ArrayLike) -> Array:
        """Return the vectors (..., embedding_dim) of the indices x (...).

        Raises
        ------
        TypeError
            If `x` is not an array of integers.
        ValueError
            If an index is negative or too large.
        """
        return self.parameters["weight"][self._indices(x)]

    def forward(self, x: ArrayLike) -> tuple[Array, LayerTape]:
        """Return what calling returns, and a tape; its gradients have no `input`."""
        indices = self._indices(x)
        weight = self.parameters["weight"]

        def backward(dy: Array) -> Gradients[None]:
            # Row by row of the weights, a sum over the places where its index stands.
            places = indices.ravel()
            count = len(places)
            ones = np.ones(count, dy.dtype)
            selection = csr_array((ones, (places, np.arange(count))), (len(weight), count))
            gradient = selection @ dy.reshape(count, self.embedding_dim)
            return Gradients(None, None, {"weight": gradient.astype(weight.dtype, copy=False)})

        y = weight[indices]
        return y, LayerTape(y.shape, backward)


class Linear(Parameterised):
    """y = x Wᵀ + b over the last axis, as `torch.nn.Linear`.

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
        generator, bound = np.random.default_rng(rng), 1 / np.sqrt(self.in_features)
        arrays = {"weight": generator.uniform(-bound, bound, (out_features, in_features))}
        if bias:
            arrays["bias"] = generator.uniform(-bound, bound, out_features)
        real = as_dtype(dtype)
        self._set_initial({name: array.astype(real) for name, array in arrays.items()})

    def __repr__(self) -> str:
        bias = "" if "bias" in self.parameters else ", bias=False"
        return f"Linear({self.in_features}, {self.out_features}{bias})"

    def _input(self, x: ArrayLike) -> Array:
        array = as_floats(x, "x", self.parameters["weight"].dtype)
        if array.ndim == 0 or array.shape[-1] != self.in_features:
            raise ValueError(f"x: expected shape (..., {self.in_features}), got {array.shape}")
        return array

    def __call__(self, x: ArrayLike) -> Array:
        """Return y (..., out_features) of x (..., in_features), in the layer's dtype.

        Raises
        ------
        TypeError, ValueError
            If `x` is not an array of floats of that shape.
        """
        y = self._input(x) @ self.parameters["weight"].T
        if "bias" in self.parameters:
            y += self.parameters["bias"]
        return y

    def forward(self, x: ArrayLike) -> tuple[Array, LayerTape]:
        """Return what calling returns, and a tape."""
        given, array, weight = as_floats(x, "x"), self._input(x), self.parameters["weight"]

        def backward(dy: Array) -> Gradients[None]:
            dy = dy.astype(weight.dtype, copy=False)
            rows = dy.reshape(-1, self.out_features)
            gradients = {"weight": rows.T @ array.reshape(-1, self.in_features)}
            if "bias" in self.parameters:
                gradients["bias"] = rows.sum(axis=0)
            return Gradients((dy @ weight).astype(given.dtype, copy=False), None, gradients)

        y = self(array)
        return y, LayerTape(y.shape, backward)
