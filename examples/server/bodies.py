"""Arrays in and out of requests: JSON, .npy files and bare float32, each refused with a sentence.

What can't be read is answered with 400, what can be read and is nothing for the model with 422.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.lib import format as npy
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from fastlstm import Embedding
from fastlstm.saving import Model

JSON, RAW, NPY = "application/json", "application/octet-stream", "application/x-npy"


@dataclass(frozen=True)
class Inputs:
    """What a model reads: `size` numbers a step, or one index under `indices`."""

    size: int
    indices: int = 0

    @classmethod
    def of(cls, model: Model) -> Inputs:
        """Return what a model reads."""
        layers = getattr(model, "layers", (model,))
        if isinstance(layers[0], Embedding):
            return cls(1, layers[0].num_embeddings)
        names = ("input_size", "in_features", "size")
        sizes = [getattr(layer, name) for layer in layers for name in names if hasattr(layer, name)]
        return cls(sizes[0])

    @property
    def dtype(self) -> np.dtype:
        """Of raw bodies and frames."""
        return np.dtype("<i8" if self.indices else "<f4")

    def step_shape(self) -> tuple[int, ...]:
        """Return the shape of one step."""
        return () if self.indices else (self.size,)


# Bodies


async def read_body(request: Request, limit: int) -> bytes:
    """Return a request's body, of which no more than `limit` bytes are ever kept."""
    too_large = HTTPException(413, f"body: expected at most {limit} bytes")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise too_large
    except ClientDisconnect:
        raise HTTPException(400, "body: expected all of it, and the client has gone") from None
    return bytes(body)


def media_type(request: Request) -> str:
    """Return the one of our three types that a body is of; JSON if it does not say."""
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind not in (JSON, RAW, NPY):
        raise HTTPException(415, f"content-type: expected {JSON}, {RAW} or {NPY}, got {kind!r}")
    return kind


def read_array(kind: str, body: bytes, inputs: Inputs) -> np.ndarray:
    """Return the array that a body holds, of whatever shape and dtype."""
    try:
        if kind == JSON:
            return from_json(body)
        return from_npy(body) if kind == NPY else from_raw(body, inputs)
    except (ValueError, OverflowError) as error:
        raise HTTPException(400, f"body: {error}") from None


def from_json(body: bytes) -> np.ndarray:
    """Return x of a body {"x": ...}."""
    document = orjson.loads(body)
    if not isinstance(document, dict) or document.keys() != {"x"}:
        raise ValueError('expected {"x": ...}, one sequence')
    return np.array(document["x"])


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
        body = orjson.dumps({"y": np.ascontiguousarray(y)}, option=orjson.OPT_SERIALIZE_NUMPY)
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
    if array.shape == (0,):  # JSON's []
        array = np.empty((0, *inputs.step_shape()), inputs.dtype)
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


# Frames


def read_frame(data: bytes | str, inputs: Inputs) -> np.ndarray:
    """Return one step from a WebSocket's message: bare numbers if it is binary, JSON if it is text."""
    try:
        if isinstance(data, bytes):
            frame = from_raw(data, inputs).reshape(inputs.step_shape())
        else:
            frame = np.array(orjson.loads(data))
    except (ValueError, OverflowError) as error:
        raise HTTPException(400, f"frame: {error}") from None
    if frame.shape != inputs.step_shape():
        raise HTTPException(422, f"frame: expected shape {inputs.step_shape()}, got {frame.shape}")
    return as_numbers(frame, inputs)


def write_frame(data: bytes | str, y: np.ndarray) -> bytes | str:
    """Return an output in the form in which its frame came."""
    if isinstance(data, bytes):
        return y.astype("<f4").tobytes()
    return orjson.dumps(np.ascontiguousarray(y), option=orjson.OPT_SERIALIZE_NUMPY).decode()
