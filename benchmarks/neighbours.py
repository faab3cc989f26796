"""What do a call's times come to while other processes want the cores?

`python -m benchmarks.neighbours` prints it: one thread and two of ours, and the best peer with two, each by
itself in turn beside k processes that compute; `--callers` has several such processes call at the same time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from .compare.cells import Cell
from .compare.crew import Worker
from .compare.inputs import save, seeded
from .compare.libraries import LIBRARIES, OURS

CELLS = {
    "one sequence": Cell("sequence", 400, 1, 128),
    "two directions": Cell("stack", 400, 1, 128, directions=2),
    "two layers": Cell("stack", 400, 1, 128, layers=2),
    "a batch of 32": Cell("batch", 100, 32, 128),
    "training": Cell("training", 100, 32, 128),
}
SETTLE_SECONDS = 0.3


@dataclass(frozen=True)
class Times:
    """Of one run's calls, in seconds: their mean and their 99th percentile."""

    mean: float
    late: float

    def __str__(self) -> str:
        return f"{self.mean * 1e3:.2f} / {self.late * 1e3:.2f}"


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """Have so many other processes compute for as long as the block lasts."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(SETTLE_SECONDS)
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def measure(callers: Sequence[Worker], seconds: float) -> Times:
    """Let some workers repeat their call at the same time; return the first one's times."""
    time.sleep(SETTLE_SECONDS)  # the threads of the crew before spin that long after their last call
    for caller in callers:
        caller.send(seconds=seconds, calls=1)
    answers = [caller.receive() for caller in callers]
    ways = answers[0].values()
    return Times(min(way["mean"] for way in ways), min(way["late"] for way in ways))


def compare(cell: Cell, arguments: argparse.Namespace) -> None:
    """Print a row for each number of neighbours and run."""
    peer = "torch" if cell.training else "onnxruntime"
    columns = {"1 thread": (OURS, 1), "2 threads": (OURS, 2)}
    if LIBRARIES[peer].installed:
        columns[f"{LIBRARIES[peer].title}, 2"] = (peer, 2)
    print(f"| k | {' | '.join(columns)} | mean, 2 / better of the others |")
    print(f"| --- |{' ---: |' * (len(columns) + 1)}")
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        given = Path(folder, "inputs.npz")
        save(seeded(cell), given)
        crews = []
        for library, threads in columns.values():
            crew = [stack.enter_context(Worker(library, threads)) for _ in range(arguments.callers)]
            for worker in crew:
                worker.ask(prepare=asdict(cell), inputs=str(given), outputs=str(Path(folder, "outputs.npz")))
            crews.append(crew)
        for k in arguments.neighbours:
            for _ in range(arguments.runs):
                with neighbours(k):
                    times = [measure(crew, arguments.seconds) for crew in crews]
                best = min(t.mean for j, t in enumerate(times) if j != 1)
                print(f"| {k} | {' | '.join(map(str, times))} | {times[1].mean / best:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", nargs="*", choices=CELLS, default=list(CELLS))
    parser.add_argument("--neighbours", nargs="*", type=int, default=[0, 1, 2, 4])
    parser.add_argument("--callers", type=int, default=1, help="processes that call at the same time")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    for name in arguments.cells:
        print(f"\n{name}: LSTM({CELLS[name].name}), mean / 99th percentile in ms\n")
        compare(CELLS[name], arguments)


if __name__ == "__main__":
    main()
