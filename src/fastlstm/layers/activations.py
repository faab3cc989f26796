"""Functions of each number, or of the numbers of each step."""

# SciPy's special functions, as its sparse arrays, take longer to import than all of this package: they are
# imported by those who call what needs them.

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array, as_floats
from ..gradients import Gradients
from ..parameters import Weights
from .base import LayerTape, PlainLayer


class Activation(PlainLayer):
    """Base of the activations: y of the shape and dtype of x, the gradient from y."""

    def __init__(self) -> None:
        self._set_initial({})

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def _value(self, x: Array) -> Array:
        """Return y."""
        raise NotImplementedError

    def _gradient(self, y: Array, dy: Array) -> Array:
        """Return dx."""
        raise NotImplementedError

    def _forward(self, x: ArrayLike, weights: Weights) -> tuple[Array, LayerTape]:
        given = as_floats(x, "x")
        if given.ndim == 0:
            raise ValueError("x: expected shape (..., n), got ()")
        y = self._value(given).astype(given.dtype, copy=False)

        def backward(dy: Array) -> Gradients[None]:
            return Gradients(self._gradient(y, dy).astype(given.dtype, copy=False), None, {})

        return y, LayerTape(y.shape, backward)


class Tanh(Activation):
    """tanh(x), as `torch.nn.Tanh`.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.Tanh()(np.array([0.0, 0.5])).round(3).tolist()
    [0.0, 0.462]
    """

    def _value(self, x: Array) -> Array:
        return np.tanh(x)

    def _gradient(self, y: Array, dy: Array) -> Array:
        return dy * (1 - y * y)


class Sigmoid(Activation):
    """1 / (1 + exp(-x)), as `torch.nn.Sigmoid`.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.Sigmoid()(np.array([0.0, 1.0])).round(3).tolist()
    [0.5, 0.731]
    """

    def _value(self, x: Array) -> Array:
        from scipy.special import expit

        y: Array = expit(x)
        return y

    def _gradient(self, y: Array, dy: Array) -> Array:
        return dy * (y * (1 - y))


class ReLU(Activation):
    """max(x, 0), as `torch.nn.ReLU`; the gradient at 0 is 0.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.ReLU()(np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def _value(self, x: Array) -> Array:
        y: Array = np.maximum(x, 0)
        return y

    def _gradient(self, y: Array, dy: Array) -> Array:
        return dy * (y > 0)


class Softmax(Activation):
    """exp(x) divided by its sum over the last axis, as `torch.nn.Softmax(dim=-1)`.

    To train with cross-entropy leave it away: `fastlstm.training.softmax_cross_entropy` takes what goes
    in here.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.Softmax()(np.log([[1.0, 3.0]])).round(3).tolist()
    [[0.25, 0.75]]
    """

    def _value(self, x: Array) -> Array:
        from scipy.special import softmax

        y: Array = softmax(x, axis=-1)
        return y

    def _gradient(self, y: Array, dy: Array) -> Array:
        dx: Array = y * (dy - (dy * y).sum(axis=-1, keepdims=True))
        return dx


class LogSoftmax(Activation):
    """The logarithm of `Softmax`, as `torch.nn.LogSoftmax(dim=-1)`.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> np.exp(fastlstm.LogSoftmax()(np.log([[1.0, 3.0]]))).round(3).tolist()
    [[0.25, 0.75]]
    """

    def _value(self, x: Array) -> Array:
        from scipy.special import log_softmax

        y: Array = log_softmax(x, axis=-1)
        return y

    def _gradient(self, y: Array, dy: Array) -> Array:
        dx: Array = dy - np.exp(y) * dy.sum(axis=-1, keepdims=True)
        return dx
