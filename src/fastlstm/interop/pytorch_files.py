"""Tensors in PyTorch's files: state dictionaries, whole modules, TorchScript; archives or older pickles.

What a file's pickle says is read as plain data (`pickles.py`). Its tensors become arrays, named by the keys
and attributes that lead to them; anything else that is an object is left as it is, inert.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import pickles, torch_names
from .budget import DEEPEST, LONGEST_NAME, Archive, Budget
from .parts import Part, Tensor, Told, from_bfloat16, in_order, shown, under
from .pickles import Call, Name, Persistent

NAME = "PyTorch"

STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
"""What numbers a storage has, by its class. Those of bfloat16 are the upper halves of float32."""

REBUILD = (
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_parameter",
)
OTHER_ARRAYS = (
    "torch._utils._rebuild_qtensor",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_nested_tensor",
    "torch._utils._rebuild_meta_tensor_no_storage",
    "torch._utils._rebuild_wrapper_subclass",
    "torch._utils._rebuild_device_tensor_from_numpy",
    "torch._tensor._rebuild_from_type_v2",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray._reconstruct",
)
"""What makes tensors of other kinds, and arrays of NumPy; these are not read."""

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

MOST_VALUES = 1 << 16
"""Values that a file's dictionaries and objects may have; a module of a thousand LSTMs has 20,000."""

_TRANSPARENT = ("_parameters", "_buffers", "_modules")
"""Attributes of a module whose keys are names of the module's own."""


def parts_of(content: bytes, told: Told, prefix: str) -> list[Part]:
    """Return the layers of a file; ValueError if there are none, or it is damaged."""
    found = _read_zip(content) if content[:2] == b"PK" else _read_legacy(content)
    _check_plain(found.others, prefix)
    if not found.tensors:
        raise ValueError(
            "tensors: expected at least one of plain numbers, got none; packed ones are not read"
        )
    return in_order(torch_names.parts_of(found.tensors, found.said, told, prefix), is_ordered=True)


def _check_plain(others: Mapping[str, str], prefix: str) -> None:
    """Raise ValueError if there are tensors of kinds that are not read in what is wanted."""
    for name, maker in others.items():
        if under(name, prefix):
            raise ValueError(
                f"{shown(name)}: expected a plain tensor, got what {maker} makes; "
                "prefix=... names the part of a file that is wanted"
            )


@dataclass
class Found:
    """What a file holds by name: its tensors, the plain attributes beside them, and who makes other tensors.

    Those are quantised ones, sparse ones, arrays of NumPy, and tensors without numbers.
    """

    tensors: dict[str, Tensor]
    said: dict[str, Any]
    others: dict[str, str]


Stored = Callable[[str, str], tuple[bytes, str]]
"""Returns the bytes of a storage and its dtype, from its key and its class's name."""


