"""What the service counts, in Prometheus's text form."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from streams import SharedPool

from fastlstm.serve import Batcher, Histogram


class Collector:
    """Reads the batcher's and the pool's own counts when Prometheus asks; nothing is counted twice."""

    def __init__(self, batcher: Batcher, shared: SharedPool) -> None:
        self._batcher = batcher
        self._shared = shared

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        counts = self._batcher.metrics
        yield GaugeMetricFamily("fastlstm_sequences_waiting", "Sequences in the queue", counts.waiting)
        ended = CounterMetricFamily("fastlstm_sequences", "Sequences by how they ended", labels=["result"])
        for result in ("answered", "failed", "cancelled", "refused"):
            ended.add_metric([result], getattr(counts, result))
        yield ended
        yield _family("fastlstm_batch_size", "Sequences that ran together", counts.batch_sizes)
        yield _family("fastlstm_latency_seconds", "From submission to result", counts.latency)
        pool = self._shared.pool
        yield GaugeMetricFamily("fastlstm_streams_open", "Open streams", len(pool))
        yield GaugeMetricFamily("fastlstm_streams_capacity", "Most open streams", pool.capacity)
        yield CounterMetricFamily("fastlstm_stream_frames", "Frames of all streams", self._shared.frames)


def registry(batcher: Batcher, shared: SharedPool) -> CollectorRegistry:
    """Return a registry of its own, so that a process may have several services."""
    made = CollectorRegistry()
    made.register(Collector(batcher, shared))
    return made


def _family(name: str, text: str, histogram: Histogram) -> HistogramMetricFamily:
    buckets, total = [], 0
    for bound, count in zip([*map(str, histogram.bounds), "+Inf"], histogram.counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.sum)
