"""What is compared: groups of cells, each one model on one shape of input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 0
TRAINING = ("training", "ragged", "variants", "gru-training", "bfloat16-training")
STEPS = ("step", "gru-step", "int8-step", "int4-step", "bfloat16-step")
LEAST_LENGTH = 10


@dataclass(frozen=True)
class Cell:
    """One network, whose input size is its hidden size H, on (T, B, H) inputs."""

    group: str
    T: int
    B: int
    H: int
    layers: int = 1
    directions: int = 1
    ragged: bool = False
    proj_size: int = 0
    dtype: str = "float32"
    kind: str = "LSTM"
    precision: str | None = None

    @property
    def name(self) -> str:
        """The sizes, and whatever is not as usual."""
        unusual = {
            "2 layers": self.layers == 2,
            "2 directions": self.directions == 2,
            "ragged": self.ragged,
            f"projection {self.proj_size}": self.proj_size,
            self.dtype: self.dtype != "float32",
            "plain tanh": self.kind == "RNN",
            "GRU": self.kind == "GRU",
            str(self.precision): self.precision is not None,
        }
        sizes = map(str, (self.T, self.B, self.H))
        return ", ".join([*sizes, *(name for name, holds in unusual.items() if holds)])

    @property
    def training(self) -> bool:
        """Whether it runs forward and backward, with the gradients of x and of all parameters."""
        return self.group in TRAINING

    @property
    def carried(self) -> bool:
        """Whether it is a step of a stream, whose state the next call goes on from."""
        return self.group in STEPS

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many steps each sequence has."""
        if not self.ragged:
            return np.full(self.B, self.T)
        return np.random.default_rng(SEED).integers(LEAST_LENGTH, self.T + 1, self.B)


def _cells(group: str, *sizes: tuple[int, int, int], **options: Any) -> list[Cell]:
    return [Cell(group, *size, **options) for size in sizes]


SEQUENCES = _cells("sequence", *((100, 1, H) for H in (64, 128, 256, 512)), (50, 1, 1024))
USUAL = Cell("variants", 100, 32, 128)
FEWER_BITS = [*((100, 1, H) for H in (128, 256, 512)), (100, 8, 256), (100, 32, 128), (100, 32, 256)]
FEWER_BITS += [(50, 64, 512), (25, 64, 1024)]


def _of_fewer_bits(precision: str) -> dict[str, list[Cell]]:
    steps = ((1, 1, H) for H in (64, 128, 256, 512, 1024))
    return {
        f"{precision}-step": _cells(f"{precision}-step", *steps, precision=precision),
        f"{precision}-forward": _cells(f"{precision}-forward", *FEWER_BITS, precision=precision),
    }


GROUPS: dict[str, list[Cell]] = {
    "step": _cells("step", *((1, 1, H) for H in (32, 64, 128, 256, 512, 1024))),
    "sequence": SEQUENCES,
    "stack": [
        *(replace(cell, group="stack", directions=2) for cell in SEQUENCES),
        *(replace(cell, group="stack", layers=2) for cell in SEQUENCES),
    ],
    "batch": _cells(
        "batch",
        *((100, B, 256) for B in (2, 3, 5, 8, 12, 15)),
        *((100, 32, H) for H in (128, 256)),
        *((25, B, 512) for B in (16, 32, 128)),
        *((50, 64, 512), (25, 64, 1024)),
    ),
    "training": _cells(
        "training",
        *((100, 32, H) for H in (64, 128, 256)),
        *((25, 16, 512), (50, 64, 512), (25, 64, 1024)),
    ),
    "ragged": [replace(USUAL, group="ragged", ragged=True, directions=n) for n in (1, 2)],
    "variants": [
        replace(USUAL, proj_size=64),
        replace(USUAL, dtype="float64"),
        replace(USUAL, kind="RNN"),
    ],
    "odd": _cells("odd", *((100, B, H) for B in (1, 32) for H in (1, 5, 17, 100, 130, 300))),
    "gru-step": _cells("gru-step", *((1, 1, H) for H in (32, 64, 128, 256, 512)), kind="GRU"),
    "gru-forward": _cells(
        "gru-forward",
        *((100, 1, H) for H in (64, 128, 256, 512)),
        *((100, 32, H) for H in (128, 256)),
        (50, 64, 512),
        kind="GRU",
    ),
    "gru-training": [
        *_cells("gru-training", (100, 32, 128), (100, 32, 256), (50, 64, 512), kind="GRU"),
        replace(USUAL, group="gru-training", kind="GRU", ragged=True),
    ],
    **_of_fewer_bits("int8"),
    **_of_fewer_bits("int4"),
    **_of_fewer_bits("bfloat16"),
    "bfloat16-training": _cells(
        "bfloat16-training", (100, 32, 256), (50, 64, 512), (25, 64, 1024), precision="bfloat16"
    ),
}
