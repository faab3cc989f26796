"""POST /v1/sequences: one whole sequence in, its output out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import numpy as np
import orjson
from bodies import JSON, Inputs, as_sequence, media_type, read_array, read_body, response
from settings import Settings
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Answer = Callable[[np.ndarray], Awaitable[np.ndarray]]
"""Takes a sequence at once, or raises RuntimeError if there is no room; its output can be awaited."""


def sequences_route(inputs: Inputs, settings: Settings, answer: Answer) -> Route:
    """Return the route that sends sequences to `answer`."""

    async def sequences(request: Request) -> Response:
        kind = media_type(request)
        array = read_array(kind, await read_body(request, settings.max_body), inputs)
        x = as_sequence(array, inputs, settings.max_steps)
        try:
            output = answer(x)
        except RuntimeError as error:
            raise HTTPException(503, str(error), {"Retry-After": "1"}) from None
        return response(kind, await output)

    return Route("/v1/sequences", sequences, methods=["POST"])


async def refusal(request: Request, error: Exception) -> Response:
    """Return the sentence of a refusal as JSON."""
    assert isinstance(error, HTTPException)
    body = orjson.dumps({"error": error.detail})
    return Response(body, error.status_code, error.headers, media_type=JSON)
