"""What a batcher counts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


@dataclass
class Histogram:
    """How many values fell in which bucket.

    Attributes
    ----------
    bounds : sequence of float
        The buckets' upper ends, inclusive.
    counts : list of int
        One for each bucket, and a last one for what is above all.
    sum : float
        Of all values.

    Examples
    --------
    >>> from fastlstm.serve import Histogram
    >>> histogram = Histogram([1.0, 10.0])
    >>> for value in (0.5, 1.0, 3.0, 99.0):
    ...     histogram.add(value)
    >>> histogram.counts, histogram.sum, histogram.quantile(0.5)
    ([2, 1, 1], 103.5, 1.0)
    """

    bounds: Sequence[float]
    counts: list[int] = field(default_factory=list)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def quantile(self, q: float) -> float:
        """Return the upper end of the bucket in which that share of the values is reached."""
        wanted, seen = q * sum(self.counts), 0
        for bound, count in zip([*self.bounds, float("inf")], self.counts, strict=True):
            seen += count
            if seen >= wanted:
                return bound
        return float("inf")

    def copy(self) -> Histogram:
        """Return another one that stays as it is."""
        return Histogram(self.bounds, list(self.counts), self.sum)


@dataclass
class Metrics:
    """What a batcher has done so far, at one moment.

    Attributes
    ----------
    waiting : int
        How many sequences wait to be run.
    answered, failed, cancelled, refused : int
        How many got their result; an exception of the pass; were cancelled by their callers while they
        waited; found the queue full.
    batch_sizes : Histogram
        How many sequences ran together.
    latency : Histogram
        Seconds from submission to result.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.serve import Batcher
    >>> with Batcher(fastlstm.LSTM(3, 5, rng=0)) as batcher:
    ...     _ = batcher.submit(np.ones((7, 3))).result()
    >>> batcher.metrics.answered
    1
    """

    waiting: int = 0
    answered: int = 0
    failed: int = 0
    cancelled: int = 0
    refused: int = 0
    batch_sizes: Histogram = field(default_factory=lambda: Histogram(SIZES))
    latency: Histogram = field(default_factory=lambda: Histogram(SECONDS))

    def copy(self, waiting: int) -> Metrics:
        """Return another one that stays as it is."""
        sizes, latency = self.batch_sizes.copy(), self.latency.copy()
        return replace(self, waiting=waiting, batch_sizes=sizes, latency=latency)
