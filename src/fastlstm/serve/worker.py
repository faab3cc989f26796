"""A queue of requests, and the thread that answers them.

The thread refers to the queue and not to the `Batcher`, so that a batcher that nobody uses is
garbage-collected, and closes the queue. The thread is a daemon: while it waits for requests it does not keep
the interpreter from ending. An exit handler waits until all that was accepted is answered.

An exception on the thread becomes the answer to the requests of the batch; the thread goes on. Should it end
all the same, or not start, `put` starts another one.
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

from ..model.base import Model
from ..model.checks import Array
from ..predictors import Predictor
from .batches import Limits, Request, answers, as_exception, drop_cancelled, next_batch, settle
from .metrics import Counts, Metrics


class QueueFull(RuntimeError):
    """The queue is full: try again later, or turn the client away.

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

    def __init__(self, model: Model | Predictor, limits: Limits) -> None:
        self._model = model
        self._limits = limits
        self._closed = False
        self._begin()
        _workers.add(self)

    def _begin(self) -> None:
        """Begin with an empty queue and no thread, as a forked child does, whoever held the lock."""
        self._changed = threading.Condition()
        self._waiting: deque[Request] = deque()
        self._counts = Counts()
        self._thread: threading.Thread | None = None
        self._starting = False

    def put(self, x: NDArray[Any]) -> Future[Array]:
        """Queue a sequence that `as_request` returned."""
        request = Request(x)
        with self._changed:
            self._check_open()
            self._waiting.append(request)
            if len(self._waiting) in (1, self._limits.max_batch):
                self._changed.notify_all()
            thread = self._missing_thread()
        if thread is not None:
            self._start(thread)
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

    def _missing_thread(self) -> threading.Thread | None:
        """Return a thread for the holder of the lock to start; None if one runs or is being started."""
        if self._starting or (self._thread is not None and self._thread.is_alive()):
            return None
        self._thread = threading.Thread(target=self._serve, name="fastlstm batcher", daemon=True)
        self._starting = True
        return self._thread

    def _start(self, thread: threading.Thread) -> None:
        """Start a thread, without the lock: the system may take its time, or refuse."""
        try:
            thread.start()
        except Exception as error:
            self._thread = None
            self._fail(self._all_waiting(), error)
            raise
        finally:
            with self._changed:
                self._starting = False
                self._changed.notify_all()

    def metrics(self) -> Metrics:
        """Return what happened so far."""
        with self._changed:
            self._drop_cancelled()
            return self._counts.metrics(len(self._waiting))

    def close(self, wait: bool) -> None:
        """Take nothing more, and answer what was taken; `wait` until it is."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            missing = self._missing_thread() if self._waiting else None
        if missing is not None:
            self._start(missing)
        if wait and self._thread is not threading.current_thread():
            self._join()

    def _join(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._starting)
            thread = self._thread
        if thread is not None:
            thread.join()

    # On the thread

    def _serve(self) -> None:
        """Answer batch after batch, until all is closed and answered."""
        going = True
        while going:
            batch: list[Request] = []
            try:
                going = self._fill(batch)
                self._answer(batch)
            except BaseException as error:
                self._fail(batch or self._all_waiting(), error)

    def _fill(self, batch: list[Request]) -> bool:
        """Put the next batch into a list once it is full or has waited; return False when none will come."""
        with self._changed:
            while (patience := self._patience()) != 0:
                self._changed.wait(patience)
            if not self._waiting:
                return False
            taken, left = next_batch(self._waiting, self._limits)
            batch.extend(taken)  # before they are taken out of the queue, so that no failure loses them
            self._counts.cancelled += len(self._waiting) - len(left) - len(batch)
            self._waiting = left
            if batch:
                self._counts.begin(len(batch))
            return True

    def _patience(self) -> float | None:
        """Return how many seconds to wait for more requests; None until there is one."""
        if self._closed or len(self._waiting) >= self._limits.max_batch:
            return 0
        if not self._waiting:
            return None
        return max(self._waiting[0].arrived + self._limits.max_delay - time.monotonic(), 0)

    def _answer(self, batch: list[Request]) -> None:
        """Run a batch, and give each request its output, or why there is none."""
        if not batch:  # all were cancelled
            return
        results = answers(self._model, batch)
        now = time.monotonic()
        seconds = [
            now - request.arrived
            for request, result in zip(batch, results, strict=True)
            if not isinstance(result, Exception)
        ]
        with self._changed:
            self._counts.end(seconds, len(batch) - len(seconds))
        for request, result in zip(batch, results, strict=True):
            settle(request.future, result)

    # When something fails

    def _all_waiting(self) -> list[Request]:
        """Take all requests out of the queue: what failed for them would fail again."""
        with self._changed:
            waiting, self._waiting = self._waiting, deque()
        return list(waiting)

    def _fail(self, requests: list[Request], error: BaseException) -> None:
        """Tell those who still wait for one of these requests why there is no output."""
        unanswered = [request for request in requests if not request.future.done()]
        with self._changed:
            self._counts.end([], len(unanswered))
        reason = as_exception(error)
        for request in unanswered:
            settle(request.future, reason)


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
