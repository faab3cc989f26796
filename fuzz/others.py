"""`fastlstm.load` on files of other frameworks: a model, or the sentence of a refusal."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import safetensors.numpy

import fastlstm
from fastlstm.interop import hdf5

from . import bounds

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "others"
SENTENCE = "path: expected "
ANY_BYTES = True
LARGEST = 40_000
hdf5.SECONDS = 3.0  # libFuzzer's own limit is for all that a run does


def seeds() -> Iterator[bytes]:
    """Yield a file of each format."""
    lstm = fastlstm.LSTM(2, 3, bidirectional=True, proj_size=2, rng=0)
    yield safetensors.numpy.save(lstm.state_dict())
    for path in sorted(GOLDEN.iterdir()):
        if path.suffix not in (".py", ".npz") and path.stat().st_size <= LARGEST:
            yield path.read_bytes()


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return another file: some bytes changed, left out or repeated, or the end cut off."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        place = rng.randrange(len(data) + 1)
        length = rng.choice([1, 1, 2, 4, 8, 64])
        change = rng.randrange(5)
        if change == 0:
            data[place : place + length] = rng.randbytes(length)
        elif change == 1:
            data[place : place + length] = rng.choice([b"\x00", b"\xff"]) * length
        elif change == 2:
            del data[place : place + length]
        elif change == 3:
            data[place:place] = data[place : place + length]
        elif len(data) > 1:
            data[place - 1] ^= 1 << rng.randrange(8)
    return bytes(data)


def run(content: bytes) -> None:
    """Load a file, without what is told, and with all of it."""
    for told in ({}, {"nonlinearity": "tanh", "masked": True, "batch_first": True}):
        try:
            with bounds.in_proportion(content):
                model = fastlstm.load(content, **told)
        except ValueError as error:
            if not str(error).startswith(SENTENCE):
                raise
            continue
        assert model.num_parameters >= 0
