"""Whole sequences that a model reads: checked, and side by side in padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .base import Model
from .checks import Array, as_integers, as_numbers, check_not_packed

Numbers = NDArray[Any]
Indices = NDArray[np.int64]


class WholeSequences:
    """Sequences (T_k, I), or (T_k,) of indices, as one model reads them.

    Parameters
    ----------
    x : array (N, T, I), or list of N arrays (T_k, I); without I for indices
    model : Model
    name : str
        Of the argument, for errors.

    Raises
    ------
    ValueError, TypeError
        If x is something else.
    """

    def __init__(self, x: ArrayLike | Sequence[ArrayLike], model: Model, name: str) -> None:
        self.arrays = as_sequences(x, name, model.reads_indices)
        self.lengths = np.array([len(array) for array in self.arrays], np.int64)
        self.batch_first = model.batch_first

    def __len__(self) -> int:
        return len(self.arrays)

    def padded(self, chosen: Indices) -> tuple[Numbers, Indices | None]:
        """Return some of them side by side, and their lengths; None where all have as many steps."""
        lengths = self.lengths[chosen]
        dense = len(chosen) > 0 and (lengths == lengths[0]).all()
        return pad(self.arrays, chosen, self.batch_first), None if dense else lengths

    def by_length(self, batch_size: int) -> list[Indices]:
        """Return all of them in batches of like lengths, the shortest first."""
        return pieces(self.sorted(np.arange(len(self))), batch_size)

    def sorted(self, chosen: Indices) -> Indices:
        """Return some of them from the shortest to the longest."""
        return chosen[np.argsort(self.lengths[chosen], kind="stable")]


def pieces(order: Indices, size: int) -> list[Indices]:
    """Return an array cut into pieces of that size, the last as long as it is."""
    return [order[first : first + size] for first in range(0, len(order), size)]


def pad(arrays: Sequence[Numbers], chosen: Sequence[int] | Indices, batch_first: bool) -> Numbers:
    """Return some of arrays (T_k, ...) as one, (T, B, ...) or (B, T, ...), with zeros past their ends."""
    some = [arrays[k] for k in chosen]
    T, B = max(map(len, some), default=0), len(some)
    dtype = np.result_type(*some) if some else arrays[0].dtype
    padded = np.zeros((B, T, *arrays[0].shape[1:]) if batch_first else (T, B, *arrays[0].shape[1:]), dtype)
    by_sequence = padded if batch_first else padded.swapaxes(0, 1)
    for row, array in zip(by_sequence, some, strict=True):
        row[: len(array)] = array
    return padded


def unpad(padded: Array, lengths: Indices | None, batch_first: bool) -> list[Array]:
    """Undo `pad`: copies of each sequence's own steps."""
    by_sequence = padded if batch_first else padded.swapaxes(0, 1)
    ends = [by_sequence.shape[1]] * len(by_sequence) if lengths is None else lengths
    return [sequence[:end].copy() for sequence, end in zip(by_sequence, ends, strict=True)]


# Checks


def as_sequences(x: ArrayLike | Sequence[ArrayLike], name: str, indices: bool) -> list[Numbers]:
    """Return sequences (T_k, I), or (T_k,) of indices; ValueError or TypeError if they are none."""
    arrays = items(x, name, _as_indices if indices else _as_steps)
    if not arrays:
        raise ValueError(f"{name}: expected at least one sequence, got none")
    for k, array in enumerate(arrays):
        size = arrays[0].shape[1] if k and not indices else None
        _check_axes(array, f"{name}[{k}]", indices, size)
    return arrays


def as_sequence(x: ArrayLike, name: str, indices: bool, size: int | None) -> Numbers:
    """Return one sequence (T, size), or (T,) of indices; ValueError or TypeError if it is none."""
    array = (_as_indices if indices else _as_steps)(x, name)
    _check_axes(array, name, indices, size)
    return array


def items(values: Any, name: str, as_array: Any) -> list[Numbers]:
    """Return the checked arrays of a list, or the parts of a checked array along its first axis."""
    check_not_packed(values, name)
    if isinstance(values, (list, tuple)):
        return [as_array(value, f"{name}[{k}]") for k, value in enumerate(values)]
    whole = as_array(values, name)
    if whole.ndim == 0:
        raise ValueError(f"{name}: expected one for each sequence, got a single number")
    return list(whole)


def _check_axes(array: Numbers, name: str, indices: bool, size: int | None) -> None:
    """Raise ValueError unless an array is (T,) of indices, or (T, size); of any size if that is None."""
    if array.ndim != (1 if indices else 2) or (size is not None and array.shape[1] != size):
        shape = "(T,)" if indices else f"(T, {'I' if size is None else size})"
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")


def _as_indices(value: ArrayLike, name: str) -> Numbers:
    """Return what an `Embedding` reads."""
    array = as_numbers(value, name)
    if array.dtype.kind == "f" and array.size:
        expected = "an array of integers, as the model begins with an Embedding"
        raise TypeError(f"{name}: expected {expected}, got dtype {array.dtype}")
    return array if array.size else as_integers(value, name)


def _as_steps(value: ArrayLike, name: str) -> Numbers:
    """Return what any other layer reads."""
    array = as_numbers(value, name)
    if array.dtype.kind == "i":
        indices = "indices are for a model that begins with an Embedding, numbers need .astype(float)"
        raise TypeError(f"{name}: expected an array of floats, got dtype {array.dtype}: {indices}")
    return array
