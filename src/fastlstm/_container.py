"""Arrays and a description of them in one safetensors file, under a digest of both.

Nothing in a file is ever imported or run; damage does not go unseen.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from ._files import write_whole

VERSION = "1"

DTYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8"}

Tensors = Mapping[str, NDArray[Any]]

DAMAGED = (ValueError, TypeError, RecursionError, safetensors.SafetensorError)
"""What `read`, and whoever understands a description, may raise on a file that is not as it should be."""


def write(path: str | os.PathLike[str], kind: str, description: Any, tensors: Tensors) -> None:
    """Write a file of some kind, whole or not at all; `description` is anything that JSON can hold."""
    text = json.dumps(description)
    arrays = {name: np.asarray(array) for name, array in tensors.items()}
    metadata = {
        "format": kind,
        "version": VERSION,
        "description": text,
        "sha256": _digest(text, arrays),
    }
    write_whole(path, safetensors.numpy.save(arrays, metadata))


def read(path: str | os.PathLike[str], kind: str) -> tuple[Any, dict[str, NDArray[Any]]]:
    """Return the description and the tensors of a file of that kind.

    Raises
    ------
    DAMAGED
        If it is none, or not whole, or has been changed.
    OSError
        If it can't be read.
    """
    content = Path(path).read_bytes()
    tensors = {}
    deserialize: Any = safetensors.deserialize
    for name, tensor in deserialize(content):
        if tensor["dtype"] not in DTYPES:
            raise ValueError(f"{name}: expected numbers of {' or '.join(DTYPES)}, got {tensor['dtype']}")
        array = np.frombuffer(tensor["data"], DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
        tensors[name] = array.astype(array.dtype.newbyteorder("="), copy=False)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata = as_dict(header.get("__metadata__"), "metadata")
    for name, expected in (("format", kind), ("version", VERSION)):
        if metadata.get(name) != expected:
            raise ValueError(f"{name}: expected {expected!r}, got {metadata.get(name)!r}")
    text = metadata.get("description")
    if not isinstance(text, str):
        raise ValueError("description: expected one in the metadata, got none")
    if metadata.get("sha256") != _digest(text, tensors):
        raise ValueError("sha256: expected the digest of the content, got another")
    return json.loads(text), tensors


def as_dict(value: object, name: str) -> dict[str, Any]:
    """Return a mapping of a description; ValueError if it is none."""
    if not isinstance(value, dict):
        raise ValueError(f"{name}: expected a mapping, got {type(value).__name__}")
    return value


def _digest(text: str, tensors: Tensors) -> str:
    """Return a digest of all that makes the content what it is."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.name} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
