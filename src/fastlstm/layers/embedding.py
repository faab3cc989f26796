"""A vector for each index."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .._arrays import Array, as_dtype, as_index, as_integers, as_size
from ..gradients import Gradients
from ..parameters import Weights
from ..recurrent import Rng
from .base import LayerTape, PlainLayer


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

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: DTypeLike = "float32",
        rng: Rng = None,
    ) -> None:
        self.num_embeddings = as_size(num_embeddings, "num_embeddings")
        self.embedding_dim = as_size(embedding_dim, "embedding_dim")
        self.padding_idx = (
            None if padding_idx is None else as_index(padding_idx, "padding_idx", self.num_embeddings)
        )
        self.dtype = as_dtype(dtype)
        generator = np.random.default_rng(rng)

        def draw(name: str, shape: tuple[int, ...]) -> Array:
            weight = generator.standard_normal(shape)
            if self.padding_idx is not None:
                weight[self.padding_idx] = 0
            return weight

        shape = self.num_embeddings, self.embedding_dim
        self._draw_initial([("weight", shape)], self.dtype, draw)

    @property
    def _gives(self) -> int:
        return self.embedding_dim

    def __repr__(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"Embedding({self.num_embeddings}, {self.embedding_dim}{padding})"

    def _indices(self, x: ArrayLike) -> NDArray[np.int64]:
        indices = as_integers(x, "x")
        if indices.size and (indices.min() < 0 or indices.max() >= self.num_embeddings):
            wrong = indices.min() if indices.min() < 0 else indices.max()
            raise ValueError(f"x: expected indices from 0 to {self.num_embeddings - 1}, got {wrong}")
        return indices

    def _forward(self, x: ArrayLike, weights: Weights) -> tuple[Array, LayerTape]:
        indices, weight = self._indices(x), weights.arrays["weight"]

        def backward(dy: Array) -> Gradients[None]:
            from scipy.sparse import csr_array

            # Row by row of the weights, a sum over the places where its index stands.
            places = indices.ravel()
            count = len(places)
            ones = np.ones(count, dy.dtype)
            selection = csr_array((ones, (places, np.arange(count))), (len(weight), count))
            gradient = selection @ dy.reshape(count, self.embedding_dim)
            if self.padding_idx is not None:
                gradient[self.padding_idx] = 0
            return Gradients(None, None, {"weight": gradient.astype(weight.dtype, copy=False)})

        y = weight[indices]
        return y, LayerTape(y.shape, backward)
