"""`fastlstm.load` on any file: a model that saves and loads again, or the sentence of a refusal."""

from __future__ import annotations

import random
from collections.abc import Iterator

import fastlstm
from fastlstm import LSTM, RNN, Dropout, Embedding, LastStep, LayerNorm, Linear, ReLU, Sequential, Tanh
from fastlstm.files.description import described

from . import bounds, containers

PATH = bounds.FOLDER / "model"
SENTENCES = (
    "path: expected a model that this fastlstm's save wrote, got ",
    "path: expected layers that fastlstm has, got ",  # where what says whose file it is was changed
)
ANY_BYTES = True


def seeds() -> Iterator[bytes]:
    """Yield a file of each kind of model."""
    for model in (
        LSTM(2, 3, rng=0),
        LSTM(2, 3, 2, False, True, 0.25, True, 2, dtype="float64", rng=0),
        RNN(2, 3, 2, "relu", bidirectional=True, rng=0),
        Linear(2, 1, bias=False, rng=0),
        Sequential(Embedding(4, 2, rng=0), LSTM(2, 3, rng=1), LayerNorm(3), Dropout(0.5), LastStep()),
        Sequential(*(kind() for kind in [Tanh, ReLU] * 5)),
    ):
        fastlstm.save(model, PATH)
        yield PATH.read_bytes()


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return another file, whose digest is right."""
    return containers.mutated(content, rng)


def run(content: bytes) -> None:
    """Load a file; save and load what came, which must then be the same."""
    PATH.write_bytes(content)
    try:
        with bounds.in_proportion(content):
            model = fastlstm.load(PATH)
    except ValueError as error:
        if not str(error).startswith(SENTENCES):
            raise
        return
    fastlstm.save(model, PATH)
    again = fastlstm.load(PATH)
    assert described(again) == described(model)
    assert {name: array.tobytes() for name, array in again.parameters.items()} == {
        name: array.tobytes() for name, array in model.parameters.items()
    }
    assert repr(again) == repr(model)
