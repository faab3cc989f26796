"""What all libraries compute with: a cell's input, its gradient of the output and its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastlstm

from .cells import SEED, Cell

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Inputs:
    """x is (T, B, I), dy as y, lengths (B,), and the parameters are named and shaped as PyTorch's."""

    x: Array
    dy: Array
    lengths: NDArray[np.int64]
    parameters: dict[str, Array]


def new_model(cell: Cell) -> fastlstm.LSTM | fastlstm.RNN | fastlstm.GRU:
    """Return fastlstm's model of a cell, with seeded parameters."""
    options: dict[str, Any] = {
        "num_layers": cell.layers,
        "bidirectional": cell.directions == 2,
        "dtype": cell.dtype,
        "rng": SEED,
    }
    if cell.kind == "LSTM":
        options["proj_size"] = cell.proj_size
    kind: type[fastlstm.LSTM | fastlstm.RNN | fastlstm.GRU] = getattr(fastlstm, cell.kind)
    return kind(cell.H, cell.H, **options)


def seeded(cell: Cell) -> Inputs:
    """Return a cell's inputs; dy is zero past a sequence's end, as y is."""
    rng = np.random.default_rng(SEED)
    model = new_model(cell)
    outputs = cell.directions * model.output_size
    x = rng.standard_normal((cell.T, cell.B, cell.H)).astype(cell.dtype)
    dy = rng.standard_normal((cell.T, cell.B, outputs)).astype(cell.dtype)
    dy[np.arange(cell.T)[:, None] >= cell.lengths] = 0
    return Inputs(x, dy, cell.lengths, model.state_dict())


def save(inputs: Inputs, path: Path) -> None:
    np.savez(path, x=inputs.x, dy=inputs.dy, lengths=inputs.lengths, **inputs.parameters)


def load(path: Path) -> Inputs:
    with np.load(path) as file:
        arrays = dict(file)
    return Inputs(arrays.pop("x"), arrays.pop("dy"), arrays.pop("lengths"), arrays)
