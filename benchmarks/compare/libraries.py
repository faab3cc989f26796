"""The libraries that are compared, what each needs to be there, and which cells it can do.

The code that calls a library is in `adapters`. That folder is no package on purpose: asv imports every
module of the packages it finds, and these need what may be absent.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.metadata import packages_distributions, version
from pkgutil import resolve_name
from typing import Any, Protocol

from .cells import GROUPS, Cell
from .inputs import Array, Inputs


@dataclass(frozen=True)
class Way:
    """One way of asking a library for a cell: the call to time, and the arrays in what it returned."""

    call: Callable[[], Any]
    arrays: Callable[[Any], dict[str, Array]]


class Adapter(Protocol):
    """A library in a worker, started with a number of threads."""

    def __init__(self, threads: int) -> None: ...

    def ways(self, cell: Cell, inputs: Inputs) -> dict[str, Way]:
        """Return the ways of computing a cell by name; the fastest counts."""


@dataclass(frozen=True)
class Library:
    """One column of the table; one that does not count is shown, but neither checked nor compared with."""

    title: str
    adapter: str
    modules: tuple[str, ...]
    can: Callable[[Cell], bool]
    counts: bool = True

    @property
    def installed(self) -> bool:
        return all(importlib.util.find_spec(module) for module in self.modules)

    @property
    def version(self) -> str:
        module = self.modules[-1]
        return version(packages_distributions().get(module, [module])[0])

    def start(self, threads: int) -> Adapter:
        """Import the library and set its threads."""
        return resolve_name(f"{__package__}.adapters.{self.adapter}")(threads)


def _any(cell: Cell) -> bool:
    return True


WHOLE = ("int8", "int4")
"""Precisions that ONNX Runtime alone has anything like: int8."""


def _torch(cell: Cell) -> bool:
    return cell.precision not in WHOLE


def _onnxruntime(cell: Cell) -> bool:
    return not cell.training and cell.precision != "bfloat16"


def _openvino(cell: Cell) -> bool:
    return not cell.training and cell.precision not in WHOLE


def _training(cell: Cell) -> bool:
    return cell.training


def _ragged(cell: Cell) -> bool:
    return cell.ragged


def _fewer_bits(cell: Cell) -> bool:
    return cell.precision is not None


OURS = "fastlstm"
CUDA = "torch-cuda"
PRODUCTS = {"kernels": "fastlstm-kernels", "blas": "fastlstm-blas"}
"""Columns for what may multiply our backward sums."""
LIBRARIES = {
    OURS: Library("fastlstm", "ours:Fastlstm", ("fastlstm",), _any),
    "fastlstm-kernels": Library("by kernels", "ours:ByKernels", ("fastlstm",), _training, counts=False),
    "fastlstm-blas": Library(
        "by BLAS", "ours:ByBlas", ("threadpoolctl", "fastlstm"), _training, counts=False
    ),
    "fastlstm-float32": Library("in float32", "ours:InFloat32", ("fastlstm",), _fewer_bits, counts=False),
    "torch": Library("PyTorch", "pytorch:Torch", ("torch",), _torch),
    "torch-padded": Library("PyTorch padded", "pytorch:Padded", ("torch",), _ragged, counts=False),
    CUDA: Library("PyTorch, cuDNN", "pytorch:Cuda", ("torch",), _torch),
    "onnxruntime": Library("ONNX Runtime", "onnx_runtime:OnnxRuntime", ("onnx", "onnxruntime"), _onnxruntime),
    "openvino": Library("OpenVINO", "open_vino:OpenVino", ("onnx", "openvino"), _openvino),
}


def select(groups: Sequence[str], pattern: str, libraries: Sequence[str]) -> list[list[Cell]]:
    """Return each group's cells whose names match and that a library can do, without empty groups."""
    found = (
        [
            cell
            for cell in GROUPS[group]
            if fnmatch(cell.name, pattern) and any(LIBRARIES[name].can(cell) for name in libraries)
        ]
        for group in groups
    )
    return [cells for cells in found if cells]
