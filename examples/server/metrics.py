"""GET /metrics: the batcher's and the streams' numbers in Prometheus's text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from streams import Streams

from fastlstm.serve import Batcher

SIZES = [2**k for k in range(11)]


class Collector:
    """Asks batcher and streams whenever Prometheus asks."""

    def __init__(self, batcher: Batcher, streams: Streams | None) -> None:
        self._batcher = batcher
        self._streams = streams

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        now = self._batcher.metrics
        yield GaugeMetricFamily("fastlstm_queued", "Sequences that wait", now.queued)
        yield GaugeMetricFamily("fastlstm_running", "Sequences of the batch that runs", now.running)
        ends = CounterMetricFamily("fastlstm_sequences", "What became of sequences", labels=["end"])
        for end in ("answered", "failed", "cancelled", "refused"):
            ends.add_metric([end], getattr(now, end))
        yield ends
        latency = now.latency
        yield histogram(
            "fastlstm_latency_seconds",
            "From queue to result",
            latency.bounds,
            latency.counts,
            latency.total,
        )
        yield sizes("fastlstm_batch_size", "Sequences that ran together", now.batch_sizes)
        if self._streams is not None:
            pool = self._streams.pool
            yield GaugeMetricFamily("fastlstm_streams_open", "Streams that are open", len(pool))
            yield GaugeMetricFamily("fastlstm_streams_capacity", "Streams that may be open", pool.capacity)
            yield sizes("fastlstm_frames", "Frames that ran together", self._streams.batch_sizes)


def sizes(name: str, text: str, counted: Mapping[int, int]) -> HistogramMetricFamily:
    """Return a histogram of how often each size came."""
    counts = [0] * (len(SIZES) + 1)
    for size, times in counted.items():
        counts[sum(bound < size for bound in SIZES)] += times
    return histogram(name, text, SIZES, counts, sum(size * times for size, times in counted.items()))


def histogram(
    name: str, text: str, bounds: Sequence[float], counts: Iterable[int], total: float
) -> HistogramMetricFamily:
    """Return a histogram with Prometheus's running sums for the counts between bounds."""
    names = [*(str(float(bound)) for bound in bounds), "+Inf"]
    buckets = list(zip(names, accumulate(counts), strict=True))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=total)


def metrics_route(batcher: Batcher, streams: Streams | None) -> Route:
    """Return the route for Prometheus."""
    registry = CollectorRegistry()
    registry.register(Collector(batcher, streams))

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Route("/metrics", metrics)
