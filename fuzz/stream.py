"""Pickled models and streams whose numbers and arrays were changed: they run, or are refused.

A pickle is a program, and whoever unpickles one trusts it (SECURITY.md): its names and its structure stay as
they are here. What is changed are the integers, the floats and the bytes of arrays, as a damaged disk would.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import pickletools
import random
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastlstm import LSTM, RNN, Dropout, Embedding, Linear, Sequential

from .json_values import near

PROTOCOL = 3
"""Without frames, whose lengths would have to be made anew."""

NUMBERS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
"""Operations that put a number on the pickle's stack."""

ANY_BYTES = False
"""What libFuzzer would make of a pickle is another program."""

REFUSALS = (ValueError, TypeError, MemoryError, OverflowError)


def seeds() -> Iterator[bytes]:
    """Yield a pickle of each kind of stream, in the middle of a sequence."""
    for model, batch_size, x in (
        (LSTM(2, 3, 2, rng=0), None, np.ones(2)),
        (LSTM(2, 3, proj_size=2, batch_first=True, dtype="float64", rng=0), 2, np.ones((2, 2))),
        (RNN(2, 3, 2, "relu", rng=0), None, np.ones(2)),
        (
            Sequential(Embedding(4, 2, rng=0), LSTM(2, 3, rng=1), Dropout(0.5, rng=0), Linear(3, 2, rng=2)),
            2,
            np.ones(2, int),
        ),
    ):
        stream = model.stream(batch_size)
        stream.step(x)
        yield pickle.dumps(stream, PROTOCOL)


KNOWN = {
    (module, name)
    for module, _, name in (
        str(argument).partition(" ")
        for seed in seeds()
        for opcode, argument, _ in pickletools.genops(seed)
        if opcode.name == "GLOBAL"
    )
}


class Unpickler(pickle.Unpickler):
    """Finds what the seeds name and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names."""
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name}: expected a name of the seeds")
        return super().find_class(module, name)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return a pickle in which one to three numbers, or bytes of an array, are others."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        argument, place, end = rng.choice(list(_changeable(content)))
        content = content[:place] + _changed(argument, content[place:end], rng) + content[end:]
    return content


def _changeable(content: bytes) -> Iterator[tuple[Any, int, int]]:
    """Yield each number and each array's bytes, with their place in a pickle.

    Those of a dtype are left out, and the length, 0, and type, one letter, that an array begins with before
    its state is set: NumPy believes them, and fails in its own memory.
    """
    operations = list(pickletools.genops(content))
    ends = [place for _, _, place in operations[1:]] + [len(content)]
    memo = dict[str, int]()  # by which the two classes are called from then on
    in_dtype, named = False, ""
    for (opcode, argument, place), end in zip(operations, ends, strict=True):
        if opcode.name == "BINPUT" and named:
            memo.setdefault(named, argument)
            continue
        before, named = named, ""
        if opcode.name == "GLOBAL":
            named = argument if argument in ("numpy dtype", "numpy ndarray") else ""
        elif opcode.name == "BINGET":
            named = next((name for name, number in memo.items() if number == argument), "")
        elif opcode.name == "BUILD":
            in_dtype = False
        elif (
            not in_dtype
            and before != "numpy ndarray"
            and (opcode.name in NUMBERS or (isinstance(argument, bytes) and len(argument) > 1))
        ):
            yield argument, place, end
        in_dtype = named == "numpy dtype" or (in_dtype and opcode.name != "GLOBAL")


def _changed(argument: Any, operation: bytes, rng: random.Random) -> bytes:
    """Return the operation that puts another value in the place of `argument`."""
    if isinstance(argument, bytes):
        flipped = bytearray(operation)
        flipped[-1 - rng.randrange(len(argument))] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    if isinstance(argument, float):
        return b"G" + struct.pack(">d", rng.choice([near(argument, rng), float("nan"), float("inf"), -1.0]))
    value = rng.choice([near(argument, rng), 0, 1, -1, 2**31, 2**61, 2**63, 10**9])
    encoded = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def run(content: bytes) -> None:
    """Unpickle a stream and do with it whatever can be done."""
    if not content:  # with which libFuzzer begins
        return
    try:
        stream = Unpickler(io.BytesIO(content)).load()
    except (*REFUSALS, pickle.PickleError):  # the latter from NumPy's generators
        return
    for x in (np.ones(2), np.ones((2, 2)), np.ones(2, int)):
        for use in (stream.step, stream.copy().step, lambda x, stream=stream: stream.feed(x[None])):
            with contextlib.suppress(REFUSALS):
                use(x)
    assert repr(stream)
    Unpickler(io.BytesIO(pickle.dumps(stream, PROTOCOL))).load()
    stream.reset()
