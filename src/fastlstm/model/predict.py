"""A model's outputs for whole sets of sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .base import Model, check_model
from .checks import Array, as_size
from .sequences import Indices, WholeSequences, unpad


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
    check_model(model)
    sequences = WholeSequences(x, model, "data x")
    outputs: list[Any] = [None] * len(sequences)
    for chosen in sequences.by_length(as_size(batch_size, "batch_size")):
        padded, lengths = sequences.padded(chosen)
        y, _ = model.run(padded, lengths=lengths)
        by_sequence = list(y) if model.has_readout else _by_sequence(model, y, lengths)
        for k, output in zip(chosen, by_sequence, strict=True):
            outputs[k] = output
    return np.stack(outputs) if model.has_readout else outputs


def _by_sequence(model: Model, y: Array, lengths: Indices | None) -> list[Array]:
    """Return each sequence's own steps of y."""
    return unpad(y, None if lengths is None else model.lengths_after(lengths), model.batch_first)
