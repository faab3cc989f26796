"""WS /v1/stream: one frame in, one output out; frames that arrive together run together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from bodies import Inputs, read_frame, write_frame
from settings import Settings
from starlette.exceptions import HTTPException
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from fastlstm import StreamPool

INVALID, IDLE, TOO_BIG, TRY_AGAIN_LATER = 1007, 1008, 1009, 1013
NO_MEMORY = "memory: expected enough of it"


class Streams:
    """A `StreamPool` for the tasks of one event loop.

    All that is done to the pool is done on one thread, in the order in which it was asked for. While a call
    runs there, frames gather for the next one.
    """

    def __init__(self, pool: StreamPool) -> None:
        self.pool = pool
        self.batch_sizes: Counter[int] = Counter()
        self._waiting: list[tuple[int, np.ndarray, asyncio.Future[np.ndarray]]] = []
        self._stepping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Streams:
        self._thread = ThreadPoolExecutor(1, "streams")  # here and not above: threads do not survive a fork
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self._thread.shutdown)

    async def open(self) -> int:
        """Return the id of a new stream; RuntimeError if there are too many."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.pool.open)

    def close(self, id: int) -> None:
        """End a stream."""
        self._thread.submit(self.pool.close, id)

    async def step(self, id: int, frame: np.ndarray) -> np.ndarray:
        """Return a stream's output for its next frame; not to be called again before that is there."""
        output: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
        self._waiting.append((id, frame, output))
        if self._stepping is None:
            self._stepping = asyncio.create_task(self._step_waiting())
        return await output

    def _step(self, ids: Sequence[int], frames: Sequence[np.ndarray]) -> np.ndarray:
        return self.pool.step(list(ids), np.stack(frames))

    async def _step_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            # Who was cancelled may have closed its stream.
            batch = [entry for entry in self._waiting if not entry[2].done()]
            self._waiting = []
            if not batch:
                break
            ids, frames, outputs = zip(*batch, strict=True)
            self.batch_sizes[len(ids)] += 1
            try:
                y = await loop.run_in_executor(self._thread, self._step, ids, frames)
            except Exception as error:
                for output in outputs:
                    if not output.done():
                        output.set_exception(error)
                continue
            for output, y_k in zip(outputs, y, strict=True):
                if not output.done():
                    output.set_result(y_k)
        self._stepping = None


def stream_route(inputs: Inputs, settings: Settings, streams: Streams) -> WebSocketRoute:
    """Return the route that gives each connection a stream of its own."""
    seconds = settings.stream_timeout

    async def stream(websocket: WebSocket) -> None:
        try:
            async with asyncio.timeout(seconds):
                await websocket.accept()
            await end(websocket, *await serve(websocket))
        except (WebSocketDisconnect, TimeoutError):
            pass  # the client has gone, or takes nothing of what it is sent

    async def serve(websocket: WebSocket) -> tuple[int, str]:
        """Give a connection a stream; return how to end it once the stream's place is free again."""
        try:
            id = await streams.open()
        except RuntimeError:
            return TRY_AGAIN_LATER, f"all {settings.max_streams} streams are in use"
        except MemoryError:
            return TRY_AGAIN_LATER, NO_MEMORY
        try:
            return await converse(websocket, id)
        except HTTPException as error:
            return INVALID, error.detail[:120]
        except MemoryError:
            return TRY_AGAIN_LATER, NO_MEMORY
        finally:
            streams.close(id)

    async def converse(websocket: WebSocket, id: int) -> tuple[int, str]:
        """Answer frame after frame; return why there is no next one."""
        while True:
            try:
                async with asyncio.timeout(seconds):
                    data = await receive(websocket)
            except TimeoutError:
                return IDLE, f"frame: expected one within {seconds:g} seconds"
            if len(data) > settings.max_body:
                return TOO_BIG, f"frame: expected at most {settings.max_body} bytes"
            answer = write_frame(data, await streams.step(id, read_frame(data, inputs)))
            async with asyncio.timeout(seconds):
                await (
                    websocket.send_bytes(answer) if isinstance(answer, bytes) else websocket.send_text(answer)
                )

    async def end(websocket: WebSocket, code: int, reason: str) -> None:
        async with asyncio.timeout(seconds):
            await websocket.close(code, reason)

    return WebSocketRoute("/v1/stream", stream)


async def receive(websocket: WebSocket) -> bytes | str:
    """Return the next message; WebSocketDisconnect if there is none."""
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    data = message.get("bytes")
    return message["text"] if data is None else data
