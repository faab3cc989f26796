"""GET /openapi.json: what the service takes and answers, for clients and for those who test it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from bodies import Inputs
from settings import Settings
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def description(inputs: Inputs, settings: Settings) -> dict[str, Any]:
    """Return openapi.json with what this model reads."""
    document: dict[str, Any] = orjson.loads(Path(__file__).with_name("openapi.json").read_bytes())
    x = document["components"]["schemas"]["Sequence"]["properties"]["x"]
    x["maxItems"] = settings.max_steps
    if inputs.indices:
        x["items"] = {"type": "integer", "minimum": 0, "maximum": inputs.indices - 1}
    else:
        number = {"type": "number", "description": "in the range of float32"}
        x["items"] = {"type": "array", "items": number, "minItems": inputs.size, "maxItems": inputs.size}
    return document


def description_route(inputs: Inputs, settings: Settings) -> Route:
    """Return the route of the description, made once."""
    body = orjson.dumps(description(inputs, settings))

    async def openapi(request: Request) -> Response:
        return Response(body, media_type="application/json")

    return Route("/openapi.json", openapi)
