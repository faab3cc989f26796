"""From whatever X is to sequences: tables, arrays, lists of arrays, frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from .._arrays import Array
from ._base import LSTMEstimator


def as_sequences(estimator: LSTMEstimator, X: Any, *, reset: bool) -> list[Array]:
    """Return sequences (T_k, I) of float32; note what an estimator reads, or compare.

    Parameters
    ----------
    estimator : LSTMEstimator
        Has or gets `n_features_in_` and, from a frame, `feature_names_in_`.
    X : table, array, list of arrays or frame
        As `LSTMClassifier.fit` takes it.
    reset : bool
        Whether to note rather than to compare.

    Raises
    ------
    ValueError, TypeError
        If X is none of these, has numbers that are not finite, or is not as noted.
    """
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1:
        X = list(X)
    rows, lengths = _rows(X)
    is_table = lengths is None
    if reset:
        estimator._reads_table = is_table
    elif is_table != estimator._reads_table:
        kinds = {True: "a table (N, T) of univariate sequences", False: "sequences (T_k, I)"}
        raise ValueError(f"X: expected {kinds[not is_table]} as in fit, got {kinds[is_table]}")
    least = 1 if is_table else 0  # of a sequence all steps may be missing
    checked = validate_data(estimator, rows, reset=reset, dtype=np.float32, ensure_min_samples=least)
    if lengths is None:
        return list(checked[:, :, None])
    return np.split(checked, np.cumsum(lengths)[:-1])


def _rows(X: Any) -> tuple[Any, Sequence[int] | None]:
    """Return all steps of all sequences, and how many each has; a table as it is, and None."""
    if getattr(getattr(X, "index", None), "nlevels", 1) > 1:
        return _rows_of_frame(X)
    if isinstance(X, (list, tuple)) and len(X) and np.ndim(X[0]) == 2:
        return _rows_of_list([np.asarray(sequence) for sequence in X])
    axes = getattr(X, "ndim", 2)
    if axes > 3:
        expected = "a table (N, T), an array (N, T, I), a list of arrays (T_k, I) or a DataFrame"
        raise ValueError(f"X: expected {expected}, got shape {X.shape}")
    if axes == 3:
        return _rows_of_list(list(np.asarray(X)))
    return X, None


def _rows_of_list(sequences: list[Array]) -> tuple[Array, list[int]]:
    if not sequences:
        raise ValueError("X: expected at least one sequence, got none")
    for k, sequence in enumerate(sequences):
        if sequence.ndim != 2 or sequence.shape[1] != sequences[0].shape[1]:
            raise ValueError(f"X[{k}]: expected shape (T, {sequences[0].shape[1]}), got {sequence.shape}")
    return np.concatenate(sequences), [len(sequence) for sequence in sequences]


def _rows_of_frame(frame: Any) -> tuple[Any, Sequence[int]]:
    """Return a frame's rows: its sequences in the order they begin in, each by its steps."""
    if frame.index.nlevels != 2:
        raise ValueError(f"X: expected an index of two levels, (sequence, step), got {frame.index.nlevels}")
    if not len(frame):
        raise ValueError("X: expected at least one sequence, got none")
    sequence, _ = frame.index.get_level_values(0).factorize()
    step, _ = frame.index.get_level_values(1).factorize(sort=True)
    if min(sequence.min(), step.min()) < 0:
        raise ValueError("X: expected a sequence and a step in each row's index, got missing ones")
    return frame.iloc[np.lexsort((step, sequence))], np.bincount(sequence).tolist()
