"""Many clients' streams through one pool: frames that arrive together run together."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import bodies
import numpy as np
from starlette.exceptions import HTTPException
from starlette.websockets import WebSocket, WebSocketDisconnect

import fastlstm

# RFC 6455, section 7.4.1, and the registry it founds
INVALID, TRY_AGAIN_LATER = 1007, 1013


class SharedPool:
    """A `StreamPool` for coroutines.

    While one call of the pool runs, in a thread, the frames for the next gather. A client's next frame is
    read after the last one's output was sent, so each stream has at most one in a call.
    """

    def __init__(self, model: fastlstm.Sequential, capacity: int) -> None:
        self.pool = fastlstm.StreamPool(model, capacity)
        self.frames = 0
        self._waiting: dict[int, tuple[np.ndarray, asyncio.Future[np.ndarray]]] = {}
        self._running: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "stream-pool")

    async def step(self, id: int, frame: np.ndarray) -> np.ndarray:
        """Return the output of a stream's next frame."""
        result = asyncio.get_running_loop().create_future()
        self._waiting[id] = frame, result
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await result

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, {}
            frames = np.stack([frame for frame, _ in batch.values()])
            try:
                outputs = await loop.run_in_executor(self._thread, self.pool.step, list(batch), frames)
            except Exception as error:  # of the pass: everyone in it has to know
                for _, result in batch.values():
                    if not result.done():
                        result.set_exception(error)
            else:
                self.frames += len(batch)
                for (_, result), output in zip(batch.values(), outputs, strict=True):
                    if not result.done():
                        result.set_result(output)
        self._running = None

    async def close(self, id: int) -> None:
        """End a stream, after what runs: a frame that still waits is dropped."""
        self._waiting.pop(id, None)
        while self._running is not None:
            await asyncio.wait([self._running])
        self.pool.close(id)


async def serve(websocket: WebSocket, shared: SharedPool, features: int) -> None:
    """One client: a frame comes, an output goes, until either side has enough."""
    await websocket.accept()
    try:
        id = shared.pool.open()
    except RuntimeError:
        await websocket.close(TRY_AGAIN_LATER, f"all {shared.pool.capacity} streams are taken")
        return
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                break
            text = message.get("text")
            try:
                frame = bodies.frame(message["bytes"] if text is None else text, features)
            except HTTPException as error:
                await websocket.close(INVALID, error.detail[:120])
                break
            output = await shared.step(id, frame)
            if text is None:
                await websocket.send_bytes(output.astype("<f4").tobytes())
            else:
                await websocket.send_text(bodies.as_json(output).decode())
    except WebSocketDisconnect:
        pass  # in the middle of an answer
    finally:
        await asyncio.shield(shared.close(id))
