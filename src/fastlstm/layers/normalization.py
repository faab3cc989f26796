"""Normalisation: every step brought to the same scale."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..model.checks import Array, as_dtype, as_positive, as_size
from ..model.gradients import Gradients
from ..model.layer import LayerTape, PlainLayer, as_vectors
from ..model.parameters import Weights


class LayerNorm(PlainLayer):
    """(x - mean) / sqrt(variance + eps) over the last axis, times weight, plus bias.

    As `torch.nn.LayerNorm`, with weights of one and biases of zero at first.

    Parameters
    ----------
    size : int
        Of the last axis.
    eps : float, default 1e-5
    dtype : {"float32", "float64"}, default "float32"

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    .. [1] J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer Normalization", arXiv:1607.06450, 2016.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.LayerNorm(2)(np.array([[1.0, 3.0], [10.0, 40.0]])).round(2).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    _fixed = PlainLayer._fixed | {"size", "eps", "dtype"}

    def __init__(self, size: int, eps: float = 1e-5, *, dtype: DTypeLike = "float32") -> None:
        self.size: Final = as_size(size, "size")
        self.eps: Final = as_positive(eps, "eps")
        self.dtype: Final = as_dtype(dtype)
        self._draw_initial(
            [("weight", (self.size,)), ("bias", (self.size,))],
            self.dtype,
            lambda name, shape: np.ones(shape) if name == "weight" else np.zeros(shape),
        )

    @property
    def _reads(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"LayerNorm({self.size}{'' if self.eps == 1e-5 else f', eps={self.eps}'})"

    def _forward(self, x: ArrayLike, weights: Weights) -> tuple[Array, LayerTape]:
        given, weight = as_vectors(x, self.size), weights.arrays["weight"]
        array = given.astype(self.dtype, copy=False)
        normal = array - array.mean(axis=-1, keepdims=True)
        scale = 1 / np.sqrt((normal * normal).mean(axis=-1, keepdims=True) + self.dtype.type(self.eps))
        normal *= scale

        def backward(dy: Array) -> Gradients[None]:
            dy = dy.astype(self.dtype, copy=False)
            rows = dy.reshape(-1, self.size)
            gradients = {
                "weight": (rows * normal.reshape(rows.shape)).sum(axis=0),
                "bias": rows.sum(axis=0),
            }
            dx = dy * weight
            along = (dx * normal).mean(axis=-1, keepdims=True)
            dx -= dx.mean(axis=-1, keepdims=True)
            dx -= normal * along
            dx *= scale
            return Gradients(dx.astype(given.dtype, copy=False), None, gradients)

        return normal * weight + weights.arrays["bias"], LayerTape(given.shape, backward)
