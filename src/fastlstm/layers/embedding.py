"""A vector for each index."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..model.checks import (
    Array,
    as_choice,
    as_dtype,
    as_generator,
    as_index,
    as_integers,
    as_size,
    check_indices,
)
from ..model.gradients import Gradients
from ..model.layer import LayerTape, PlainLayer
from ..model.parameters import Weights
from ..model.precision import INT8, check_precision, row_scales, whole_numbers, widened
from ..model.recurrent import Rng


class Embedding(PlainLayer):
    """A vector for each index, as `torch.nn.Embedding`: from x (...) to y (..., embedding_dim).

    Parameters
    ----------
    num_embeddings : int
        Indices run from 0 to this, exclusive.
    embedding_dim : int
        Numbers in each vector.
    padding_idx : int, optional
        An index whose vector is zero at first and gets no gradient.
    dtype : {"float32", "float64"}, default "float32"
    rng : numpy.random.Generator, seed or None
        Draws the initial values, N(0, 1).
    precision : {"int8"}, optional
        With "int8" the parameters are `weight`, whole numbers from -127 to 127, and `weight_scale`,
        (num_embeddings,), what one in each row is worth; y is floats all the same.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Notes
    -----
    Calling refuses what is not an array of integers, and indices that are negative or too large. The
    gradients have no `input`.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> embedding = fastlstm.Embedding(10, 4, rng=0)
    >>> embedding(np.array([[1, 2], [3, 3], [9, 0]])).shape
    (3, 2, 4)
    """

    _multiply_adds = 0  # its matrix is looked up
    _fixed = PlainLayer._fixed | {"num_embeddings", "embedding_dim", "padding_idx", "dtype", "precision"}
    _precisions = ("int8",)

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: DTypeLike = "float32",
        rng: Rng = None,
        precision: str | None = None,
    ) -> None:
        self.num_embeddings: Final = as_size(num_embeddings, "num_embeddings")
        self.embedding_dim: Final = as_size(embedding_dim, "embedding_dim")
        self.padding_idx: Final = (
            None if padding_idx is None else as_index(padding_idx, "padding_idx", self.num_embeddings)
        )
        self.dtype: Final = as_dtype(dtype)
        self.precision = None if precision is None else as_choice(*self._precisions)(precision, "precision")
        check_precision(self)
        self._kept_as = self.precision
        generator = as_generator(rng)

        def draw(name: str, shape: tuple[int, ...]) -> Array:
            weight = generator.standard_normal(shape)
            if self.padding_idx is not None:
                weight[self.padding_idx] = 0
            return weight

        shape = self.num_embeddings, self.embedding_dim
        self._draw_initial([("weight", shape)], self.dtype, draw, self.precision)

    @property
    def _num_embeddings(self) -> int:
        return self.num_embeddings

    @property
    def _gives(self) -> int:
        return self.embedding_dim

    def __repr__(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        precision = "" if self.precision is None else f", precision={self.precision!r}"
        return f"Embedding({self.num_embeddings}, {self.embedding_dim}{padding}{precision})"

    def _indices(self, x: ArrayLike) -> NDArray[np.int64]:
        indices = as_integers(x, "x")
        check_indices(indices, "x", self.num_embeddings)
        return indices

    def _vectors(self, indices: NDArray[np.int64], weights: Weights) -> Array:
        vectors = weights.arrays["weight"][indices]
        if vectors.dtype == INT8:
            return widened(vectors, weights.arrays["weight_scale"][indices])
        if self._kept_as == "int8":
            scale = row_scales(vectors)
            return widened(whole_numbers(vectors, scale), scale)
        return vectors

    def _forward(self, x: ArrayLike, weights: Weights) -> tuple[Array, LayerTape]:
        indices, weight = self._indices(x), weights.arrays["weight"]

        def backward(dy: Array) -> Gradients[None]:
            from scipy.sparse import csr_array

            # A row's gradient is the sum over all places with its index: a product with a sparse matrix.
            places = indices.ravel()
            count = len(places)
            ones = np.ones(count, dy.dtype)
            selection = csr_array((ones, (places, np.arange(count))), (len(weight), count))
            gradient = selection @ dy.reshape(count, self.embedding_dim)
            if self.padding_idx is not None:
                gradient[self.padding_idx] = 0
            return Gradients(None, None, {"weight": gradient.astype(weight.dtype, copy=False)})

        y = self._vectors(indices, weights)
        return y, LayerTape(y.shape, backward)
