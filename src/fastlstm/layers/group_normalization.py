"""Normalisation over groups of channels, and over the steps of a sequence."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..model.batch import Sequences
from ..model.checks import Array, as_boolean, as_dtype, as_positive, as_size
from ..model.gradients import Gradients
from ..model.layer import LayerTape
from ..model.parameters import Weights
from ..model.temporal import TemporalLayer
from .readouts import sums_over_time


class GroupNorm(TemporalLayer):
    """(x - mean) / sqrt(variance + eps), times weight, plus bias, as `torch.nn.GroupNorm`.

    Mean and variance are those of a group of channels over all steps of a sequence. With ``over_time=False``
    each step has its own, as if it were given to PyTorch alone: then the layer can be streamed.

    Parameters
    ----------
    num_groups : int
    num_channels : int
        Of the last axis; a multiple of `num_groups`.
    eps : float, default 1e-5
    affine : bool, default True
        Whether there are weights, of one at first, and biases, of zero.
    over_time : bool, default True
    dtype : {"float32", "float64"}, default "float32"

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    .. [1] Y. Wu and K. He, "Group Normalization", arXiv:1803.08494, 2018.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> norm = fastlstm.GroupNorm(2, 4, over_time=False)
    >>> norm(np.array([[1.0, 3.0, 10.0, 40.0]])).round(2).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """

    _fixed = TemporalLayer._fixed | {"num_groups", "num_channels", "eps", "affine", "over_time", "dtype"}

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        over_time: bool = True,
        dtype: DTypeLike = "float32",
    ) -> None:
        self.num_groups: Final = as_size(num_groups, "num_groups")
        self.num_channels: Final = as_size(num_channels, "num_channels")
        if self.num_channels % self.num_groups:
            expected = f"a multiple of num_groups={self.num_groups}"
            raise ValueError(f"num_channels: expected {expected}, got {self.num_channels}")
        self.eps: Final = as_positive(eps, "eps")
        self.affine: Final = as_boolean(affine, "affine")
        self.over_time: Final = as_boolean(over_time, "over_time")
        self.dtype: Final = as_dtype(dtype)
        self._over_time = self.over_time
        self._streams = not self.over_time
        shape = (self.num_channels,)
        self._draw_initial(
            [("weight", shape), ("bias", shape)] if self.affine else [],
            self.dtype,
            lambda name, shape: np.ones(shape) if name == "weight" else np.zeros(shape),
        )

    @property
    def _reads(self) -> int:
        return self.num_channels

    def __repr__(self) -> str:
        eps = "" if self.eps == 1e-5 else f", eps={self.eps}"
        affine = "" if self.affine else ", affine=False"
        over_time = "" if self.over_time else ", over_time=False"
        return f"GroupNorm({self.num_groups}, {self.num_channels}{eps}{affine}{over_time})"

    def _forward(
        self, x: Array, sequences: Sequences | None, weights: Weights
    ) -> tuple[Array, Sequences | None, LayerTape]:
        if self.over_time:
            assert sequences is not None
            where = sequences
        else:  # every step is a sequence of its own
            where = Sequences(1, x.size // self.num_channels, False, False, None)
        own = sequences if self.over_time else None
        steps = self._steps(x if own is None else own.zero_past_ends(x), own)
        real = where.real()[:, :, None]
        count = np.maximum(where.steps, 1)[:, None].astype(self.dtype)
        normal = steps - self._means(steps, real, count)
        scale = 1 / np.sqrt(self._means(normal * normal, real, count) + self.dtype.type(self.eps))
        normal *= scale
        y = np.empty(x.shape, self.dtype)
        self._view(y, own)[...] = (
            normal * weights.arrays["weight"] + weights.arrays["bias"] if self.affine else normal
        )
        if sequences is not None:
            y = sequences.zero_past_ends(y)

        def backward(dy: Array) -> Gradients[None]:
            d_normal = self._steps(dy if sequences is None else sequences.zero_past_ends(dy), own)
            gradients: dict[str, Array] = {}
            if self.affine:
                gradients = {
                    "weight": (d_normal * normal).sum(axis=(0, 1)),
                    "bias": d_normal.sum(axis=(0, 1)),
                }
                d_normal = d_normal * weights.arrays["weight"]
            # Mean and variance are those of the real steps; any step's output depends on them.
            every = np.ones_like(real)
            d_steps = d_normal - np.where(
                real,
                self._means(d_normal, every, count) + normal * self._means(d_normal * normal, every, count),
                0,
            )
            d_steps *= scale
            dx = np.empty(x.shape, x.dtype)
            self._view(dx, own)[...] = d_steps
            return Gradients(dx if sequences is None else sequences.zero_past_ends(dx), None, gradients)

        return y, sequences, LayerTape(y.shape, backward)

    def _view(self, array: Array, sequences: Sequences | None) -> Array:
        """Return an array of the caller's as a view (T, B, n), or (1, rows, n) of rows for themselves."""
        if sequences is None:
            return array.reshape(1, array.size // self.num_channels, self.num_channels)
        return sequences.time_major(array)

    def _steps(self, array: Array, sequences: Sequences | None) -> Array:
        """Return the same in the layer's dtype."""
        return self._view(array, sequences).astype(self.dtype, copy=False)

    def _means(self, steps: Array, where: NDArray[np.bool_], count: Array) -> Array:
        """Return the mean of each group over a sequence's steps, for each of its channels: (B, n)."""
        sums = sums_over_time(steps, where)
        size = self.num_channels // self.num_groups
        groups = sums.reshape(len(sums), self.num_groups, size).sum(axis=2) / (count * size)
        return np.repeat(groups, size, axis=1)
