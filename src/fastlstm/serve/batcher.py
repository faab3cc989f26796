"""Whole sequences from many callers, run as ragged batches."""

from __future__ import annotations

import asyncio
import os
import weakref
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import Array, as_floats, as_integers, as_nonnegative, as_size
from ..recurrent import LSTM, RNN
from ..sequential import Sequential
from .metrics import Metrics
from .worker import Line, Model


class Batcher:
    """Takes sequences of any length from any thread, runs what waits as one batch, and hands results back.

    Each gets the bits that `model(x)` alone would have given, whatever it ran with. One thread of the
    batcher's own runs the batches; it starts with the first sequence. After a fork the child's batcher is a
    new one with the same settings: what waits in the parent is the parent's.

    Parameters
    ----------
    model : LSTM, RNN or Sequential
        May be changed meanwhile: each batch runs with the weights at its beginning.
    max_batch : int, default 64
        How many sequences run together at most; so many leave at once.
    max_delay : float, default 0.002
        Seconds that the oldest sequence waits for others, at most. While a batch runs, the next one
        gathers anyway.
    max_queue : int, default 1024
        How many sequences may wait.
    max_steps : int, optional
        How many steps a sequence may have.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Notes
    -----
    A batcher that nobody holds any more answers what it has accepted, and ends its thread; so do all at the
    interpreter's end.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.serve import Batcher
    >>> model = fastlstm.Sequential(fastlstm.LSTM(3, 5, rng=0), fastlstm.LastStep(), fastlstm.Linear(5, 2))
    >>> with Batcher(model) as batcher:
    ...     futures = [batcher.submit(np.ones((length, 3))) for length in (7, 2, 40)]
    ...     [future.result().shape for future in futures]
    [(2,), (2,), (2,)]

    In a coroutine, `await batcher(x)`.
    """

    def __init__(
        self,
        model: Model,
        max_batch: int = 64,
        max_delay: float = 0.002,
        *,
        max_queue: int = 1024,
        max_steps: int | None = None,
    ) -> None:
        if not isinstance(model, (LSTM, RNN, Sequential)):
            raise TypeError(f"model: expected LSTM, RNN or Sequential, got {type(model).__name__}")
        self._model = model
        self._max_batch = as_size(max_batch, "max_batch")
        self._max_delay = as_nonnegative(max_delay, "max_delay")
        self._max_queue = as_size(max_queue, "max_queue")
        self._max_steps = None if max_steps is None else as_size(max_steps, "max_steps")
        self._begin()
        _batchers.add(self)

    def _begin(self) -> None:
        """Start with an empty line."""
        self._line = Line(self._model, self._max_batch, self._max_delay, self._max_queue)
        self._finalizer = weakref.finalize(self, self._line.close)

    def _begin_in_child(self) -> None:
        """Forget the line that was the parent's, whose lock somebody may hold for ever."""
        self._finalizer.detach()
        self._begin()

    def __repr__(self) -> str:
        return f"<Batcher of {self._model!r}, up to {self._max_batch} sequences within {self._max_delay} s>"

    def submit(self, x: ArrayLike) -> Future[Array]:
        """Accept a sequence, to be run with others.

        Parameters
        ----------
        x : array (T, I)
            Or (T,) of indices, for a model that begins with an `Embedding`. It is copied.

        Returns
        -------
        Future
            Its result is (T, outputs), or (outputs,) if the model has a readout. To cancel it before it
            runs is to take it out of the batch.

        Raises
        ------
        ValueError, TypeError
            If `x` is not as above.
        QueueFull
            If `max_queue` sequences wait.
        RuntimeError
            If the batcher was closed.
        """
        return self._line.put(self._checked(x))

    async def __call__(self, x: ArrayLike) -> Array:
        """Return a sequence's result; as `submit`, for coroutines."""
        return await asyncio.wrap_future(self.submit(x))

    def _checked(self, x: ArrayLike) -> NDArray[Any]:
        sequence: NDArray[Any] = np.array(
            as_integers(x, "x") if self._model.reads_indices else as_floats(x, "x")
        )
        axes, shape = (1, "(T,)") if self._model.reads_indices else (2, "(T, I)")
        if sequence.ndim != axes:
            raise ValueError(f"x: expected one sequence {shape}, got shape {sequence.shape}")
        if self._max_steps is not None and len(sequence) > self._max_steps:
            raise ValueError(f"x: expected at most {self._max_steps} steps, got {len(sequence)}")
        self._model(sequence[:0])  # refuses what it could not run
        return sequence

    @property
    def metrics(self) -> Metrics:
        """What was counted so far: a copy."""
        return self._line.metrics()

    def close(self, wait: bool = True) -> None:
        """Accept no more sequences; those that were accepted are answered.

        Parameters
        ----------
        wait : bool, default True
            Whether to return only then.
        """
        self._line.close(wait)

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


_batchers: weakref.WeakSet[Batcher] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for batcher in list(_batchers):
        batcher._begin_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
