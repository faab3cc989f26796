"""LSTMs in a server: whole sequences from many callers, run as batches."""

from .batcher import Batcher
from .metrics import Histogram, Metrics
from .worker import QueueFull

__all__ = ["Batcher", "Histogram", "Metrics", "QueueFull"]
