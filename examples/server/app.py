"""A service for one model: whole sequences by HTTP, streams by WebSocket. README.md tells how to run it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager

import numpy as np
from bodies import Inputs
from description import description_route
from metrics import metrics_route
from sequences import REFUSALS, sequences_route
from settings import Settings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from streams import Streams, stream_route

from fastlstm import StreamPool
from fastlstm.model import Model
from fastlstm.serve import Batcher


def create_app(settings: Settings) -> Starlette:
    """Return the service; nothing starts before its first request."""
    model = settings.load_model()
    inputs = Inputs.of(model)
    batcher = Batcher(model, settings.max_batch, settings.max_delay, max_queue=settings.max_queue)
    streams = streams_of(model, settings.max_streams)

    def answer(x: np.ndarray) -> Awaitable[np.ndarray]:
        return asyncio.wrap_future(batcher.submit(x))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(batcher)
            if streams is not None:
                await stack.enter_async_context(streams)
            yield

    routes: list[BaseRoute] = [
        sequences_route(inputs, settings, answer),
        metrics_route(batcher, streams),
        description_route(inputs, settings),
        Route("/healthz", healthz),
    ]
    if streams is not None:
        routes.append(stream_route(inputs, settings, streams))
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=REFUSALS)


def streams_of(model: Model, capacity: int) -> Streams | None:
    """Return streams through a model; None for one that needs whole sequences."""
    return Streams(StreamPool(model, capacity)) if model.is_causal else None


async def healthz(request: Request) -> Response:
    """Say that the service is up."""
    return PlainTextResponse("ok\n")


app = create_app(Settings.from_environment())
