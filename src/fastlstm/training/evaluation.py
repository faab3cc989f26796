"""A model's loss for whole sets of sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..model.base import Model
from ..model.checks import Array, as_size
from ..model.sequences import unpad
from .objective import Loss, Objective, as_bptt
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
    mean, _ = assess(objective, samples, as_size(batch_size, "batch_size"), as_bptt(bptt, objective))
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
    return unpad(y, batch.output_lengths, batch.batch_first) if batch.by_step else list(y)
