"""From whatever X is to the steps of its sequences: tables, arrays, lists of arrays, frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..model.checks import Array, _as_array


@dataclass(frozen=True)
class Rows:
    """All steps of all sequences.

    Attributes
    ----------
    values : array or frame
        A row for each step; of a table, a row for each sequence.
    lengths : sequence of int, or None
        How many steps each sequence has; None for a table.
    named : Any
        What has the columns' names, if anything has.
    """

    values: Any
    lengths: Sequence[int] | None
    named: Any

    @property
    def is_table(self) -> bool:
        """Whether each row is a sequence of one number a step."""
        return self.lengths is None

    def cut(self, checked: Array) -> list[Array]:
        """Return sequences (T_k, I) of the values, as they are after a check."""
        if self.lengths is None:
            return list(checked[:, :, None])
        return np.split(checked, np.cumsum(self.lengths)[:-1])

    def check_kind(self, is_table: bool) -> None:
        """Raise ValueError unless these are rows of a table, or of sequences, as fit had."""
        if self.is_table != is_table:
            kinds = {True: "a table (N, T) of univariate sequences", False: "sequences (T_k, I)"}
            raise ValueError(f"X: expected {kinds[is_table]} as in fit, got {kinds[self.is_table]}")


def rows_of(X: Any) -> Rows:
    """Return the steps of whatever X is; ValueError or TypeError if it is nothing of the kind."""
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1:
        X = list(X)
    if getattr(getattr(X, "index", None), "nlevels", 1) > 1:
        return _of_frame(X)
    if isinstance(X, (list, tuple)) and len(X) and _as_array(X[0], "X[0]").ndim == 2:
        return _of_list(X)
    axes = getattr(X, "ndim", 2)
    if axes > 3:
        expected = "a table (N, T), an array (N, T, I), a list of arrays (T_k, I) or a DataFrame"
        raise ValueError(f"X: expected {expected}, got shape {X.shape}")
    if axes == 3:
        return _of_list(list(_as_array(X, "X")))
    return Rows(X, None, X)


def _of_list(sequences: Sequence[Any]) -> Rows:
    if not sequences:
        raise ValueError("X: expected at least one sequence, got none")
    _check_same_columns(sequences)
    arrays = [_as_array(sequence, f"X[{k}]") for k, sequence in enumerate(sequences)]
    for k, array in enumerate(arrays):
        if array.ndim != 2 or array.shape[1] != arrays[0].shape[1]:
            raise ValueError(f"X[{k}]: expected shape (T, {arrays[0].shape[1]}), got {array.shape}")
    return Rows(np.concatenate(arrays), [len(array) for array in arrays], sequences[0])


def _check_same_columns(sequences: Sequence[Any]) -> None:
    """Raise ValueError unless all sequences are frames of the same columns, or none is a frame."""
    columns = [getattr(sequence, "columns", None) for sequence in sequences]
    first = _listed(columns[0])
    for k, own in enumerate(map(_listed, columns)):
        if own != first:
            raise ValueError(f"X[{k}]: expected {_told(first)} as X[0] has, got {_told(own)}")


def _listed(columns: Any) -> list[Any] | None:
    return None if columns is None else list(columns)


def _told(columns: list[Any] | None) -> str:
    return "no columns' names" if columns is None else f"the columns {', '.join(map(str, columns))}"


def _of_frame(frame: Any) -> Rows:
    """Return a frame's rows: its sequences in the order they begin in, each by its steps."""
    if frame.index.nlevels != 2:
        raise ValueError(f"X: expected an index of two levels, (sequence, step), got {frame.index.nlevels}")
    if not len(frame):
        raise ValueError("X: expected at least one sequence, got none")
    sequence, _ = frame.index.get_level_values(0).factorize()
    step, _ = frame.index.get_level_values(1).factorize(sort=True)
    if min(sequence.min(), step.min()) < 0:
        raise ValueError("X: expected a sequence and a step in each row's index, got missing ones")
    sorted_frame = frame.iloc[np.lexsort((step, sequence))]
    return Rows(sorted_frame, np.bincount(sequence).tolist(), sorted_frame)
