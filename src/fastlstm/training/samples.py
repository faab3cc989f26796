"""Sequences and their targets, as batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import Array, as_floats, as_integers, check_nonnegative, check_shape
from ..ragged import side_by_side

Numbers = NDArray[Any]
Indices = NDArray[np.int64]

POOL = 8
"""From how many batches' worth of sequences, drawn at random, batches of like lengths are made."""


class Reads(Protocol):
    """What of a model decides how its batches are laid out."""

    batch_first: bool
    reads_indices: bool
    has_readout: bool


@dataclass(frozen=True)
class Batch:
    """Some sequences side by side, in the model's layout.

    Attributes
    ----------
    x : array (T, B, ...) or (B, T, ...)
    target : array (T, B, ...) or (B, T, ...); (B, ...) after a readout; (B, S) of labels
    lengths : (B,), or None where all sequences have T steps
    sample_weight : (B,), optional
    label_counts : (B,), optional
        Of labels, how many each sequence has.
    batch_first : bool
    """

    x: Numbers
    target: Numbers
    lengths: Indices | None
    sample_weight: Array | None
    label_counts: Indices | None
    batch_first: bool
    by_step: bool

    @property
    def T(self) -> int:
        """How many steps the arrays have."""
        return int(self.x.shape[1 if self.batch_first else 0])

    @property
    def B(self) -> int:
        """How many sequences there are."""
        return int(self.x.shape[0 if self.batch_first else 1])

    @property
    def steps(self) -> int:
        """How many real steps there are."""
        return self.T * self.B if self.lengths is None else int(self.lengths.sum())

    @property
    def count(self) -> float:
        """How much the batch counts beside others: its targets, each times its sequence's weight."""
        weights = np.ones(self.B) if self.sample_weight is None else self.sample_weight
        if not self.by_step:
            return float(weights.sum())
        return float(weights @ (np.full(self.B, self.T) if self.lengths is None else self.lengths))

    def between(self, first: int, last: int) -> Batch:
        """Return the same sequences with those steps alone; their targets are by step."""
        part = slice(first, last)
        index = (slice(None), part) if self.batch_first else (part,)
        lengths = None if self.lengths is None else np.clip(self.lengths - first, 0, last - first)
        return replace(self, x=self.x[index], target=self.target[index], lengths=lengths)

    def windows(self, steps: int | None) -> Iterator[Batch]:
        """Yield the batch `steps` steps at a time; whole, if None."""
        if steps is None or steps >= self.T:
            yield self
            return
        for first in range(0, self.T, steps):
            yield self.between(first, min(first + steps, self.T))


class Samples:
    """Checked sequences and targets, from which batches are made.

    Parameters
    ----------
    data : (x, y) or (x, y, sample_weight)
        As `fastlstm.fit` takes them; y None if there are no targets.
    model : LSTM, RNN or Sequential
    labels : bool
        Whether targets are label sequences of lengths of their own.
    name : str
        Of the argument, for errors.

    Raises
    ------
    ValueError, TypeError
        If something does not fit.
    """

    def __init__(self, data: Sequence[Any], model: Reads, labels: bool = False, name: str = "data") -> None:
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise TypeError(f"{name}: expected (x, y) or (x, y, sample_weight), got {_kind(data)}")
        self._batch_first = model.batch_first
        self._labels = labels
        self.by_step = not (model.has_readout or labels)
        self.x = _sequences(data[0], f"{name} x", model.reads_indices)
        self.lengths = np.array([len(sequence) for sequence in self.x], np.int64)
        self.targets: Sequence[Numbers] = []
        if data[1] is not None:
            self.targets = _targets(data[1], f"{name} y", self.lengths, self.by_step, labels)
        self.sample_weight: Array | None = None
        if len(data) == 3 and data[2] is not None:
            self.sample_weight = _sample_weight(data[2], f"{name} sample_weight", len(self))

    def __len__(self) -> int:
        return len(self.x)

    def plan(self, batch_size: int, rng: np.random.Generator | None) -> list[Indices]:
        """Return which sequences go together: as they come, or at random among those of like lengths."""
        if rng is None:
            return _pieces(np.arange(len(self)), batch_size)
        pools = _pieces(rng.permutation(len(self)), POOL * batch_size)
        batches = _pieces(np.concatenate([self._sorted(pool) for pool in pools]), batch_size)
        rng.shuffle(batches)
        return batches

    def by_length(self, batch_size: int) -> list[Indices]:
        """Return all sequences in batches of like lengths, the shortest first."""
        return _pieces(self._sorted(np.arange(len(self))), batch_size)

    def _sorted(self, chosen: Indices) -> Indices:
        return chosen[np.argsort(self.lengths[chosen], kind="stable")]

    def batch(self, chosen: Indices) -> Batch:
        """Return these sequences side by side."""
        lengths = self.lengths[chosen]
        dense = len(chosen) > 0 and (lengths == lengths[0]).all()
        counts = None
        if not self.targets:
            target = np.zeros(0)
        elif self._labels:
            counts = np.array([len(self.targets[k]) for k in chosen], np.int64)
            target = side_by_side([self.targets[k] for k in chosen], True)
        elif self.by_step:
            target = self._padded(self.targets, chosen)
        else:
            # An empty share of a batch still has its targets' shape and dtype.
            target = np.stack([self.targets[k] for k in chosen] or [self.targets[0]])[: len(chosen)]
        return Batch(
            self._padded(self.x, chosen),
            target,
            None if dense else lengths,
            None if self.sample_weight is None else self.sample_weight[chosen],
            counts,
            self._batch_first,
            self.by_step,
        )

    def _padded(self, arrays: Sequence[Numbers], chosen: Indices) -> Numbers:
        if not len(chosen):
            axes = (0, 1) if self._batch_first else (1, 0)
            return np.zeros((*axes, *arrays[0].shape[1:]), arrays[0].dtype)
        return side_by_side([arrays[k] for k in chosen], self._batch_first)


