"""The workers: one process for each library, asked one at a time and in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import inputs
from .cells import Cell
from .libraries import LIBRARIES
from .results import Result, summary

CHECKOUT = Path(__file__).parents[2]
TOLERANCE = 1e-4
FEW_BITS = 0.1
BLAS_THREADS = "OPENBLAS_NUM_THREADS"  # SciPy's BLAS is told so; libraries have calls for theirs


class Failed(Exception):
    """A library stopped, raised an error, or computed something else than the others."""


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds, and in each a worker's pause before it and its repeats."""

    rounds: int
    pause: float = 0.3  # the threads of the worker before spin that long after their last call
    seconds: float = 0.2
    calls: int = 3


class Worker(AbstractContextManager):
    """A process that runs one library with a number of threads; it waits when it is not asked."""

    def __init__(self, library: str, threads: int) -> None:
        self.library = library
        self.threads = threads
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker", library, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            cwd=CHECKOUT,
            env=os.environ | {BLAS_THREADS: str(threads)},
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Return the answer to a request."""
        self.send(**request)
        return self.receive()

    def send(self, **request: Any) -> None:
        """Make a request, whose answer is to be received."""
        with suppress(BrokenPipeError):  # whose answer tells that
            print(json.dumps(request), file=self._process.stdin)

    def receive(self) -> dict[str, Any]:
        """Return the answer to the last request."""
        answer = json.loads(self._process.stdout.readline() or '{"error": "its process has ended"}')
        if "error" in answer:
            raise Failed(f"{LIBRARIES[self.library].title}: {answer['error']}")
        return answer

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def compare(
    workers: Sequence[Worker], cell: Cell, given: inputs.Inputs, effort: Effort, tick: Callable[[], object]
) -> dict[str, Result]:
    """Return each library's result for a cell.

    Raises
    ------
    Failed
        If a library can't compute the cell, or they do not agree on it.
    """
    able = [worker for worker in workers if LIBRARIES[worker.library].can(cell)]
    _agree(able, cell, given)
    rounds: dict[str, list[dict[str, Any]]] = {worker.library: [] for worker in able}
    for _ in range(effort.rounds):
        for worker in able:
            time.sleep(effort.pause)
            rounds[worker.library].append(worker.ask(seconds=effort.seconds, calls=effort.calls))
            tick()
    return {library: summary(answers) for library, answers in rounds.items()}


def _agree(workers: Sequence[Worker], cell: Cell, given: inputs.Inputs) -> None:
    """Let all workers compute the cell, and raise Failed unless they return the same."""
    expected: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "inputs.npz")
        inputs.save(given, path)
        for worker in workers:
            outputs = Path(directory, f"{worker.library}.npz")
            worker.ask(prepare=asdict(cell), inputs=str(path), outputs=str(outputs))
            if LIBRARIES[worker.library].counts:
                with np.load(outputs) as arrays:
                    _check(worker.library, _compared(cell, arrays), expected, _tolerance(cell))


def _tolerance(cell: Cell) -> float:
    return FEW_BITS if cell.precision else TOLERANCE


def _compared(cell: Cell, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what libraries must agree on: of fewer bits, y alone, as gradients are sums of rounded ones."""
    return {name: array for name, array in arrays.items() if not cell.precision or " y," in name}


def _check(
    library: str, arrays: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float
) -> None:
    """Raise Failed unless the arrays are as expected so far; whatever is new is expected from now on."""
    for name, array in arrays.items():
        what = name.split(" ", 1)[1]
        wanted = expected.setdefault(what, array)
        error = np.abs(array - wanted).max() if array.shape == wanted.shape else np.inf
        if not error <= tolerance * max(1, np.abs(wanted).max()):
            raise Failed(f"{LIBRARIES[library].title}: {name}: differs by {error:.2g} from the others")