def _read_zip(content: bytes) -> Found:
    archive = Archive(content)
    pickled = [name for name in archive.names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if any(name.endswith("/models/model.json") for name in archive.names):
        raise ValueError(
            "archive: expected a state dictionary, a module or TorchScript, got a program of torch.export: "
            "save the module's state_dict()"
        )
    if len(pickled) != 1:
        raise ValueError(f"archive: expected a data.pkl of PyTorch's, got {len(pickled)}")
    folder = pickled[0].removesuffix("data.pkl")
    order = archive.read(f"{folder}byteorder") if f"{folder}byteorder" in archive.names else b"little"
    if order.strip() != b"little":
        raise ValueError(f"byteorder: expected little, got {order[:20]!r}")
    known: dict[str, bytes] = {}

    def stored(key: str, kind: str) -> tuple[bytes, str]:
        if key not in known:
            known[key] = archive.read(f"{folder}data/{key}")
        return known[key], _numbers(kind)

    root = pickles.read(io.BytesIO(archive.read(pickled[0])))
    return _found(root, stored, Budget.of(len(content)))


def _read_legacy(content: bytes) -> Found:
    """Return what a file of PyTorch before 1.6 holds: pickles, and then the storages one after another."""
    file = io.BytesIO(content)
    if pickles.read(file) != LEGACY_MAGIC:
        raise ValueError("pickle: expected one that torch.save wrote, got another")
    pickles.read(file)  # the protocol's version
    system = pickles.read(file)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("little_endian: expected True, got another byte order")
    root = pickles.read(file)
    _check_plain(_others(root), "")  # how long their storages are is not known
    keys = pickles.read(file)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("keys: expected a list of the storages' keys, got none")
    kinds = {key: kind for key, kind, _ in _storages(root)}
    known: dict[str, bytes] = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        size = count * np.dtype(_numbers(kinds.get(key, ""))).itemsize
        known[key] = file.read(min(size, len(content)))
        if len(known[key]) != size:
            raise ValueError(f"storage {key[:100]}: expected {size} bytes, got {len(known[key])}")

    def stored(key: str, kind: str) -> tuple[bytes, str]:
        if key not in known:
            raise ValueError(f"storage {key[:100]}: expected one in the file, got none")
        return known[key], _numbers(kind)

    return _found(root, stored, Budget.of(len(content)))


def _numbers(kind: str) -> str:
    """Return the dtype of a storage's numbers."""
    if kind not in STORAGES:
        raise ValueError(f"storage: expected one of {', '.join(STORAGES)}, got {kind[:100]!r}")
    return STORAGES[kind]


def _found(root: Any, stored: Stored, budget: Budget) -> Found:
    found = Found({}, {}, _others(root))
    for name, value in _leaves(root):
        if _is_tensor(value):
            found.tensors[name] = _tensor(name, value, stored, budget)
        elif type(value) in (bool, int, float, str):
            found.said[name] = value
    return found


def _others(root: Any) -> dict[str, str]:
    """Return who makes the tensors of kinds that are not read, by the names of these."""
    return {name: value.function.full for name, value in _leaves(root) if _is_other_array(value)}


def _leaves(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is no container by its name, in the order of the file."""
    waiting: list[tuple[str, Any, int]] = [("", root, 0)]
    visited = 0
    while waiting:
        name, value, depth = waiting.pop()
        visited += 1
        if visited > MOST_VALUES or depth > DEEPEST or len(name) > LONGEST_NAME:
            raise ValueError(f"{name[:100]}: expected fewer, less deep or shorter names, got no model's")
        children = None if _is_tensor(value) or _is_other_array(value) else _children(value)
        if children is None:
            yield name, value
        else:
            waiting.extend((_joined(name, key), child, depth + 1) for key, child in reversed(children))


def _joined(name: str, key: str) -> str:
    if key in _TRANSPARENT:
        return name
    return f"{name}.{key}" if name else key


def _children(value: Any) -> list[tuple[str, Any]] | None:
    """Return what a container holds by name; None if it is none."""
    if isinstance(value, Call):
        value = _ordered(value) | value.items | _attributes(value.state)
    if isinstance(value, dict):
        return [(str(key), child) for key, child in value.items() if isinstance(key, (str, int))]
    if isinstance(value, (list, tuple)):
        return [(str(place), child) for place, child in enumerate(value)]
    return None


def _ordered(call: Call) -> dict[Any, Any]:
    """Return what an ordered dictionary was made of, as Python 2 wrote them: a list of pairs."""
    match call:
        case Call(function=Name(full="collections.OrderedDict"), arguments=([*pairs],)):
            return {key: child for key, child in pairs if isinstance(key, (str, int))}
    return {}


def _attributes(state: Any) -> dict[Any, Any]:
    """Return the attributes of an object that lead to parameters, or are told: no private ones."""
    if not isinstance(state, dict):
        return {}
    return {
        key: child
        for key, child in state.items()
        if key in _TRANSPARENT or not (isinstance(key, str) and key.startswith("_"))
    }


def _storages(root: Any) -> Iterator[tuple[str, str, int]]:
    """Yield key, class and count of every storage that a pickle's tensors lie in."""
    for name, value in _leaves(root):
        if _is_tensor(value):
            yield _storage_of(name, value)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Call) and isinstance(value.function, Name) and value.function.full in REBUILD


def _is_other_array(value: Any) -> bool:
    """Return whether a value is a tensor or an array of a kind that is not read."""
    return (
        isinstance(value, Call) and isinstance(value.function, Name) and value.function.full in OTHER_ARRAYS
    )


def _unwrapped(name: str, call: Call) -> tuple[Any, ...]:
    """Return the arguments that a tensor is made with; those of what it wraps, if it is a parameter."""
    for _ in range(DEEPEST):
        arguments = call.arguments
        if not isinstance(arguments, tuple) or not arguments:
            break
        if not call.function.full.endswith("_parameter"):
            return arguments
        if not _is_tensor(arguments[0]):
            break
        call = arguments[0]
    raise ValueError(f"{name[:100]}: expected a tensor, got a damaged one")


def _storage_of(name: str, call: Call) -> tuple[str, str, int]:
    """Return key, class and count of the storage that a tensor lies in."""
    match _unwrapped(name, call)[0]:
        case Persistent(id=("storage", Name(full=kind), str(key), str(), int(count), *_)):
            return key, kind.rpartition(".")[2], count
    raise ValueError(f"{name[:100]}: expected a tensor that lies in the file, got another")


def _tensor(name: str, call: Call, stored: Stored, budget: Budget) -> Tensor:
    key, kind, _ = _storage_of(name, call)
    match _unwrapped(name, call):
        case (_, int(offset), tuple(shape), tuple(strides), *_) if len(shape) == len(strides):
            pass
        case _:
            raise ValueError(f"{name[:100]}: expected an offset, a shape and strides, got another tensor")
    if not all(type(number) is int and 0 <= number < 1 << 40 for number in (offset, *shape, *strides)):
        raise ValueError(f"{name[:100]}: expected sizes of at least 0, got {shape} and {strides}"[:300])
    data, dtype = stored(key, kind)
    storage = np.frombuffer(data, dtype, len(data) // np.dtype(dtype).itemsize)
    count = math.prod(shape)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if len(shape) > 8 or (count and last >= len(storage)):
        raise ValueError(f"{name[:100]}: expected {count} numbers in its storage, got {len(storage)}")
    budget.take(count * 4, name)
    if not count:
        return np.zeros(shape, dtype)
    steps = [stride * storage.itemsize for stride in strides]
    array = np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)
    return from_bfloat16(array) if kind == "BFloat16Storage" else array
