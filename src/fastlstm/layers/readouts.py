"""Readouts: from all steps of each sequence to one vector; what is past its end or masked is ignored."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .._core import Product
from ..model.batch import Sequences
from ..model.checks import Array, as_dtype, as_generator, as_size
from ..model.layer import Directions, Readout, Spread
from ..model.parameters import Weights
from ..model.recurrent import Rng


class LastStep(Readout):
    """Each sequence's last step; for the reverse direction the step that it reads last, which is the first.

    That is h_n of the last layer of a recurrent model; of one with ``reverse=True`` what Keras returns for
    `go_backwards`. In a `Sequential` the two directions are told apart as long as no `Linear` stands between.

    This is not ``y[:, -1]`` of PyTorch, which of two directions has the reverse one's first step, when it has
    read a single one: see `TorchLastStep`.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> x = np.array([[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]])    # three steps of one sequence
    >>> fastlstm.LastStep()(x, lengths=[2])
    array([[3., 4.]])
    >>> fastlstm.LastStep()(x, lengths=[2], bidirectional=True)
    array([[3., 2.]])
    >>> fastlstm.LastStep()(x, lengths=[2], reverse=True)
    array([[1., 2.]])
    """

    _tells_directions = True

    def _read(
        self, x: Array, sequences: Sequences, directions: Directions, weights: Weights
    ) -> tuple[Array, Spread]:
        columns = x.shape[2]
        if directions == "both" and columns % 2:
            raise ValueError(f"x: expected an even last axis, of two directions, got {columns}")
        of_forward = {"forward": columns, "reverse": 0, "both": columns // 2}[directions]
        some, first, last = sequences.ends()
        y = np.zeros(x.shape[1:], x.dtype)
        y[some, :of_forward] = x[last, some, :of_forward]
        y[some, of_forward:] = x[first, some, of_forward:]

        def spread(dy: Array, dx: Array) -> None:
            dx[last, some, :of_forward] = dy[some, :of_forward]
            dx[first, some, of_forward:] = dy[some, of_forward:]

        return y, spread


class TorchLastStep(Readout):
    """Each sequence's last step, all columns of it: ``y[:, -1]`` as people write it in PyTorch.

    For one direction that is `LastStep`. Of two directions the reverse one has read a single step there, the
    last; `LastStep` takes it where it has read all. This one is for models that were trained with the former.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> x = np.array([[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]])    # three steps of one sequence
    >>> fastlstm.TorchLastStep()(x, lengths=[2], bidirectional=True)
    array([[3., 4.]])
    """

    def _read(
        self, x: Array, sequences: Sequences, directions: Directions, weights: Weights
    ) -> tuple[Array, Spread]:
        some, _, last = sequences.ends()
        y = np.zeros(x.shape[1:], x.dtype)
        y[some] = x[last, some]

        def spread(dy: Array, dx: Array) -> None:
            dx[last, some] = dy[some]

        return y, spread


class MeanOverTime(Readout):
    """The mean over each sequence's steps.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.MeanOverTime()(np.array([[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]]), lengths=[2])
    array([[2., 3.]])
    """

    def _read(
        self, x: Array, sequences: Sequences, directions: Directions, weights: Weights
    ) -> tuple[Array, Spread]:
        real = sequences.real()[:, :, None]
        weight = (1 / np.maximum(sequences.steps, 1)).astype(x.dtype)[:, None]

        def spread(dy: Array, dx: Array) -> None:
            np.copyto(dx, dy * weight, where=real)

        return sums_over_time(x, real) * weight, spread


class MaxOverTime(Readout):
    """The maximum over each sequence's steps; of equal ones the first gets the gradient.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.MaxOverTime()(np.array([[[1.0, 4.0]], [[3.0, 2.0]], [[5.0, 6.0]]]), lengths=[2])
    array([[3., 4.]])
    """

    def _read(
        self, x: Array, sequences: Sequences, directions: Directions, weights: Weights
    ) -> tuple[Array, Spread]:
        empty = (sequences.steps == 0)[:, None]
        if not len(x):
            return np.zeros(x.shape[1:], x.dtype), lambda dy, dx: None
        at = np.where(sequences.real()[:, :, None], x, -np.inf).argmax(axis=0)[None]

        def spread(dy: Array, dx: Array) -> None:
            np.put_along_axis(dx, at, np.where(empty, 0, dy)[None], axis=0)

        return np.where(empty, 0, np.take_along_axis(x, at, axis=0)[0]), spread


class AttentionPool(Readout):
    """The mean over each sequence's steps, weighted by the softmax of a score that is learned: weight · x.

    The weight is that of a `torch.nn.Linear(size, 1, bias=False)`; a bias would change nothing.

    Parameters
    ----------
    size : int
        Of the last axis.
    dtype : {"float32", "float64"}, default "float32"
    rng : numpy.random.Generator, seed or None
        Draws the initial values, U(-1/sqrt(size), 1/sqrt(size)).

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> pool = fastlstm.AttentionPool(1, dtype="float64").update({"weight": [[1.0]]})
    >>> pool(np.log([[[1.0]], [[3.0]]])).round(3)       # shares of 1/4 and 3/4
    array([[0.824]])
    """

    _fixed = Readout._fixed | {"size", "dtype"}

    def __init__(self, size: int, *, dtype: DTypeLike = "float32", rng: Rng = None) -> None:
        self.size: Final = as_size(size, "size")
        self.dtype: Final = as_dtype(dtype)
        bound, generator = 1 / np.sqrt(self.size), as_generator(rng)
        self._draw_initial(
            [("weight", (1, self.size))],
            self.dtype,
            lambda name, shape: generator.uniform(-bound, bound, shape),
        )

    @property
    def _reads(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"AttentionPool({self.size})"

    def _scores(self, x: Array, weights: Weights) -> Array:
        """Return the score of each step, (T, B, 1)."""
        if weights.derived is None:
            weights.derived = Product(weights.arrays["weight"], np.zeros(1, self.dtype))
        packed: Product = weights.derived
        return packed.forward(np.ascontiguousarray(x.reshape(-1, self.size))).reshape(*x.shape[:2], 1)

    def _read(
        self, x: Array, sequences: Sequences, directions: Directions, weights: Weights
    ) -> tuple[Array, Spread]:
        real, weight = sequences.real()[:, :, None], weights.arrays["weight"]
        steps = np.where(real, x, 0).astype(self.dtype, copy=False)
        scores = np.where(real, self._scores(steps, weights), -np.inf)
        most = scores.max(axis=0, initial=np.finfo(self.dtype).min)
        shares = np.exp(scores - most)
        total = sums_over_time(shares, real)
        shares /= np.where(total > 0, total, 1)

        def spread(dy: Array, dx: Array) -> dict[str, Array]:
            d_shares = (steps * dy).sum(axis=2, keepdims=True)
            d_scores = shares * (d_shares - (shares * d_shares).sum(axis=0))
            dx[...] = shares * dy + d_scores * weight[0]
            return {"weight": np.einsum("tbo,tbn->on", d_scores, steps).astype(self.dtype, copy=False)}

        return sums_over_time(steps * shares, real), spread


def sums_over_time(x: Array, real: NDArray[np.bool_]) -> Array:
    """Return the sums (B, n) over each sequence's real steps, added one step after another."""
    if x.shape[2] > 1:
        sums: Array = x.sum(axis=0, where=real)
        return sums
    # With one column NumPy may sum pairwise, in an order that depends on the rest of the batch: a sequence
    # would have other bits alone than in a batch.
    steps = np.zeros((len(x) + 1, *x.shape[1:]), x.dtype)
    np.copyto(steps[1:], x, where=real)
    total: Array = np.add.accumulate(steps)[-1]
    return total
