"""Files of other frameworks, written by golden/others/make.py, and what the frameworks gave for them."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastlstm

FOLDER = Path(__file__).parent / "golden" / "others"
with np.load(FOLDER / "results.npz") as _file:
    RESULTS = dict(_file)

MEMORY = 32 << 20
"""Bytes that loading a file of a few KB may take, whatever stands in it."""


def content(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def output(model: Any, x: NDArray[Any], **told: Any) -> NDArray[Any]:
    """Return y of a model of any kind."""
    y = model(x, **told)
    return y[0] if isinstance(y, tuple) else y


def check_refused(data: bytes, sentence: str, **told: Any) -> None:
    """Assert that bytes are refused with a sentence, and take little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"^path: expected ") as refusal:
            fastlstm.load(data, **told)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sentence in str(refusal.value), refusal.value
    assert peak < MEMORY


class Refused(Exception):
    """A sentence, as it should be."""


def load_or_refuse(data: bytes, **told: Any) -> None:
    """Load bytes; raise Refused if they are refused with the sentence of a file."""
    try:
        fastlstm.load(data, **told)
    except ValueError as error:
        if not str(error).startswith("path: expected "):
            raise
        raise Refused from error


def check_damaged(name: str, count: int, **told: Any) -> None:
    """Assert that a file that was cut off or changed is refused with a sentence, or gives a model."""
    whole, rng = content(name), np.random.default_rng(0)
    for k in range(count):
        data = bytearray(whole)
        if k % 4 == 0:
            del data[int(rng.integers(len(data))) :]
        else:
            for place in rng.integers(len(data), size=1 + k % 3):
                data[place] ^= 1 << int(rng.integers(8)) if k % 2 else int(rng.integers(256))
        with suppress(Refused):
            load_or_refuse(bytes(data), **told)
