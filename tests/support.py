"""What several tests need: random problems, and the distance of a result from its reference."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastlstm
from fastlstm._reference import Reference

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
"""Relative to the largest number of the reference."""

EDGES = (1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 97)
"""Sizes around the widths of vectors and tiles."""


DOCS = Path(__file__).parents[1] / "docs"


def pictures() -> ModuleType:
    """Return the script that makes the pages' pictures."""
    specification = importlib.util.spec_from_file_location("pictures", DOCS / "pictures.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def pictures_of(*pages: Path) -> set[str]:
    """Return the names of the pictures that pages show."""
    return {
        name for page in pages for name in re.findall(r"\(pictures/(.*?)\)", page.read_text(encoding="utf-8"))
    }


def distance(actual: Any, expected: NDArray[Any]) -> float:
    """Return the largest difference relative to the largest expected number.

    Inputs and upstream gradients are of size 1, so results that all lie under 0.1 are what is left of
    sums that cancelled, and are measured against 0.1.
    """
    actual = np.asarray(actual)
    assert actual.shape == expected.shape
    if expected.size == 0:
        return 0.0
    scale = max(float(np.abs(expected).max()), 0.1)
    return float(np.abs(actual.astype(np.float64) - expected).max()) / scale


def central_differences(function: Callable[[], float], array: NDArray[Any]) -> NDArray[Any]:
    """Return the gradient of a scalar function of nothing with respect to `array`, which it reads.

    It is NaN where the slopes to both sides are not one: a kink lies between, of a clip or of a function.
    """
    gradient = np.empty_like(array)
    here = function()
    for index in np.ndindex(array.shape):
        at = array[index]
        array[index] = at + 1e-6
        above = function()
        array[index] = at - 1e-6
        below = function()
        array[index] = at
        slopes = (above - here) / 1e-6, (here - below) / 1e-6
        gradient[index] = sum(slopes) / 2 if np.isclose(*slopes, rtol=1e-3, atol=1e-3) else np.nan
    return gradient


@dataclass
class Problem:
    """A model, an input for it and upstream gradients, drawn from a seed."""

    cell: str = "lstm"
    T: int = 3
    B: int = 2
    I: int = 3  # noqa: E741
    H: int = 4
    P: int = 0
    layers: int = 1
    bidirectional: bool = False
    reverse: bool = False
    merge: str = "concat"
    bias: bool = True
    dtype: str = "float64"
    ragged: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        count, out = self.layers * self.model_directions, self.P or self.H

        def normal(*shape: int) -> NDArray[Any]:
            return rng.standard_normal(shape).astype(self.dtype)

        self.x = normal(self.T, self.B, self.I)
        self.h_0, self.c_0 = normal(count, self.B, out), normal(count, self.B, self.H)
        self.dy = normal(self.T, self.B, out * (self.model_directions if self.merge == "concat" else 1))
        self.dh_n, self.dc_n = normal(*self.h_0.shape), normal(*self.c_0.shape)
        self.lengths = rng.integers(0, self.T + 1, self.B) if self.ragged else None

    @property
    def model_directions(self) -> int:
        return 2 if self.bidirectional else 1

    def model(self, **options: Any) -> fastlstm.LSTM | fastlstm.RNN | fastlstm.GRU:
        options = {
            "num_layers": self.layers,
            "bias": self.bias,
            "bidirectional": self.bidirectional,
            "reverse": self.reverse,
            "merge": self.merge,
            "dtype": self.dtype,
            "rng": self.seed,
        } | options
        if self.cell == "lstm":
            return fastlstm.LSTM(self.I, self.H, proj_size=self.P, **options)
        if self.cell in ("gru", "gru_reset_first"):
            return fastlstm.GRU(self.I, self.H, reset_after=self.cell == "gru", **options)
        return fastlstm.RNN(self.I, self.H, nonlinearity=self.cell, **options)

    def state(self, h: NDArray[Any], c: NDArray[Any]) -> Any:
        """Return a state in the model's form."""
        return (h, c) if self.cell == "lstm" else h

    def results(self, **options: Any) -> dict[str, NDArray[Any]]:
        """Run the package forward and backward; return everything by name."""
        model = self.model(**options)
        y, state, tape = model.forward(self.x, self.state(self.h_0, self.c_0), lengths=self.lengths)
        gradients = tape.backward(self.dy, self.state(self.dh_n, self.dc_n))
        return self._named(y, state, gradients.input, gradients.state, gradients.parameters)

    def nearest_kink(self) -> float:
        """Return how near a pre-activation comes to 0, where relu's gradient jumps; infinity for others."""
        if self.cell != "relu":
            return np.inf
        reference = self._reference()
        reference.forward(*self._inputs())
        steps = [step for sequence in reference._steps.values() for step in sequence]
        return min((float(np.abs(pre).min()) for _, _, pre in steps), default=np.inf)

    def _reference(self) -> Reference:
        parameters = {name: array.astype(np.float64) for name, array in self.model().parameters.items()}
        return Reference(self.cell, parameters, self.layers, self.bidirectional, self.reverse, self.merge)

    def _inputs(self) -> tuple[Any, ...]:
        lengths = [self.T] * self.B if self.lengths is None else self.lengths
        return *map(np.float64, (self.x, self.h_0, self.c_0)), lengths

    def expected(self) -> dict[str, NDArray[Any]]:
        """Run the reference in float64; return everything by name."""
        reference = self._reference()
        dc_n = self.dc_n if self.cell == "lstm" else np.zeros_like(self.dc_n)
        y, h_n, c_n = reference.forward(*self._inputs())
        dx, dh_0, dc_0, parameters = reference.backward(*map(np.float64, (self.dy, self.dh_n, dc_n)))
        return self._named(y, self.state(h_n, c_n), dx, self.state(dh_0, dc_0), parameters)

    def _named(self, y: Any, state: Any, dx: Any, dstate: Any, parameters: Any) -> dict[str, NDArray[Any]]:
        names = ("h", "c") if self.cell == "lstm" else ("h",)
        pairs = zip(names, state, strict=True) if self.cell == "lstm" else [("h", state)]
        gradient_pairs = zip(names, dstate, strict=True) if self.cell == "lstm" else [("h", dstate)]
        return (
            {"y": y, "dx": dx}
            | {f"{name}_n": array for name, array in pairs}
            | {f"d{name}_0": array for name, array in gradient_pairs}
            | {f"d{name}": array for name, array in parameters.items()}
        )

    def check(self, actual: dict[str, NDArray[Any]], expected: dict[str, NDArray[Any]]) -> None:
        """Assert that every result is within the promised distance of its reference."""
        assert actual.keys() == expected.keys()
        distances = {name: distance(actual[name], expected[name]) for name in expected}
        worst = max(distances, key=lambda name: distances[name])
        assert distances[worst] <= TOLERANCE[self.dtype], (worst, distances[worst], self)
