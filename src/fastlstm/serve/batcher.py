"""Requests that come one by one, from any thread and from asyncio, run as ragged batches."""

from __future__ import annotations

import asyncio
import copy
import threading
import weakref
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from numpy.typing import ArrayLike

from ..model.base import Model
from ..model.cells import one_of
from ..model.checks import Array, as_nonnegative, as_size
from ..predictors import Predictor
from .batches import Limits, as_request
from .metrics import Metrics
from .worker import Worker


class Batcher:
    """Runs sequences that come one by one as batches of whatever is waiting.

    Each gets the bits that `model(x)` gives it alone, whichever others run with it. Any number of threads and
    event loops may use a batcher. Its one worker thread starts with the first sequence; a batch runs with the
    model's weights as they are when it begins.

    Parameters
    ----------
    model : LSTM, RNN, Sequential or a fitted estimator
        An estimator as it is now: to fit it again changes nothing here. Its sequences are answered by what
        its `predict` returns for them: classes, numbers in their unit, or the steps that follow a series.
    max_batch : int, default 64
        How many sequences run together at most; as soon as so many wait, they run.
    max_delay : float, default 0.002
        For how many seconds the oldest waits for others to come.
    max_queue : int, default 1024
        How many may wait.
    max_steps : int, optional
        How many steps the padded array of a batch may have: its sequences times the longest one's. A sequence
        that has more by itself runs alone. None for no limit.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Notes
    -----
    `close` answers what was accepted. So do the end of a `with` or `async with` block and the interpreter's
    exit; a batcher that is garbage-collected does so, too, but nothing waits for it. In a forked child the
    batcher is empty and has its own thread; futures from before the fork belong to the parent.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.serve import Batcher
    >>> with Batcher(fastlstm.LSTM(3, 5, rng=0)) as batcher:
    ...     futures = [batcher.submit(np.ones((T, 3))) for T in (7, 4, 0)]
    ...     [future.result().shape for future in futures]
    [(7, 5), (4, 5), (0, 5)]

    >>> import asyncio
    >>> async def serve():
    ...     async with Batcher(fastlstm.LSTM(3, 5, rng=0)) as batcher:
    ...         return await batcher(np.ones((7, 3)))
    >>> asyncio.run(serve()).shape
    (7, 5)
    """

    def __init__(
        self,
        model: Model | Predictor,
        max_batch: int = 64,
        max_delay: float = 0.002,
        *,
        max_queue: int = 1024,
        max_steps: int | None = None,
    ) -> None:
        if isinstance(model, Predictor):
            model._check_fitted()
            model = copy.copy(model)
        elif not isinstance(model, Model):
            expected = one_of("Sequential", "an estimator")
            raise TypeError(f"model: expected {expected}, got {type(model).__name__}")
        delay = as_nonnegative(max_delay, "max_delay")
        if delay > threading.TIMEOUT_MAX:
            raise ValueError(
                f"max_delay: expected at most {threading.TIMEOUT_MAX:.0f} seconds, got {max_delay!r}"
            )
        limits = Limits(
            as_size(max_batch, "max_batch"),
            delay,
            as_size(max_queue, "max_queue"),
            None if max_steps is None else as_size(max_steps, "max_steps"),
        )
        self._model = model
        self._worker = Worker(model, limits)
        weakref.finalize(self, self._worker.close, wait=False).atexit = False

    def __repr__(self) -> str:
        return f"<batcher of {self._model!r}>"

    def submit(self, x: ArrayLike) -> Future[Array]:
        """Queue a sequence.

        Parameters
        ----------
        x : array (T, I), or integers (T,) for a model that begins with an `Embedding`
            Of any length, 0 included; it is copied. For an estimator a sequence as its `predict` takes them,
            or a row of its table; for a forecaster a series.

        Returns
        -------
        concurrent.futures.Future
            Of an array (T, outputs), or (outputs,) after a readout: what `model(x)` returns as y; of an
            estimator's prediction. If it is cancelled before its batch begins, the sequence is left out. An
            exception of the sequence's own pass is its exception; RuntimeError, with the cause, for one that
            would end a program.

        Raises
        ------
        ValueError, TypeError
            If `x` is not as above.
        QueueFull
            If `max_queue` sequences wait.
        RuntimeError
            If the batcher was closed, or the system has no thread for it.
        """
        return self._worker.put(as_request(x, self._model))

    async def __call__(self, x: ArrayLike) -> Array:
        """Return a sequence's output. See `submit`; to cancel the task is to cancel the future."""
        return await asyncio.wrap_future(self.submit(x))

    @property
    def metrics(self) -> Metrics:
        """What happened so far: queue, batch sizes, latencies, and what became of the sequences."""
        return self._worker.metrics()

    def close(self, wait: bool = True) -> None:
        """Accept nothing more, and answer what was accepted.

        Parameters
        ----------
        wait : bool, default True
            Whether to return only when all is answered. From a future's callback, on the worker's own thread,
            nothing is waited for.
        """
        self._worker.close(wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)
