"""Sequences and their targets, as batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..model.base import Model
from ..model.checks import Array, as_numbers, check_nonnegative
from ..model.sequences import Indices, Numbers, WholeSequences, items, pad, pieces

POOL = 8
"""Batches of like lengths are made from the sequences of so many batches, drawn at random."""


@dataclass(frozen=True)
class Batch:
    """Some sequences side by side, in the model's layout.

    Attributes
    ----------
    x : array (T, B, ...) or (B, T, ...)
    target : array (T, B, ...) or (B, T, ...); (B, ...) after a readout; (B, S) of labels
    lengths : (B,), or None where all sequences have T steps
    output_lengths : (B,), or None where all outputs have as many steps
        What the model's layers leave of `lengths`.
    sample_weight : (B,), optional
    label_counts : (B,), optional
        Of labels, how many each sequence has.
    batch_first : bool
    """

    x: Numbers
    target: Numbers
    lengths: Indices | None
    output_lengths: Indices | None
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
        steps = self.target.shape[1 if self.batch_first else 0]
        return float(
            weights @ (np.full(self.B, steps) if self.output_lengths is None else self.output_lengths)
        )

    def between(self, first: int, last: int) -> Batch:
        """Return the same sequences with those steps alone; their targets are by step."""
        part = slice(first, last)
        index = (slice(None), part) if self.batch_first else (part,)
        lengths = None if self.lengths is None else np.clip(self.lengths - first, 0, last - first)
        return replace(
            self, x=self.x[index], target=self.target[index], lengths=lengths, output_lengths=lengths
        )

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

    def __init__(self, data: Sequence[Any], model: Model, labels: bool = False, name: str = "data") -> None:
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise TypeError(f"{name}: expected (x, y) or (x, y, sample_weight), got {kind_of(data)}")
        self._labels = labels
        self._by_vector = model.has_readout
        self.by_step = not (model.has_readout or labels)
        self._sequences = WholeSequences(data[0], model, f"{name} x")
        self.x, self.lengths = self._sequences.arrays, self._sequences.lengths
        self._lengths_after = model.lengths_after
        self.targets: Sequence[Numbers] = []
        if data[1] is not None:
            counts = self._lengths_after(self.lengths) if self.by_step else self.lengths
            self.targets = _targets(data[1], f"{name} y", counts, self.by_step, labels)
        self.sample_weight: Array | None = None
        if len(data) == 3 and data[2] is not None:
            self.sample_weight = _sample_weight(data[2], f"{name} sample_weight", len(self))

    def __len__(self) -> int:
        return len(self.x)

    def plan(self, batch_size: int, rng: np.random.Generator | None) -> list[Indices]:
        """Return which sequences go together: as they come, or at random among those of like lengths."""
        if rng is None:
            return pieces(np.arange(len(self)), batch_size)
        pools = pieces(rng.permutation(len(self)), POOL * batch_size)
        batches = pieces(np.concatenate([self._sequences.sorted(pool) for pool in pools]), batch_size)
        rng.shuffle(batches)
        return batches

    def by_length(self, batch_size: int) -> list[Indices]:
        """Return all sequences in batches of like lengths, the shortest first."""
        return self._sequences.by_length(batch_size)

    def batch(self, chosen: Indices) -> Batch:
        """Return these sequences side by side."""
        x, lengths = self._sequences.padded(chosen)
        batch_first = self._sequences.batch_first
        counts = None
        if not self.targets:
            target = np.zeros(0)
        elif self._labels:
            counts = np.array([len(self.targets[k]) for k in chosen], np.int64)
            target = pad(self.targets, chosen, batch_first=True)
        elif self.by_step:
            target = pad(self.targets, chosen, batch_first)
        else:
            # An empty share of a batch still has its targets' shape and dtype.
            target = np.stack([self.targets[k] for k in chosen] or [self.targets[0]])[: len(chosen)]
        return Batch(
            x,
            target,
            lengths,
            None if lengths is None or self._by_vector else self._lengths_after(lengths),
            None if self.sample_weight is None else self.sample_weight[chosen],
            counts,
            batch_first,
            self.by_step,
        )


def kind_of(value: object) -> str:
    """Return what a value is, for a sentence: of a tuple or list also how long."""
    length = f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
    return f"{type(value).__name__}{length}"


def _targets(y: Any, name: str, lengths: Indices, by_step: bool, labels: bool) -> list[Numbers]:
    """Return a target for each sequence."""
    parts = items(y, name, as_numbers)
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
    weights = as_numbers(value, name, (count,))
    check_nonnegative(weights, name)
    if not weights.any():
        raise ValueError(f"{name}: expected a number above 0 among them, got zeros alone")
    return weights.astype(np.float64)
