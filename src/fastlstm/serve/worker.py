"""A queue of requests, and the thread that answers them.

The thread knows the queue, and nothing of the `Batcher` before it: a batcher that is forgotten is collected,
and closes the queue on its way out. The thread is a daemon, so that one which waits for requests does not
keep the interpreter from ending; what was accepted is answered at exit.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from concurrent.futures import Future
from typing import Any

from numpy.typing import NDArray

from .._arrays import Array
from .batches import Limits, Model, Request, answers, drop_cancelled, take_batch
from .metrics import Counts, Metrics


class QueueFull(RuntimeError):
    """As many sequences wait as may: try again later, or turn the client away.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.serve import Batcher, QueueFull
    >>> with Batcher(fastlstm.LSTM(3, 5, rng=0), max_delay=1.0, max_queue=1) as batcher:
    ...     future = batcher.submit(np.ones((7, 3)))
    ...     try:
    ...         batcher.submit(np.ones((4, 3)))
    ...     except QueueFull as error:
    ...         print(error)
    submit: expected fewer than 1 waiting sequences, got 1
    """


class Worker:
    """Answers what is put to it, in batches, on a thread that starts with the first request."""

    def __init__(self, model: Model, limits: Limits) -> None:
        self._model = model
        self._limits = limits
        self._closed = False
        self._begin()
        _workers.add(self)

    def _begin(self) -> None:
        """Have nothing waiting and no thread; a forked child starts here again, whoever held the lock."""
        self._changed = threading.Condition()
        self._waiting: deque[Request] = deque()
        self._counts = Counts()
        self._thread: threading.Thread | None = None

    def put(self, x: NDArray[Any]) -> Future[Array]:
        """Queue a sequence that `as_sequence` returned."""
        request = Request(x)
        with self._changed:
            self._check_open()
            if self._thread is None:
                thread = threading.Thread(target=self._serve, name="fastlstm batcher", daemon=True)
                thread.start()
                self._thread = thread
            self._waiting.append(request)
            if len(self._waiting) in (1, self._limits.max_batch):
                self._changed.notify()
        return request.future

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("submit: expected a batcher that is open, got one that was closed")
        limit = self._limits.max_queue
        if len(self._waiting) >= limit:
            self._drop_cancelled()
        if len(self._waiting) >= limit:
            self._counts.refused += 1
            raise QueueFull(
                f"submit: expected fewer than {limit} waiting sequences, got {len(self._waiting)}"
            )

    def _drop_cancelled(self) -> None:
        before = len(self._waiting)
        drop_cancelled(self._waiting)
        self._counts.cancelled += before - len(self._waiting)

    def metrics(self) -> Metrics:
        """Return what happened so far."""
        with self._changed:
            self._drop_cancelled()
            return self._counts.metrics(len(self._waiting))

    def close(self, wait: bool) -> None:
        """Take nothing more, and answer what was taken; `wait` until it is."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join()

    # On the thread

    def _serve(self) -> None:
        while self._serve_batch():
            pass

    def _serve_batch(self) -> bool:
        """Answer the next batch; return False when there will be none."""
        batch = self._next()
        if batch is None:
            return False
        if not batch:  # all were cancelled
            return True
        results = answers(self._model, batch)
        now = time.monotonic()
        answered = [
            (request, result)
            for request, result in zip(batch, results, strict=True)
            if not isinstance(result, Exception)
        ]
        with self._changed:
            self._counts.end([now - request.arrived for request, _ in answered], len(batch) - len(answered))
        for request, result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                request.future.set_exception(result)
            else:
                request.future.set_result(result)
        return True

    def _next(self) -> list[Request] | None:
        """Return the next batch once it is full or has waited; None when all is closed and answered."""
        with self._changed:
            while (patience := self._patience()) != 0:
                self._changed.wait(patience)
            if not self._waiting:
                return None
            before = len(self._waiting)
            batch = take_batch(self._waiting, self._limits)
            self._counts.cancelled += before - len(self._waiting) - len(batch)
            if batch:
                self._counts.begin(len(batch))
            return batch

    def _patience(self) -> float | None:
        """Return how many seconds to wait for more requests; None until there is one."""
        if self._closed or len(self._waiting) >= self._limits.max_batch:
            return 0
        if not self._waiting:
            return None
        return max(self._waiting[0].arrived + self._limits.max_delay - time.monotonic(), 0)


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for worker in list(_workers):
        worker.close(wait=True)


def _begin_again() -> None:
    for worker in list(_workers):
        worker._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again)
