"""Normalisation by the statistics of a batch in training, by those of all batches afterwards."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import DTypeLike

from ..model.batch import Sequences
from ..model.checks import Array, as_boolean, as_dtype, as_positive, as_probability, as_size
from ..model.gradients import Gradients
from ..model.layer import LayerTape
from ..model.parameters import Weights, frozen
from ..model.temporal import TemporalLayer

STATISTICS = ("running_mean", "running_var")


class BatchNorm1d(TemporalLayer):
    """(x - mean) / sqrt(variance + eps), times weight, plus bias, as `torch.nn.BatchNorm1d`.

    In training mean and variance are those of each channel over all real steps of the batch, or over the
    batch behind a readout, and the running ones move towards them. In evaluation they are the running ones.

    Parameters
    ----------
    num_features : int
        Of the last axis.
    eps : float, default 1e-5
    momentum : float, default 0.1
        How far the running statistics move to those of a batch, in [0, 1].
    affine : bool, default True
        Whether there are weights, of one at first, and biases, of zero.
    dtype : {"float32", "float64"}, default "float32"

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Notes
    -----
    The running statistics are among the `parameters`, so they are saved and loaded; they have no gradient,
    and no optimiser moves them: `forward` does. PyTorch's `num_batches_tracked` is not needed:
    `load_state_dict` leaves it out, and PyTorch does without.

    A batch needs two steps in training, as in PyTorch.

    References
    ----------
    .. [1] S. Ioffe and C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing
       Internal Covariate Shift", ICML 2015.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> norm = fastlstm.BatchNorm1d(1, momentum=1.0)
    >>> y, tape = norm.forward(np.array([[1.0], [3.0]]))
    >>> y.round(2).tolist(), norm.parameters["running_mean"].tolist()
    ([[-1.0], [1.0]], [2.0])
    """

    _fixed = TemporalLayer._fixed | {"num_features", "eps", "momentum", "affine", "dtype"}
    _over_time = False
    _ignored = frozenset({"num_batches_tracked"})

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        *,
        dtype: DTypeLike = "float32",
    ) -> None:
        self.num_features: Final = as_size(num_features, "num_features")
        self.eps: Final = as_positive(eps, "eps")
        self.momentum: Final = as_probability(momentum, "momentum")
        self.affine: Final = as_boolean(affine, "affine")
        self.dtype: Final = as_dtype(dtype)
        shape = (self.num_features,)
        self._draw_initial(
            [(name, shape) for name in (*(("weight", "bias") if self.affine else ()), *STATISTICS)],
            self.dtype,
            lambda name, shape: np.ones(shape) if name in ("weight", "running_var") else np.zeros(shape),
        )

    @property
    def _reads(self) -> int:
        return self.num_features

    def __repr__(self) -> str:
        eps = "" if self.eps == 1e-5 else f", eps={self.eps}"
        momentum = "" if self.momentum == 0.1 else f", momentum={self.momentum}"
        return f"BatchNorm1d({self.num_features}{eps}{momentum}{'' if self.affine else ', affine=False'})"

    def _forward(
        self, x: Array, sequences: Sequences | None, weights: Weights
    ) -> tuple[Array, Sequences | None, LayerTape]:
        given = x if sequences is None else sequences.zero_past_ends(x)
        real = np.ones(x.shape[:-1], bool) if sequences is None else ~sequences.unread()
        rows = given[real].astype(self.dtype, copy=False)
        if len(rows) == 1:
            raise ValueError("x: expected at least two steps in training, got 1")
        mean, variance = (rows.mean(axis=0), rows.var(axis=0)) if len(rows) else self._running(weights)
        if len(rows):
            self._move(mean, variance * (len(rows) / (len(rows) - 1)))
        normal, scale = self._normal(given, mean, variance)

        def backward(dy: Array) -> Gradients[None]:
            d_normal, gradients = self._affine_gradients(dy, normal, sequences, weights)
            every = d_normal.reshape(-1, self.num_features)
            count = max(len(rows), 1)
            # Any step's output depends on mean and variance, which are those of the real steps.
            share = every.sum(axis=0) / count
            share = share + normal * ((every * normal.reshape(every.shape)).sum(axis=0) / count)
            dx = (d_normal - np.where(real[..., None], share, 0)) * scale
            return self._gradients(dx, x, sequences, gradients)

        return self._output(normal, sequences, weights), sequences, LayerTape(x.shape, backward)

    def _forward_whole(
        self, x: Array, sequences: Sequences | None, weights: Weights
    ) -> tuple[Array, Sequences | None, LayerTape]:
        given = x if sequences is None else sequences.zero_past_ends(x)
        normal, scale = self._normal(given, *self._running(weights))

        def backward(dy: Array) -> Gradients[None]:
            d_normal, gradients = self._affine_gradients(dy, normal, sequences, weights)
            return self._gradients(d_normal * scale, x, sequences, gradients)

        return self._output(normal, sequences, weights), sequences, LayerTape(x.shape, backward)

    def _running(self, weights: Weights) -> tuple[Array, Array]:
        mean, variance = (weights.arrays[name] for name in STATISTICS)
        return mean, variance

    def _move(self, mean: Array, variance: Array) -> None:
        """Move the running statistics towards those of a batch."""
        moved = {}
        for name, current, latest in zip(
            STATISTICS, self._running(self._weights), (mean, variance), strict=True
        ):
            share = self.dtype.type(self.momentum)
            moved[name] = frozen((current + share * (latest - current)).astype(self.dtype))
        self._replace(moved)

    def _normal(self, x: Array, mean: Array, variance: Array) -> tuple[Array, Array]:
        """Return x with its mean and variance taken out, and what it was multiplied by."""
        scale = 1 / np.sqrt(variance + self.dtype.type(self.eps))
        return (x.astype(self.dtype, copy=False) - mean) * scale, scale

    def _output(self, normal: Array, sequences: Sequences | None, weights: Weights) -> Array:
        y = normal * weights.arrays["weight"] + weights.arrays["bias"] if self.affine else normal
        return y if sequences is None else sequences.zero_past_ends(y)

    def _affine_gradients(
        self, dy: Array, normal: Array, sequences: Sequences | None, weights: Weights
    ) -> tuple[Array, dict[str, Array]]:
        """Return the gradients of what is normal, and of weight and bias."""
        given = dy.astype(self.dtype, copy=False)
        given = given if sequences is None else sequences.zero_past_ends(given)
        if not self.affine:
            return given, {}
        rows = given.reshape(-1, self.num_features)
        gradients = {"weight": (rows * normal.reshape(rows.shape)).sum(axis=0), "bias": rows.sum(axis=0)}
        return given * weights.arrays["weight"], gradients

    def _gradients(
        self, dx: Array, x: Array, sequences: Sequences | None, gradients: dict[str, Array]
    ) -> Gradients[None]:
        dx = dx.astype(x.dtype, copy=False)
        return Gradients(dx if sequences is None else sequences.zero_past_ends(dx), None, gradients)
