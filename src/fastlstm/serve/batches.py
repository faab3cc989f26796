"""Which sequences run together, and how."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import ArrayLike, NDArray

from .._arrays import Array, as_floats, as_integers
from ..layers import Embedding
from ..recurrent import LSTM, RNN
from ..sequential import Sequential
from ..training import predict

Model = LSTM | RNN | Sequential


@dataclass(frozen=True)
class Limits:
    """What `Batcher` describes under the same names."""

    max_batch: int
    max_delay: float
    max_queue: int
    max_steps: int | None


@dataclass(eq=False)
class Request:
    """A sequence, and who waits for its output."""

    x: NDArray[Any]
    future: Future[Array] = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)

    def goes_with(self, other: Request) -> bool:
        """Return whether both may stand in one array, neither of them cast."""
        return self.x.dtype == other.x.dtype and self.x.shape[1:] == other.x.shape[1:]


def as_sequence(x: ArrayLike, model: Model) -> NDArray[Any]:
    """Return a copy of one sequence that the model can run; ValueError or TypeError if it can't."""
    first = model.layers[0] if isinstance(model, Sequential) else model
    if isinstance(first, Embedding):
        indices = as_integers(x, "x")
        if indices.ndim != 1:
            raise ValueError(f"x: expected shape (T,), got {indices.shape}")
        return first._indices(indices).copy()
    array = as_floats(x, "x")
    size = _input_size(model)
    if array.ndim != 2 or size not in (None, array.shape[1]):
        raise ValueError(f"x: expected shape (T, {size or 'I'}), got {array.shape}")
    return array.copy()


def _input_size(model: Model) -> int | None:
    """Return how many numbers each step of x has, None where any will do."""
    layers = model.layers if isinstance(model, Sequential) else (model,)
    return next((layer._reads for layer in layers if layer._reads is not None), None)


def take_batch(waiting: deque[Request], limits: Limits) -> list[Request]:
    """Remove and return the oldest request and those that can run beside it, marked as running.

    Those that were cancelled are removed on the way.
    """
    batch: list[Request] = []
    left: list[Request] = []
    longest = 0
    while waiting and len(batch) < limits.max_batch:
        request = waiting.popleft()
        padded = max(longest, len(request.x)) * (len(batch) + 1)
        fits = limits.max_steps is None or padded <= limits.max_steps
        if batch and not (fits and request.goes_with(batch[0])):
            left.append(request)
        elif request.future.set_running_or_notify_cancel():
            batch.append(request)
            longest = max(longest, len(request.x))
    waiting.extendleft(reversed(left))
    return batch


def drop_cancelled(waiting: deque[Request]) -> None:
    """Remove the requests that were cancelled."""
    for _ in range(len(waiting)):
        request = waiting.popleft()
        if request.future.cancelled():
            request.future.set_running_or_notify_cancel()
        else:
            waiting.append(request)


def answers(model: Model, batch: list[Request]) -> list[Array | Exception]:
    """Return each request's output, or why there is none."""
    try:
        outputs = predict(model, [request.x for request in batch], batch_size=len(batch))
    except Exception as error:  # whatever it is belongs to one of them: to whom, each run by itself will tell
        if len(batch) == 1:
            return [error]
        return [answer for request in batch for answer in answers(model, [request])]
    # After a readout these are rows of one array, which no caller shall keep alive.
    return [output.copy() for output in outputs] if model.has_readout else list(outputs)
