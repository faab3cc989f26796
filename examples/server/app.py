"""An LSTM as a web service: whole sequences by POST, streams by WebSocket.

uvicorn --factory app:create_app
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import bodies
import streams
from metrics import registry
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from settings import Settings
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

import fastlstm
from fastlstm.serve import Batcher, QueueFull

FEATURES, HIDDEN, OUTPUTS = 40, 128, 8


def demo_model() -> fastlstm.Sequential:
    """Return a model with random weights, the same every time."""
    return fastlstm.Sequential(
        fastlstm.LSTM(FEATURES, HIDDEN, rng=0), fastlstm.Linear(HIDDEN, OUTPUTS, rng=1)
    )


def load_model(path: str) -> fastlstm.Sequential:
    """Return the model to serve: one that runs forward in time and begins with an LSTM."""
    model = fastlstm.load(path) if path else demo_model()
    if not isinstance(model, fastlstm.Sequential) or not isinstance(model.layers[0], fastlstm.LSTM):
        raise ValueError(f"model: expected a Sequential that begins with an LSTM, got {model!r}")
    return model


def create_app(settings: Settings | None = None) -> Starlette:
    """Return the service. All that forks may come after: children start their own threads."""
    settings = settings or Settings.from_environment()
    model = load_model(settings.model)
    features = model.layers[0].input_size
    batcher = Batcher(
        model,
        settings.max_batch,
        settings.max_delay,
        max_queue=settings.max_queue,
        max_steps=settings.max_steps,
    )
    shared = streams.SharedPool(model, settings.max_streams)
    metrics = registry(batcher, shared)

    async def sequences(request: Request) -> Response:
        x = bodies.sequence(request, await bodies.read(request, settings.max_body), features)
        if len(x) > settings.max_steps:
            raise HTTPException(413, f"x: expected at most {settings.max_steps} steps, got {len(x)}")
        try:
            y = await batcher(x)
        except QueueFull as error:
            raise HTTPException(503, str(error), bodies.retry_after(1.0)) from error
        return bodies.response(request, y)

    async def stream(websocket: WebSocket) -> None:
        await streams.serve(websocket, shared, features)

    async def show_metrics(request: Request) -> Response:
        return Response(generate_latest(metrics), media_type=CONTENT_TYPE_LATEST)

    async def health(request: Request) -> Response:
        return Response(bodies.as_json({"status": "ok"}), media_type=bodies.JSON)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(batcher.close)  # what was accepted is answered

    return Starlette(
        routes=[
            Route("/v1/sequences", sequences, methods=["POST"]),
            WebSocketRoute("/v1/stream", stream),
            Route("/metrics", show_metrics),
            Route("/healthz", health),
        ],
        exception_handlers={HTTPException: refused, ClientDisconnect: gone},
        lifespan=lifespan,
    )


async def refused(request: Request, error: Exception) -> Response:
    """Say why, as JSON."""
    assert isinstance(error, HTTPException)
    content = bodies.as_json({"error": error.detail})
    return Response(content, error.status_code, error.headers, bodies.JSON)


async def gone(request: Request, error: Exception) -> Response:
    """Answer nobody: the client went in the middle of its request."""
    return Response(status_code=400)
