"""Tensors in safetensors files that another framework wrote, under PyTorch's names."""

from __future__ import annotations

import numpy as np

from ..files.container import entries, header_of
from . import torch_names
from .parts import Part, Tensor, Told, from_bfloat16, in_order

NAME = "safetensors"

DTYPES = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4"}

OURS = (b'"sha256"', b'"description"', b'"fastlstm')
"""What the header of this package's own files has; damage may have spared one of these alone."""


def is_ours(content: bytes) -> bool:
    """Return whether a file is one that `save` wrote, or was, or is too damaged to tell."""
    end = 8 + int.from_bytes(content[:8], "little")
    return len(content) < end or any(sign in content[8:end] for sign in OURS)


def parts_of(content: bytes, told: Told, prefix: str) -> list[Part]:
    """Return the layers of a file; SafetensorError or ValueError if there are none, or it is damaged."""
    header_of(content)  # within bounds
    named: dict[str, Tensor] = {}
    for name, tensor in entries(content):
        if tensor["dtype"] not in DTYPES:
            raise ValueError(f"{name[:100]}: expected numbers of {', '.join(DTYPES)}, got {tensor['dtype']}")
        array = np.frombuffer(tensor["data"], DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
        named[name] = from_bfloat16(array) if tensor["dtype"] == "BF16" else array
    return in_order(torch_names.parts_of(named, {}, told, prefix), is_ordered=False)
