"""Changes to the package's files that get past their digest, which is made anew."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from fastlstm.files import container

from . import json_values

Tensors = dict[str, NDArray[Any]]


def taken_apart(content: bytes) -> tuple[dict[str, str], Tensors]:
    """Return a file's metadata and tensors; ValueError or SafetensorError if it is not such a file."""
    tensors = safetensors.numpy.load(content)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or "description" not in metadata:
        raise ValueError("metadata: expected a description, got none")
    return metadata, tensors


def put_together(metadata: dict[str, str], tensors: Tensors) -> bytes:
    """Return a file with that content, and the digest that belongs to it."""
    known = {name: array for name, array in tensors.items() if array.dtype.str in container.DTYPES.values()}
    return safetensors.numpy.save(
        tensors, metadata | {"sha256": container._digest(metadata["description"], known)}
    )


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return a file with other content and the right digest."""
    metadata, tensors = taken_apart(content)
    for _ in range(rng.choice([1, 1, 2, 4])):
        change = rng.randrange(10)
        if change < 6 or not tensors:
            document = json_values.mutated(json.loads(metadata["description"]), rng)
            metadata["description"] = json.dumps(document)
        elif change == 6:
            metadata["description"] = _mangled(metadata["description"], rng)
        else:
            _mutate_tensor(tensors, rng)
    return put_together(metadata, tensors)


def _mangled(text: str, rng: random.Random) -> str:
    """Return a text with a piece left out and something else in its place."""
    start = rng.randrange(len(text) + 1)
    end = min(len(text), start + rng.choice([0, 1, 1, 3, 20]))
    filling = rng.choice(["", "0", "9" * 5000, "1e999", "[" * 2000, '"', ",", "null", "{}", "\x00"])
    return text[:start] + filling + text[end:]


def _mutate_tensor(tensors: Tensors, rng: random.Random) -> None:
    """Change one tensor: left out, under another name, of another shape or dtype, with another number."""
    name = rng.choice(sorted(tensors))
    array = tensors.pop(name)
    change = rng.randrange(6)
    if change == 1:
        name = rng.choice([name + "0", "0." + name, "model/" + name, "", name.partition("/")[2]])
    elif change == 2:
        array = array.reshape(rng.choice([(-1,), (1, *array.shape), (*array.shape, 1), array.shape[::-1]]))
    elif change == 3:
        array = array[:-1] if array.ndim else array.reshape(1)
    elif change == 4:
        array = array.astype(rng.choice(["<f4", "<f8", "<i8", "<i4", "?"]))
    elif change == 5 and array.size:
        array = array.copy()
        array.flat[rng.randrange(array.size)] = rng.choice(
            [0, -1, 2**31, 2**62] if array.dtype.kind == "i" else [np.nan, np.inf, -1.0]
        )
    if change:
        tensors[name] = np.ascontiguousarray(array)
