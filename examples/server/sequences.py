"""POST /v1/sequences: one whole sequence in, its output out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np
import orjson
from bodies import JSON, Inputs, media_type, read_body, read_sequence, response
from settings import Settings
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Answer = Callable[[np.ndarray], Awaitable[np.ndarray]]
"""Takes a sequence at once, or raises RuntimeError if there is no room; its output can be awaited."""


Result = TypeVar("Result")

AT_ONCE = 1 << 15
"""Bytes that are read or written on the event loop's own thread: less than a millisecond of JSON."""


def sequences_route(inputs: Inputs, settings: Settings, answer: Answer) -> Route:
    """Return the route that sends sequences to `answer`."""
    # One thread: it and the event loop take turns at the interpreter lock, and more would crowd out the loop.
    aside = ThreadPoolExecutor(1, "bodies")

    async def off_loop(nbytes: int, function: Callable[[], Result]) -> Result:
        """Call a function where it does not keep others waiting."""
        if nbytes <= AT_ONCE:
            return function()
        return await asyncio.get_running_loop().run_in_executor(aside, function)

    async def sequences(request: Request) -> Response:
        kind = media_type(request)
        body = await read_body(request, settings.max_body, settings.body_timeout)
        x = await off_loop(len(body), partial(read_sequence, kind, body, inputs, settings.max_steps))
        try:
            y = await answer(x)
        except RuntimeError as error:  # no room in the queue, or nobody to run it
            raise unavailable(error) from None
        return await off_loop(y.nbytes, partial(response, kind, y))

    return Route("/v1/sequences", sequences, methods=["POST"])


def unavailable(error: Exception) -> HTTPException:
    """Return the answer to a request that could be served at another time."""
    return HTTPException(503, str(error) or "memory: expected enough of it", {"Retry-After": "1"})


async def refusal(request: Request, error: Exception) -> Response:
    """Return the sentence of a refusal as JSON."""
    if isinstance(error, MemoryError):
        error = unavailable(error)
    assert isinstance(error, HTTPException)
    body = orjson.dumps({"error": error.detail})
    return Response(body, error.status_code, error.headers, media_type=JSON)


REFUSALS = {HTTPException: refusal, MemoryError: refusal}
"""What an application answers with a sentence."""
