"""`fit` going on from any file: it trains, or refuses with a sentence and leaves the model as it was."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastlstm import LSTM, Dropout, Linear, Sequential
from fastlstm.training import Adam, PlateauSchedule, fit, mean_squared_error

from . import bounds, containers

PATH = bounds.FOLDER / "run"
X = list(np.random.default_rng(0).standard_normal((4, 4, 2), np.float32))
Y = [x[:, :1] for x in X]
ANY_BYTES = True


def new_model() -> Sequential:
    """Return a model with all that a checkpoint keeps: weights, and generators of two kinds."""
    return Sequential(
        LSTM(2, 2, num_layers=2, dropout=0.3, rng=0),
        Dropout(0.2, rng=np.random.Generator(np.random.MT19937(0))),
        Linear(2, 1, rng=1),
    )


def train(model: Sequential, path: Path, **options: Any) -> None:
    """Train a little, in a run with all that has a state."""
    defaults = {"epochs": 2, "bptt": 2, "rng": 0}
    fit(
        model,
        (X, Y),
        mean_squared_error,
        optimizer=Adam,
        schedule=lambda optimizer, _: PlateauSchedule(optimizer),
        batch_size=2,
        validation=(X, Y),
        patience=3,
        checkpoint=path,
        checkpoint_every=0.0,
        **defaults | options,
    )


def everything_of(model: Sequential) -> tuple[Any, ...]:
    """Return what a refusal must not change."""
    weights = {name: array.tobytes() for name, array in model.parameters.items()}
    return weights, [str(generator.bit_generator.state) for generator in model.generators]


def seeds() -> Iterator[bytes]:
    """Yield checkpoints of the beginning, the middle of a batch, and the end."""
    with tempfile.TemporaryDirectory() as folder:
        for steps in (1, 2, 3, None):
            path = Path(folder) / f"{steps}"
            train(new_model(), path, max_steps=steps)
            yield path.read_bytes()


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return another file, whose digest is right."""
    return containers.mutated(content, rng)


def run(content: bytes) -> None:
    """Go on from a file."""
    PATH.write_bytes(content)
    model = new_model()
    before = everything_of(model)
    try:
        with bounds.in_proportion(content):
            train(model, PATH, max_steps=8)
    except (ValueError, TypeError) as error:
        if "expected finite numbers" in str(error):
            return  # its numbers were accepted, and training with them came to no good
        assert str(error).startswith("checkpoint: expected"), error
        assert everything_of(model) == before
    except FloatingPointError:
        pass  # as above
