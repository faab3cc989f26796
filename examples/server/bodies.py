"""Arrays in and out of requests: JSON, .npy files and bare float32, each refused with a sentence.

What can't be read is answered with 400, what can be read and is nothing for the model with 422. JSON is
counted before it is parsed, and checked before NumPy sees it, so that what is refused takes no more time and
memory than what is answered.
"""

from __future__ import annotations

import asyncio
import io
import math
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.lib import format as npy
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from fastlstm.model import Model

PART = 256
"""Steps of an output that become JSON at a time."""

JSON, RAW, NPY = "application/json", "application/octet-stream", "application/x-npy"


@dataclass(frozen=True)
class Inputs:
    """What a model reads: `size` numbers a step, or one index under `indices`."""

    size: int
    indices: int = 0

    @classmethod
    def of(cls, model: Model) -> Inputs:
        """Return what a model reads."""
        if model.num_embeddings is not None:
            return cls(1, model.num_embeddings)
        if model.input_size is None:
            raise ValueError(f"model: expected one that reads a fixed number of numbers, got {model!r}")
        return cls(model.input_size)

    @property
    def dtype(self) -> np.dtype:
        """Of raw bodies and frames."""
        return np.dtype("<i8" if self.indices else "<f4")

    def step_shape(self) -> tuple[int, ...]:
        """Return the shape of one step."""
        return () if self.indices else (self.size,)


# Bodies


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """Return a request's body, of which no more than `limit` bytes are ever kept, if it comes in time."""
    too_large = HTTPException(413, f"body: expected at most {limit} bytes")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise too_large
    except ClientDisconnect:
        raise HTTPException(400, "body: expected all of it, and the client has gone") from None
    except TimeoutError:
        sentence = f"body: expected all of it within {seconds:g} seconds, got {len(body)} bytes"
        raise HTTPException(408, sentence, {"Connection": "close"}) from None
    return bytes(body)


def media_type(request: Request) -> str:
    """Return the one of our three types that a body is of; JSON if it does not say."""
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind not in (JSON, RAW, NPY):
        raise HTTPException(415, f"content-type: expected {JSON}, {RAW} or {NPY}, got {kind!r}")
    return kind


def read_sequence(kind: str, body: bytes, inputs: Inputs, max_steps: int) -> np.ndarray:
    """Return a body's sequence: (T, I) of finite float32, or (T,) of indices."""
    try:
        if kind == JSON:
            array = from_json(body, inputs, max_steps)
        else:
            array = from_npy(body) if kind == NPY else from_raw(body, inputs)
    except (ValueError, OverflowError) as error:
        raise HTTPException(400, f"body: {error}") from None
    return as_sequence(array, inputs, max_steps)


def from_raw(body: bytes, inputs: Inputs) -> np.ndarray:
    """Return steps one after another without a header."""
    size = inputs.dtype.itemsize * inputs.size
    if len(body) % size:
        raise ValueError(f"expected a multiple of {size} bytes, of {inputs.dtype.name}, got {len(body)}")
    return np.frombuffer(body, inputs.dtype).reshape(-1, *inputs.step_shape())


def from_npy(body: bytes) -> np.ndarray:
    """Return the array of a .npy file. Its header is believed only if the body is as long as it says."""
    file = io.BytesIO(body)
    version = npy.read_magic(file)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"expected .npy of version 1.0 or 2.0, got {version}")
    try:
        shape, fortran_order, dtype = readers[version](file)
    except Exception as error:  # of many kinds: NumPy reads the header as Python's text
        raise ValueError(f"expected a header of .npy ({error})") from error
    data = body[file.tell() :]
    if dtype.kind not in "fiu" or min(shape, default=0) < 0:
        raise ValueError(f"expected numbers, got dtype {dtype} and shape {shape}")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"expected {shape} of {dtype}, got {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")


def response(kind: str, y: np.ndarray) -> Response:
    """Return an output in the form in which its input came."""
    if kind == JSON:
        # Part by part: in between, other threads may have the interpreter lock.
        parts = (as_json(y[k : k + PART])[1:-1] for k in range(0, len(y), PART))
        body = b'{"y":[%s]}' % b",".join(parts)
    elif kind == RAW:
        body = y.astype("<f4").tobytes()
    else:
        file = io.BytesIO()
        npy.write_array(file, y)
        body = file.getvalue()
    return Response(body, media_type=kind)


# What goes to the model


def as_sequence(array: np.ndarray, inputs: Inputs, max_steps: int) -> np.ndarray:
    """Return a sequence (T, I) of finite float32, or (T,) of indices."""
    shape = inputs.step_shape()
    if array.ndim != 1 + len(shape) or array.shape[1:] != shape:
        expected = "(T,)" if inputs.indices else f"(T, {inputs.size})"
        raise HTTPException(422, f"x: expected shape {expected}, got {array.shape}")
    if len(array) > max_steps:
        raise HTTPException(422, f"x: expected at most {max_steps} steps, got {len(array)}")
    return as_numbers(array, inputs)


