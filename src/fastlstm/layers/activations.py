"""Functions of each number, or of the numbers of each step."""

# scipy.special takes longer to import than this whole package, so it is imported where it is called.

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from ..model.checks import Array, as_choice, as_floats, as_nonnegative
from ..model.gradients import Gradients
from ..model.layer import LayerTape, PlainLayer
from ..model.parameters import Weights

# NumPy takes longer to make an array of a number.
_ZERO = {np.dtype(name): np.zeros((), name) for name in ("float16", "float32", "float64")}


@cache
def _expit() -> Any:
    from scipy.special import expit

    return expit


class Activation(PlainLayer):
    """Base of the activations. y has the shape and dtype of x."""

    def __init__(self) -> None:
        self._set_initial({})

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def _value(self, x: Array) -> Array:
        """Return y."""
        raise NotImplementedError

    def _gradient(self, x: Array, y: Array, dy: Array) -> Array:
        """Return dx."""
        raise NotImplementedError

    def _evaluate(self, x: ArrayLike, weights: Weights) -> Array:
        return self._values(as_floats(x, "x"))

    def _values(self, given: Array) -> Array:
        """Return y of floats; ValueError for a number alone."""
        if given.ndim == 0:
            raise ValueError("x: expected shape (..., n), got ()")
        return self._value(given).astype(given.dtype, copy=False)

    def _forward(self, x: ArrayLike, weights: Weights) -> tuple[Array, LayerTape]:
        given = as_floats(x, "x")
        y = self._values(given)

        def backward(dy: Array) -> Gradients[None]:
            return Gradients(self._gradient(given, y, dy).astype(given.dtype, copy=False), None, {})

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

    def _gradient(self, x: Array, y: Array, dy: Array) -> Array:
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
        y: Array = _expit()(x)
        return y

    def _evaluate_over(self, x: Array, weights: Weights) -> Array:
        y: Array = _expit()(x, out=x)
        return y

    def _gradient(self, x: Array, y: Array, dy: Array) -> Array:
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

    def _evaluate_over(self, x: Array, weights: Weights) -> Array:
        y: Array = np.maximum(x, _ZERO[x.dtype], out=x)
        return y

    def _gradient(self, x: Array, y: Array, dy: Array) -> Array:
        return dy * (y > 0)


class LeakyReLU(Activation):
    """x above 0, elsewhere x · negative_slope, as `torch.nn.LeakyReLU`; at 0 the slope is that below.

    Parameters
    ----------
    negative_slope : float, default 0.01
        0 or more.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.LeakyReLU(0.5)(np.array([-1.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    _fixed = Activation._fixed | {"negative_slope"}

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope: Final = as_nonnegative(negative_slope, "negative_slope")
        super().__init__()

    def __repr__(self) -> str:
        return f"LeakyReLU({'' if self.negative_slope == 0.01 else self.negative_slope})"

    def _value(self, x: Array) -> Array:
        return np.where(x > 0, x, x * x.dtype.type(self.negative_slope))

    def _gradient(self, x: Array, y: Array, dy: Array) -> Array:
        return np.where(x > 0, dy, dy * self.negative_slope)


class ELU(Activation):
    """x where it is above 0, elsewhere alpha · (exp(x) - 1), as `torch.nn.ELU`.

    Parameters
    ----------
    alpha : float, default 1.0
        0 or more.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.ELU()(np.array([-1.0, 2.0])).round(3).tolist()
    [-0.632, 2.0]
    """

    _fixed = Activation._fixed | {"alpha"}

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha: Final = as_nonnegative(alpha, "alpha")
        super().__init__()

    def __repr__(self) -> str:
        return f"ELU({'' if self.alpha == 1 else self.alpha})"

    def _value(self, x: Array) -> Array:
        return np.where(x > 0, x, np.expm1(np.minimum(x, 0)) * x.dtype.type(self.alpha))

    def _gradient(self, x: Array, y: Array, dy: Array) -> Array:
        return np.where(x > 0, dy, dy * (y + self.alpha))


class SiLU(Activation):
    """x / (1 + exp(-x)), as `torch.nn.SiLU`; also called swish.

    References
    ----------
    .. [1] S. Elfwing, E. Uchibe and K. Doya, "Sigmoid-Weighted Linear Units for Neural Network Function
       Approximation in Reinforcement Learning", arXiv:1702.03118, 2017.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.SiLU()(np.array([-1.0, 2.0])).round(3).tolist()
    [-0.269, 1.762]
    """

    def _value(self, x: Array) -> Array:
        y: Array = _expit()(x)
        y *= x
        return y

    def _gradient(self, x: Array, y: Array, dy: Array) -> Array:
        gate: Array = _expit()(x)
        return dy * (gate + y * (1 - gate))


class GELU(Activation):
    """x · Φ(x), with the normal distribution's Φ, as `torch.nn.GELU`.

    Parameters
    ----------
    approximate : {"none", "tanh"}, default "none"
        "tanh": x · (1 + tanh(sqrt(2/π) · (x + 0.044715 · x³))) / 2 in its place.

    Raises
    ------
    ValueError
        If an argument is not as above.

    References
    ----------
    .. [1] D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units (GELUs)", arXiv:1606.08415, 2016.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.GELU()(np.array([-1.0, 2.0])).round(3).tolist()
    [-0.159, 1.954]
    """

    _fixed = Activation._fixed | {"approximate"}

    def __init__(self, approximate: str = "none") -> None:
        self.approximate: Final = as_choice("none", "tanh")(approximate, "approximate")
        super().__init__()

    def __repr__(self) -> str:
        return f"GELU({'' if self.approximate == 'none' else repr(self.approximate)})"

    def _tanh(self, x: Array) -> Array:
        """Return the tanh of the approximation."""
        inner: Array = np.tanh(x.dtype.type(np.sqrt(2 / np.pi)) * (x + x.dtype.type(0.044715) * x * x * x))
        return inner

    def _value(self, x: Array) -> Array:
        if self.approximate == "tanh":
            return x * (1 + self._tanh(x)) / 2
        from scipy.special import ndtr

        y: Array = x * ndtr(x)
        return y

    def _gradient(self, x: Array, y: Array, dy: Array) -> Array:
        if self.approximate == "tanh":
            t = self._tanh(x)
            inner = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x * x)
            slope: Array = (1 + t) / 2 + x * (1 - t * t) * inner / 2
        else:
            from scipy.special import ndtr

            slope = ndtr(x) + x * (np.exp(-x * x / 2) / np.sqrt(2 * np.pi))
        dx: Array = dy * slope
        return dx


class Softmax(Activation):
    """exp(x) divided by its sum over the last axis, as `torch.nn.Softmax(dim=-1)`.

    Leave it out to train with cross-entropy: `fastlstm.training.softmax_cross_entropy` takes the logits.

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

    def _gradient(self, x: Array, y: Array, dy: Array) -> Array:
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

    def _gradient(self, x: Array, y: Array, dy: Array) -> Array:
        dx: Array = dy - np.exp(y) * dy.sum(axis=-1, keepdims=True)
        return dx
