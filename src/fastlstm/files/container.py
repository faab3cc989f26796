"""Arrays and a description of them in one safetensors file, under a digest of both.

Nothing in a file is ever imported or run; damage is noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from ..model.checks import as_dict
from .whole import write_whole

VERSION = "1"

DTYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "I8": "|i1"}

Tensors = Mapping[str, NDArray[Any]]

DAMAGED = (ValueError, TypeError, RecursionError, safetensors.SafetensorError)
"""What `read`, and code that interprets a description, may raise for a file that is damaged."""

# The bounds of what stands beside the arrays. JSON takes up to forty times as much memory in Python as in the
# file, its depth is the C stack's where the recursion limit was raised, and a whole number takes as much time
# as the square of its length. Models stay below: a thousand LSTMs have a header of 0.5 MB, and checkpoints of
# theirs one of 2.6 MB.

LONGEST_HEADER = 4 << 20
"""Bytes that names, shapes and the description may have together."""

MOST_VALUES = 1 << 18
"""Values that JSON may have, lists and mappings included."""

DEEPEST = 16
"""How deep lists and mappings may lie in each other."""

MOST_DIGITS = 40
"""Digits that a whole number may have; 2**128, as in the states of generators, has 39."""

LONGEST_QUOTE = 300
"""How many characters of a file's content a message quotes."""


def write(path: str | os.PathLike[str], kind: str, description: Any, tensors: Tensors) -> None:
    """Write a file of some kind, whole or not at all; `description` is anything that JSON can hold.

    Raises
    ------
    ValueError
        If there is more of it than `read` takes, or something else than a file at the path.
    TypeError
        If a tensor is neither float32, float64, int64 nor int8.
    OSError
        If it can't be written.
    """
    text = json.dumps(description)
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    for name, array in arrays.items():
        if array.dtype.newbyteorder("<").str not in DTYPES.values():
            raise TypeError(
                f"{name}: expected an array of float32, float64, int64 or int8, got {array.dtype}"
            )
    metadata = {
        "format": kind,
        "version": VERSION,
        "description": text,
        "sha256": _digest(text, arrays),
    }
    content = safetensors.numpy.save(arrays, metadata)
    from_json(_header(content))
    from_json(text)
    write_whole(path, content)


def read(path: str | os.PathLike[str], kind: str) -> tuple[Any, dict[str, NDArray[Any]]]:
    """Return the description and the tensors of a file of that kind.

    Raises
    ------
    DAMAGED
        If it is none, or not whole, or has been changed.
    OSError
        If it can't be read.
    """
    return parsed(_content(path), kind)


def parsed(content: bytes, kind: str) -> tuple[Any, dict[str, NDArray[Any]]]:
    """Return the description and the tensors of a file's bytes, as `read` does."""
    metadata = as_dict(header_of(content).get("__metadata__"), "metadata")
    tensors = {}
    for name, tensor in entries(content):
        if tensor["dtype"] not in DTYPES:
            raise ValueError(f"{name}: expected numbers of {' or '.join(DTYPES)}, got {tensor['dtype']}")
        array = np.frombuffer(tensor["data"], DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
        tensors[name] = array.astype(array.dtype.newbyteorder("="), copy=False)
    for name, expected in (("format", kind), ("version", VERSION)):
        if metadata.get(name) != expected:
            raise ValueError(f"{name}: expected {expected!r}, got {metadata.get(name)!r}")
    text = metadata.get("description")
    if not isinstance(text, str):
        raise ValueError("description: expected one in the metadata, got none")
    if metadata.get("sha256") != _digest(text, tensors):
        raise ValueError("sha256: expected the digest of the content, got another")
    return from_json(text), tensors


def header_of(content: bytes) -> dict[str, Any]:
    """Return the header of a safetensors file: what it says of its tensors, and its metadata."""
    return as_dict(from_json(_header(content)), "header")


def entries(content: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return the tensors of a safetensors file, each with its name, dtype, shape and bytes."""
    deserialize: Any = safetensors.deserialize
    found: list[tuple[str, dict[str, Any]]] = deserialize(content)
    return found


def refusal(name: str, expected: str, path: Path, error: Exception) -> ValueError:
    """Return what to raise for a file that is not what was expected, and why it is not."""
    return ValueError(f"{name}: expected {expected}, got {os.fspath(path)!r} ({shortened(str(error))})")


def shortened(text: str) -> str:
    """Return as much of a text as a message may quote."""
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]} ..."


def _content(path: str | os.PathLike[str]) -> bytes:
    """Return a file's bytes. The rest is read only if the beginning is right: a device may have no end."""
    with open(path, "rb") as file:
        start = file.read(8)
        _header_length(start)
        return start + file.read()


def _header_length(content: bytes) -> int:
    """Return how long a file says its header is."""
    length = int.from_bytes(content[:8], "little")
    if not 2 <= length <= LONGEST_HEADER:
        raise ValueError(f"header: expected 2 to {LONGEST_HEADER} bytes, got {length}")
    return length


def _header(content: bytes) -> str:
    return content[8 : 8 + _header_length(content)].decode()


STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
ALL_BUT_SIGNS = re.compile(r"[^][{},]+")
STEPS = {"[": 1, "{": 1, "]": -1, "}": -1, ",": 0}
"""By how much each sign changes the depth. A text has at most one value more than signs."""


def from_json(text: str, deepest: int = DEEPEST) -> Any:
    """Return what a text says; ValueError, before memory is asked for, if it is beyond the bounds."""
    signs = ALL_BUT_SIGNS.sub("", STRINGS.sub("", text))
    if len(signs) > MOST_VALUES:
        raise ValueError(f"description: expected at most {MOST_VALUES} values, got {len(signs)}")
    depth = max(accumulate(STEPS[sign] for sign in signs), default=0)
    if depth > deepest:
        raise ValueError(f"description: expected lists and mappings {deepest} deep at most, got {depth}")
    return json.loads(text, parse_int=_whole_number)


def _whole_number(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"description: expected numbers of {MOST_DIGITS} digits, got one of {len(digits)}")
    return int(digits)


def _digest(text: str, tensors: Tensors) -> str:
    """Return a digest of all that makes the content what it is."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.name} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
