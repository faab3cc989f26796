"""A model's outputs and loss for whole sets of sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array, as_size
from ..ragged import apart
from .objective import Loss, Model, Objective, run
from .samples import Batch, Samples


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
    for chosen in by_length(samples, as_size(batch_size, "batch_size")):
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
    total, count, _ = assess(objective, samples, as_size(batch_size, "batch_size"), bptt)
    return total / count if count else 0.0


def assess(
    objective: Objective, samples: Samples, batch_size: int, bptt: int | None, outputs: bool = False
) -> tuple[float, float, list[Array]]:
    """Return the sum of a loss over all targets, how much they count, and, if asked for, the outputs."""
    total, counts = 0.0, 0.0
    kept: list[Any] = [[] for _ in range(len(samples))]
    for chosen in by_length(samples, batch_size):
        state: Any = None
        for batch in samples.batch(chosen).windows(bptt):
            value, y, state = objective.evaluate(batch, state)
            total += value * batch.count
            counts += batch.count
            if outputs:
                for k, output in zip(chosen, outputs_by_sequence(y, batch), strict=True):
                    kept[k].append(output)
    if not outputs:
        return total, counts, []
    return total, counts, [np.concatenate(parts) if samples.by_step else parts[0] for parts in kept]


def by_length(samples: Samples, batch_size: int) -> list[Any]:
    """Return all sequences in batches of like lengths."""
    order = np.argsort(samples.lengths, kind="stable")
    return [order[first : first + batch_size] for first in range(0, len(order), batch_size)]


def outputs_by_sequence(y: Array, batch: Batch) -> list[Array]:
    """Return each sequence's own output, without what is past its end."""
    if not batch.by_step:
        return [output.copy() for output in y]
    return apart(y, batch.lengths, batch.batch_first)