def _pieces(order: Indices, size: int) -> list[Indices]:
    """Return an array cut into pieces of that size, the last as long as it is."""
    return [order[first : first + size] for first in range(0, len(order), size)]


def _kind(value: object) -> str:
    length = f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
    return f"{type(value).__name__}{length}"


def _sequences(x: ArrayLike | Sequence[ArrayLike], name: str, indices: bool) -> list[Numbers]:
    """Return sequences (T_k, I), or (T_k,) of indices."""
    as_array = as_integers if indices else as_floats
    parts = _items(x, name, as_array)
    if not parts:
        raise ValueError(f"{name}: expected at least one sequence, got none")
    axes, shape = (1, "(T,)") if indices else (2, "(T, I)")
    for k, part in enumerate(parts):
        if part.ndim != axes or part.shape[1:] != parts[0].shape[1:]:
            expected = f"(T, {parts[0].shape[1]})" if k and not indices and parts[0].ndim == 2 else shape
            raise ValueError(f"{name}[{k}]: expected shape {expected}, got {part.shape}")
    return parts


def _items(values: Any, name: str, as_array: Any) -> list[Numbers]:
    """Return the parts of a list of arrays, or of an array along its first axis."""
    if isinstance(values, (list, tuple)):
        return [as_array(value, f"{name}[{k}]") for k, value in enumerate(values)]
    whole = as_array(values, name)
    if whole.ndim == 0:
        raise ValueError(f"{name}: expected one for each sequence, got a single number")
    return list(whole)


def _numbers(value: ArrayLike, name: str) -> Numbers:
    """Return integers or floats as they are."""
    array = np.asarray(value)
    return as_integers(array, name) if array.dtype.kind in "iu" else as_floats(array, name)


def _targets(y: Any, name: str, lengths: Indices, by_step: bool, labels: bool) -> list[Numbers]:
    """Return a target for each sequence."""
    parts = _items(y, name, _numbers)
    if len(parts) != len(lengths):
        raise ValueError(f"{name}: expected one for each of {len(lengths)} sequences, got {len(parts)}")
    for k, part in enumerate(parts):
        if labels:
            fits, expected = part.ndim == 1, "labels (S,)"
        elif by_step:
            rest = parts[0].shape[1:]
            fits = part.shape[:1] == (lengths[k],) and part.shape[1:] == rest
            expected = f"a target for each of {lengths[k]} steps{f', of shape {rest}' if k and rest else ''}"
        else:
            fits, expected = part.shape == parts[0].shape, f"shape {parts[0].shape} as the first"
        if not fits:
            raise ValueError(f"{name}[{k}]: expected {expected}, got shape {part.shape}")
        if part.dtype.kind != parts[0].dtype.kind:
            raise TypeError(f"{name}[{k}]: expected {parts[0].dtype} as the first, got {part.dtype}")
    return parts


def _sample_weight(value: ArrayLike, name: str, count: int) -> Array:
    weights = _numbers(value, name)
    check_shape(weights, name, (count,))
    check_nonnegative(weights, name)
    return weights.astype(np.float64)
