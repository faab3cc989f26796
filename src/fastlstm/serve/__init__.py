"""Models inside servers: whole sequences that come one by one, answered in batches."""

from .batcher import Batcher
from .metrics import Histogram, Metrics
from .worker import QueueFull

__all__ = ["Batcher", "Histogram", "Metrics", "QueueFull"]
