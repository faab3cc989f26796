"""A model's outputs and loss for whole sets of sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array, as_size
from ..ragged import apart
from .objective import Loss, Model, Objective, run
from .samples import Batch, Samples


@dataclass
class LossSums:
    """The loss of many targets, some at a time."""

    total: float = 0.0
    count: float = 0.0

    def add(self, total: float, count: float) -> None:
        """Add some targets' loss, and how much they count."""
        self.total += total
        self.count += count

    @property
    def mean(self) -> float:
        """The mean over all; 0 where nothing counts."""
        return self.total / self.count if self.count else 0.0


def predict(model: Model, x: ArrayLike | Sequence[ArrayLike], *, batch_size: int = 64) -> Array | list[Array]:
    """Return a model's output for each sequence.

    Parameters
    ----------
    model : LSTM, RNN or Sequential
    x : array (N, T, I), or list of N arrays (T_k, I)
        As `fastlstm.fit` takes it.
    batch_size : int, default 64
        How many run together; of no influence on a single bit.

    Returns
    -------
    array (N, ...) after a readout, else list of N arrays (T_k, ...)

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.training import predict
    >>> model = fastlstm.Sequential(fastlstm.LSTM(3, 5, rng=0), fastlstm.LastStep(), fastlstm.Linear(5, 2))
    >>> predict(model, [np.ones((7, 3)), np.ones((4, 3))]).shape
    (2, 2)
    """
    samples = Samples((x, None), model)
    outputs: list[Any] = [None] * len(samples)
    for chosen in samples.by_length(as_size(batch_size, "batch_size")):
        batch = samples.batch(chosen)
        y, _ = run(model, batch, None)
        for k, output in zip(chosen, outputs_by_sequence(y, batch), strict=True):
            outputs[k] = output
    return np.stack(outputs) if model.has_readout else outputs


def evaluate(
    model: Model,
    data: Sequence[Any],
    loss: Loss,
    *,
    batch_size: int = 64,
    bptt: int | None = None,
) -> float:
    """Return a model's loss in evaluation: the mean over all targets.

    Parameters
    ----------
    model, data, loss
        As `fastlstm.fit` takes them.
    batch_size : int, default 64
    bptt : int, optional
        How many steps of long sequences run at a time; of no influence but on memory.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.training import evaluate, mean_squared_error
    >>> model = fastlstm.Sequential(fastlstm.LSTM(3, 5, rng=0), fastlstm.LastStep())
    >>> evaluate(model, (np.zeros((2, 4, 3)), np.ones((2, 5))), mean_squared_error) > 0
    True
    """
    objective = Objective(model, loss)
    samples = Samples(data, model, objective.labels)
    mean, _ = assess(objective, samples, as_size(batch_size, "batch_size"), bptt)
    return mean


def assess(
    objective: Objective, samples: Samples, batch_size: int, bptt: int | None, outputs: bool = False
) -> tuple[float, list[Array]]:
    """Return the mean of a loss over all targets and, if asked for, the outputs by sequence."""
    sums = LossSums()
    kept: list[Any] = [[] for _ in range(len(samples))]
    for chosen in samples.by_length(batch_size):
        state: Any = None
        for batch in samples.batch(chosen).windows(bptt):
            value, y, state = objective.evaluate(batch, state)
            count = batch.count
            sums.add(value * count, count)
            if outputs:
                for k, output in zip(chosen, outputs_by_sequence(y, batch), strict=True):
                    kept[k].append(output)
    if not outputs:
        return sums.mean, []
    return sums.mean, [np.concatenate(parts) if samples.by_step else parts[0] for parts in kept]


def outputs_by_sequence(y: Array, batch: Batch) -> list[Array]:
    """Return each sequence's own output, without what is past its end."""
    return apart(y, batch.lengths, batch.batch_first) if batch.by_step else list(y)