def as_numbers(array: np.ndarray, inputs: Inputs) -> np.ndarray:
    """Return finite float32, or indices that the model knows."""
    if array.dtype.kind not in ("iu" if inputs.indices else "fiu"):
        expected = "integers" if inputs.indices else "numbers"
        raise HTTPException(422, f"x: expected {expected}, got dtype {array.dtype}")
    if inputs.indices:
        if array.size and not 0 <= array.min() <= array.max() < inputs.indices:
            raise HTTPException(422, f"x: expected indices from 0 to {inputs.indices - 1}")
        return array.astype(np.int64)
    with np.errstate(over="ignore"):
        floats = array.astype(np.float32)
    if not np.isfinite(floats).all():
        raise HTTPException(422, "x: expected finite numbers in the range of float32")
    return floats


# JSON


def from_json(body: bytes, inputs: Inputs, max_steps: int) -> np.ndarray:
    """Return x of a body {"x": [step, ...]}."""
    check_counts(body, "x", max_steps, inputs.size)
    document = orjson.loads(body)
    if not isinstance(document, dict) or document.keys() != {"x"}:
        raise ValueError('expected {"x": ...}, one sequence')
    steps = as_list(document["x"], "x")
    if inputs.indices:
        return numbers(steps, "x", inputs)
    array = np.empty((len(steps), inputs.size))
    for t, step in enumerate(steps):
        array[t] = step_from(step, f"x[{t}]", inputs)
    return array


def check_counts(text: bytes, name: str, max_steps: int, size: int) -> None:
    """Refuse JSON of more names, lists and items than a sequence has, before it takes memory to find out."""
    names, lists, items = text.count(b":"), text.count(b"[") + text.count(b"{"), text.count(b",") + 1
    if names > 1 or lists > max_steps + 2 or items > max_steps * size + 1:
        got = f"{names} names, {lists} lists and {items} items"
        raise HTTPException(422, f"{name}: expected at most {max_steps} steps of {size} numbers, got {got}")


def as_list(value: object, name: str) -> list[object]:
    """Return a list that was read from JSON, whatever is in it."""
    if not isinstance(value, list):
        raise HTTPException(422, f"{name}: expected a list, got {type(value).__name__}")
    return value


def step_from(value: object, name: str, inputs: Inputs) -> np.ndarray:
    """Return the numbers of one step."""
    if inputs.indices:
        return numbers([value], name, inputs)[0]
    step = as_list(value, name)
    if len(step) != inputs.size:
        raise HTTPException(422, f"{name}: expected {inputs.size} numbers, got {len(step)}")
    return numbers(step, name, inputs)


def numbers(values: list[object], name: str, inputs: Inputs) -> np.ndarray:
    """Return a list that has nothing but numbers as an array. To Python, true and false are other types."""
    expected = frozenset((int,)) if inputs.indices else frozenset((int, float))
    if strange := set(map(type, values)) - expected:
        kinds = ", ".join(sorted(kind.__name__ for kind in strange))
        raise HTTPException(
            422, f"{name}: expected {'integers' if inputs.indices else 'numbers'}, got {kinds}"
        )
    if inputs.indices and values and not 0 <= min(values) <= max(values) < inputs.indices:
        raise HTTPException(422, f"{name}: expected indices from 0 to {inputs.indices - 1}")
    return np.array(values, np.int64 if inputs.indices else np.float64)


# Frames


def read_frame(data: bytes | str, inputs: Inputs) -> np.ndarray:
    """Return one step from a WebSocket's message: bare numbers if it is binary, JSON if it is text."""
    try:
        if isinstance(data, bytes):
            frame = from_raw(data, inputs)
            if len(frame) != 1:
                raise HTTPException(422, f"frame: expected one step, got {len(frame)}")
            frame = frame[0]
        else:
            text = data.encode()
            check_counts(text, "frame", 1, inputs.size)
            frame = step_from(orjson.loads(text), "frame", inputs)
    except (ValueError, OverflowError) as error:
        raise HTTPException(400, f"frame: {error}") from None
    return as_numbers(frame, inputs)


def write_frame(data: bytes | str, y: np.ndarray) -> bytes | str:
    """Return an output in the form in which its frame came."""
    if isinstance(data, bytes):
        return y.astype("<f4").tobytes()
    return as_json(y).decode()


def as_json(y: np.ndarray) -> bytes:
    """Return an array as JSON."""
    return orjson.dumps(np.ascontiguousarray(y), option=orjson.OPT_SERIALIZE_NUMPY)
