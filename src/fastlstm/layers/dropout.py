"""Dropout: noise in training, none in evaluation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..model.attributes import Setting
from ..model.checks import Array, as_floats, as_generator, as_probability
from ..model.gradients import Gradients
from ..model.layer import LayerTape, PlainLayer
from ..model.masks import dropout_mask
from ..model.parameters import Weights
from ..model.recurrent import Rng


class Dropout(PlainLayer):
    """Zeros in place of a share of the numbers, as `torch.nn.Dropout`.

    `forward` scales the numbers that stay by 1 / (1 - p); calling the layer returns x as it is.

    Parameters
    ----------
    p : float, default 0.5
        The share.
    rng : numpy.random.Generator, seed or None
        Draws which numbers become zero.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    .. [1] N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov, "Dropout: A Simple
       Way to Prevent Neural Networks from Overfitting", JMLR 15, 2014.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> y, tape = fastlstm.Dropout(0.5, rng=0).forward(np.ones(1000))
    >>> sorted(set(y.tolist()))
    [0.0, 2.0]
    """

    p = Setting(as_probability)

    def __init__(self, p: float = 0.5, *, rng: Rng = None) -> None:
        self.p = p
        self._rng = as_generator(rng)
        self._set_initial({})

    def __repr__(self) -> str:
        return f"Dropout({self.p})"

    @property
    def generators(self) -> tuple[np.random.Generator, ...]:
        """What draws the zeros."""
        return (self._rng,)

    def _evaluate(self, x: ArrayLike, weights: Weights) -> Array:
        return as_floats(x, "x")

    def _forward_whole(self, x: ArrayLike, weights: Weights) -> tuple[Array, LayerTape]:
        given = as_floats(x, "x")

        def backward(dy: Array) -> Gradients[None]:
            return Gradients(dy.astype(given.dtype, copy=False), None, {})

        return given, LayerTape(given.shape, backward)

    def _forward(self, x: ArrayLike, weights: Weights) -> tuple[Array, LayerTape]:
        given = as_floats(x, "x")
        mask = dropout_mask(self._rng, self.p, given.shape, given.dtype)

        def backward(dy: Array) -> Gradients[None]:
            return Gradients((dy * mask).astype(given.dtype, copy=False), None, {})

        return given * mask, LayerTape(given.shape, backward)
