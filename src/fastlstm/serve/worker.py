"""The thread behind a batcher, and the line of requests that it works off."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import Array
from ..ragged import apart, side_by_side
from ..recurrent import LSTM, RNN
from ..sequential import Sequential
from .metrics import Metrics

Model = LSTM | RNN | Sequential

MOST_PADDED = 1 << 24
"""How many numbers a batch's input may have with its padding, if it has more than one sequence."""


class QueueFull(RuntimeError):
    """More sequences wait than the queue may hold: the server can't keep up.

    Examples
    --------
    >>> from fastlstm.serve import QueueFull
    >>> issubclass(QueueFull, RuntimeError)
    True
    """


@dataclass
class Request:
    """A sequence, and where its result goes."""

    x: NDArray[Any]
    future: Future[Array] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class Line:
    """Requests in the order they came, and what is known about them; safe from any thread.

    It knows nothing of the batcher that fills it, so that a batcher which nobody holds any more can go.
    """

    def __init__(self, model: Model, max_batch: int, max_delay: float, max_queue: int) -> None:
        self.model = model
        self._max_batch = max_batch
        self._max_delay = max_delay
        self._max_queue = max_queue
        self._requests: deque[Request] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._metrics = Metrics()
        self._thread: threading.Thread | None = None

    def put(self, x: NDArray[Any]) -> Future[Array]:
        """Add a sequence, and see to it that there is a thread."""
        with self._changed:
            if self._closed:
                raise RuntimeError("submit: expected an open batcher, this one was closed")
            if len(self._requests) >= self._max_queue:
                self._metrics.refused += 1
                raise QueueFull(
                    f"submit: {len(self._requests)} sequences wait, and the queue holds {self._max_queue}"
                )
            request = Request(x)
            self._requests.append(request)
            if self._thread is None:
                # A daemon, so that the interpreter does not wait for it before those whose part it is to
                # close the line have their turn.
                self._thread = threading.Thread(target=self.work, name="fastlstm-batcher", daemon=True)
                self._thread.start()
            self._changed.notify()
        return request.future

    def close(self, wait: bool = True) -> None:
        """Take no more; what is there is answered. Wait for that, if asked for."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join()

    def metrics(self) -> Metrics:
        """Return a copy of what was counted."""
        with self._changed:
            return self._metrics.copy(len(self._requests))

    # In the thread

    def work(self) -> None:
        """Answer requests until the line is closed and empty."""
        while batch := self._next():
            self._answer(batch)

    def _next(self) -> list[Request]:
        """Wait for the next batch, and return it; empty at the end."""
        with self._changed:
            while not self._requests:
                if self._closed:
                    return []
                self._changed.wait()
            leaves = self._requests[0].since + self._max_delay
            while len(self._requests) < self._max_batch and not self._closed:
                remaining = leaves - time.monotonic()
                if remaining <= 0:
                    break
                self._changed.wait(remaining)
            return self._taken()

    def _taken(self) -> list[Request]:
        """Take what can run together with the oldest request out of the line."""
        batch: list[Request] = []
        others: deque[Request] = deque()
        longest = 0
        while self._requests and len(batch) < self._max_batch:
            request = self._requests.popleft()
            first = batch[0] if batch else request
            T = max(longest, len(request.x))
            size = T * (len(batch) + 1) * max(1, request.x[:1].size)
            if request.x.dtype != first.x.dtype or (batch and size > MOST_PADDED):
                others.append(request)
                continue
            batch.append(request)
            longest = T
        self._requests.extendleft(reversed(others))
        return batch

    def _answer(self, taken: list[Request]) -> None:
        """Run what has not been cancelled, and hand the results back."""
        batch = [request for request in taken if request.future.set_running_or_notify_cancel()]
        with self._changed:
            self._metrics.cancelled += len(taken) - len(batch)
            if batch:
                self._metrics.batch_sizes.add(len(batch))
        if not batch:
            return
        try:
            results = self._run(batch)
        except Exception as error:
            if len(batch) > 1:
                # One of them is to blame: each by itself, so that nobody has another's exception.
                for request in batch:
                    self._finish([request], *self._alone(request))
                return
            self._finish(batch, [], error)
        else:
            self._finish(batch, results, None)

    def _alone(self, request: Request) -> tuple[list[Array], Exception | None]:
        try:
            return self._run([request]), None
        except Exception as error:
            return [], error

    def _run(self, batch: list[Request]) -> list[Array]:
        """Return the output of each sequence."""
        model = self.model
        sequences = [request.x for request in batch]
        lengths = np.array([len(x) for x in sequences], np.int64)
        y: Any = model(side_by_side(sequences, model.batch_first), lengths=lengths)
        if not isinstance(model, Sequential):
            y, _ = y
        return [row.copy() for row in y] if model.has_readout else apart(y, lengths, model.batch_first)

    def _finish(self, batch: list[Request], results: list[Array], error: Exception | None) -> None:
        now = time.monotonic()
        with self._changed:
            for request in batch:
                self._metrics.latency.add(now - request.since)
            if error is None:
                self._metrics.answered += len(batch)
            else:
                self._metrics.failed += len(batch)
        for k, request in enumerate(batch):
            if error is None:
                request.future.set_result(results[k])
            else:
                request.future.set_exception(error)
