"""What a batcher did, in numbers."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Histogram:
    """How often numbers fell between fixed bounds.

    Attributes
    ----------
    bounds : tuple of float
        Upper bounds, inclusive, rising.
    counts : tuple of int
        How many numbers lay at or under each bound and above the one before; one more, for those above all.
    total : float
        The sum of the numbers.

    Examples
    --------
    >>> from fastlstm.serve import Histogram
    >>> Histogram((0.1, 1.0), (5, 2, 0), 1.3).count
    7
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """How many numbers there were."""
        return sum(self.counts)


@dataclass(frozen=True)
class Metrics:
    """A batcher's numbers at one moment, since its first request in this process.

    Attributes
    ----------
    queued, running : int
        Sequences that wait, and those of the batch that runs.
    answered, failed, cancelled : int
        Sequences that got a result, an exception of their pass, or were given up while they waited.
    refused : int
        Sequences that found the queue full.
    batch_sizes : mapping of int to int
        How many batches of each size have run.
    latency : Histogram
        Seconds from `submit` to the result, of those that were answered.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.serve import Batcher
    >>> with Batcher(fastlstm.LSTM(3, 5, rng=0)) as batcher:
    ...     y = batcher.submit(np.ones((7, 3))).result()
    ...     metrics = batcher.metrics
    >>> metrics.answered, dict(metrics.batch_sizes), metrics.latency.count
    (1, {1: 1}, 1)
    """

    queued: int
    running: int
    answered: int
    failed: int
    cancelled: int
    refused: int
    batch_sizes: Mapping[int, int]
    latency: Histogram


class Counts:
    """The running counts behind `Metrics`; they are changed and read under the worker's lock."""

    def __init__(self) -> None:
        self.running = 0
        self.answered = 0
        self.failed = 0
        self.cancelled = 0
        self.refused = 0
        self._batch_sizes: Counter[int] = Counter()
        self._latencies = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0

    def begin(self, size: int) -> None:
        """Count a batch that begins."""
        self.running = size
        self._batch_sizes[size] += 1

    def end(self, latencies: Iterable[float], failed: int) -> None:
        """Count what became of a batch: answers and the seconds each took, and failures."""
        self.running = 0
        self.failed += failed
        for seconds in latencies:
            self.answered += 1
            self._latencies[bisect_left(BOUNDS, seconds)] += 1
            self._seconds += seconds

    def metrics(self, queued: int) -> Metrics:
        """Return the counts as they are now."""
        return Metrics(
            queued,
            self.running,
            self.answered,
            self.failed,
            self.cancelled,
            self.refused,
            MappingProxyType(dict(sorted(self._batch_sizes.items()))),
            Histogram(BOUNDS, tuple(self._latencies), self._seconds),
        )
