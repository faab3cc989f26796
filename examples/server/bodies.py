"""Sequences in the bodies of requests and messages, and results in those of responses.

JSON, or little-endian float32 numbers row by row: a quarter of the bytes, and no text to parse.
"""

from __future__ import annotations

import math

import numpy as np
import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

RAW, JSON = "application/octet-stream", "application/json"


async def read(request: Request, most: int) -> bytes:
    """Return a request's body; refuse it as soon as it is too long, however long it says it is."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise HTTPException(413, f"body: expected at most {most} bytes")
    return bytes(body)


def sequence(request: Request, body: bytes, features: int) -> np.ndarray:
    """Return the sequence (T, features) of a request's body."""
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind == RAW:
        return from_raw(body, features)
    if kind == JSON:
        values = from_json(body)
        if not isinstance(values, dict) or values.keys() != {"x"}:
            raise HTTPException(422, 'body: expected {"x": [[...], ...]}')
        return numbers(values["x"], "x", (None, features))
    raise HTTPException(415, f"content-type: expected {JSON} or {RAW}, got {kind}")


def from_raw(body: bytes, features: int) -> np.ndarray:
    """Return the rows (T, features) of raw numbers."""
    if len(body) % (4 * features):
        raise HTTPException(422, f"body: expected rows of {features} float32 numbers, got {len(body)} bytes")
    return finite(np.frombuffer(body, "<f4").reshape(-1, features), "x")


def from_json(body: bytes | str) -> object:
    """Return what JSON says."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"body: expected JSON ({error})") from error


def numbers(values: object, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Return lists of numbers as an array of that shape; None is any length."""
    text = f"({', '.join('T' if size is None else str(size) for size in shape)})"
    try:
        array = np.asarray(values)
    except ValueError:
        raise HTTPException(
            422, f"{name}: expected numbers of shape {text}, got rows of different lengths"
        ) from None
    if array.size == 0:
        array = np.zeros((0, *shape[1:]), np.float32)
    if array.dtype.kind not in "iuf":
        raise HTTPException(422, f"{name}: expected numbers of shape {text}, got something else")
    fits = array.ndim == len(shape) and all(
        size in (None, actual) for size, actual in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise HTTPException(422, f"{name}: expected numbers of shape {text}, got shape {array.shape}")
    return finite(array.astype(np.float32), name)


def finite(array: np.ndarray, name: str) -> np.ndarray:
    """Return an array whose numbers are all finite."""
    if not np.isfinite(array).all():
        raise HTTPException(422, f"{name}: expected finite float32 numbers")
    return array


def response(request: Request, y: np.ndarray) -> Response:
    """Return a result as the client accepts it: as JSON, unless it asks for raw numbers."""
    if RAW in request.headers.get("accept", ""):
        shape = ",".join(map(str, y.shape))
        return Response(y.astype("<f4").tobytes(), media_type=RAW, headers={"x-shape": shape})
    return Response(as_json({"y": y}), media_type=JSON)


def as_json(value: object) -> bytes:
    """Return JSON, arrays as lists."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def frame(message: str | bytes, features: int) -> np.ndarray:
    """Return the frame (features,) of a WebSocket's message: a list as JSON, or raw numbers."""
    if isinstance(message, bytes):
        if len(message) != 4 * features:
            raise HTTPException(422, f"frame: expected {features} float32 numbers, got {len(message)} bytes")
        return finite(np.frombuffer(message, "<f4"), "frame")
    return numbers(from_json(message), "frame", (features,))


def retry_after(seconds: float) -> dict[str, str]:
    """Return the header that says when to come again."""
    return {"retry-after": str(math.ceil(seconds))}
