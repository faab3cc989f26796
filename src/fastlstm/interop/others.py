"""Files of other frameworks: which format it is, told by its bytes, and the model that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ..model.sequential import Sequential
from ..model.wiring import AnyLayer
from .parts import Part, as_told, model_of

MODULES = {
    "zip": "pytorch_files",
    "pickle": "pytorch_files",
    "safetensors": "safetensors_files",
    "keras": "keras_files",
    "hdf5": "keras_files",
    "msgpack": "flax_files",
    "graph": "tensorflow_files",
    "onnx": "onnx.loading",
}
"""Which module reads a format: each has `NAME`, and `parts_of`, and needs no other framework."""

READ_BESIDE = ("onnx",)
"""Formats whose readers take the file's path, too, as a part of it may lie in files beside it."""


@dataclass(frozen=True)
class Source:
    """What a file of another framework holds.

    Attributes
    ----------
    framework : str
    parts : list of Part
        In the order of the model.
    """

    framework: str
    parts: list[Part]


def format_of(content: bytes) -> str | None:
    """Return which format bytes are in, told by how they begin: a key of `MODULES`, None for none."""
    if content[8:9] in (b"{", b"[") and content[4:8] == bytes(4):
        return "safetensors"
    if content[:4] == b"PK\x03\x04":
        return "keras" if b"model.weights.h5" in content[-65_536:] else "zip"
    if content[:8] == b"\x89HDF\r\n\x1a\n":
        return "hdf5"
    if content[:1] == b"\x80" and content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    if content[:1] == b"\x08" and content[1:2] < b"\x20":
        return "onnx"
    if content[:1] == b"\x0a":
        return "graph"
    if content[:1] and (0x81 <= content[0] <= 0x8F or content[:1] in (b"\xde", b"\xdf")):
        return "msgpack"
    return None


def source_of(
    content: bytes, name: str, prefix: str, given: Mapping[str, Any], path: Path | None = None
) -> Source:
    """Return the layers of bytes in a format; ValueError, TypeError or SafetensorError if there are none.

    A path is where the bytes are from, if they are from a file.
    """
    reader = import_module(f".{MODULES[name]}", __package__)
    beside = [path] if name in READ_BESIDE else []
    return Source(reader.NAME, reader.parts_of(content, as_told(given), prefix, *beside))


def model_in(
    content: bytes, name: str, prefix: str, given: Mapping[str, Any], path: Path | None = None
) -> AnyLayer | Sequential:
    """Return the model of bytes in a format, as `source_of`."""
    return model_of(source_of(content, name, prefix, given, path).parts)
