"""Which sequences run together, and how."""

from __future__ import annotations

import logging
import time
from collections import deque
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import ArrayLike, NDArray

from ..model.base import Model
from ..model.checks import Array, check_indices
from ..model.predict import predict
from ..model.sequences import as_sequence
from ..predictors import Predictor

_log = logging.getLogger(__name__)


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
        """Return whether both fit in one array without a cast."""
        return self.x.dtype == other.x.dtype and self.x.shape[1:] == other.x.shape[1:]


def as_request(x: ArrayLike, model: Model | Predictor) -> NDArray[Any]:
    """Return a copy of one sequence that the model can run; ValueError or TypeError if it can't."""
    if isinstance(model, Predictor):
        return model._request(x)
    array = as_sequence(x, "x", model.reads_indices, model.input_size)
    if model.num_embeddings is not None:
        check_indices(array, "x", model.num_embeddings)
    return array.copy()


def next_batch(waiting: deque[Request], limits: Limits) -> tuple[list[Request], deque[Request]]:
    """Return the oldest request and those that can run beside it, marked as running; and those left waiting.

    Requests that nobody waits for any more are in neither.
    """
    batch: list[Request] = []
    left: deque[Request] = deque()
    longest = 0
    for request in waiting:
        padded = max(longest, len(request.x)) * (len(batch) + 1)
        fits = limits.max_steps is None or padded <= limits.max_steps
        if len(batch) == limits.max_batch or (batch and not (fits and request.goes_with(batch[0]))):
            left.append(request)
        elif begin(request.future):
            batch.append(request)
            longest = max(longest, len(request.x))
    return batch, left


def drop_cancelled(waiting: deque[Request]) -> None:
    """Remove the requests that were cancelled."""
    for _ in range(len(waiting)):
        request = waiting.popleft()
        if not request.future.cancelled() or begin(request.future):
            waiting.append(request)


def answers(model: Model | Predictor, batch: list[Request]) -> list[Array | Exception]:
    """Return each request's output, or why there is none."""
    try:
        return _outputs(model, [request.x for request in batch])
    except BaseException as error:  # one of them caused it; run one by one, they show which
        if len(batch) == 1:
            return [as_exception(error)]
    return [answer for request in batch for answer in answers(model, [request])]


def _outputs(model: Model | Predictor, sequences: list[NDArray[Any]]) -> list[Any]:
    if isinstance(model, Predictor):
        return model._answers(sequences)
    outputs = predict(model, sequences, batch_size=len(sequences))
    # After a readout these are rows of one array: without a copy, each caller would keep all of it alive.
    return [output.copy() for output in outputs] if model.has_readout else list(outputs)


def as_exception(error: BaseException) -> Exception:
    """Return an error that may be raised wherever an output is waited for.

    SystemExit and KeyboardInterrupt would end the program or its event loop: they become a RuntimeError.
    """
    if isinstance(error, Exception):
        return error
    reason = RuntimeError(f"batcher: expected a pass that returns, got {error!r}")
    reason.__cause__ = error
    return reason


# A future belongs to its caller, who may cancel it, set it, and add callbacks to it.


def begin(future: Future[Array]) -> bool:
    """Mark a future as running; return False if nobody waits for its result any more."""
    if future.running():
        return True
    if future.done() and not future.cancelled():
        return False
    try:
        return future.set_running_or_notify_cancel()
    except (InvalidStateError, RuntimeError):  # its owner changed it in between
        return not future.done()


def settle(future: Future[Array], result: Array | Exception) -> None:
    """Set a future's result; what its callbacks raise must not hold up other futures."""
    try:
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
    except InvalidStateError:
        pass  # its owner has set it
    except BaseException:  # SystemExit and the like: Future itself logs an Exception of a callback
        _log.exception("exception calling callback for %r", future)
