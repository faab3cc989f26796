"""One library in a process of its own: reads requests as lines of JSON, and answers each with one.

`python -m benchmarks.compare.worker LIBRARY THREADS` is started by `crew`. Requests are
{"prepare": {cell}, "inputs": file, "outputs": file} and then {"seconds": s, "calls": n}.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import statistics
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .cells import Cell
from .inputs import load
from .libraries import LIBRARIES, Adapter, Way

CHECKED_CALLS = 2  # a step goes on from the state before; anything else returns the same again


def prepare(adapter: Adapter, cell: Cell, inputs: Path, outputs: Path) -> dict[str, Way]:
    """Return the ways of computing a cell, and write what the first calls of each return."""
    ways = adapter.ways(cell, load(inputs))
    np.savez(
        outputs,
        **{
            f"{name} {array_name}, call {k}": np.array(array)
            for name, way in ways.items()
            for k in range(CHECKED_CALLS)
            for array_name, array in way.arrays(way.call()).items()
        },
    )
    return ways


def measure(call: Callable[[], Any], seconds: float, calls: int) -> dict[str, float]:
    """Repeat a call for some seconds and at least some calls; return what its times come to."""
    times: list[float] = []
    start = perf_counter()
    while len(times) < calls or perf_counter() - start < seconds:
        begin = perf_counter()
        call()
        times.append(perf_counter() - begin)
    late = float(np.percentile(times, 99))
    mean, median = statistics.fmean(times), statistics.median(times)
    return {"best": min(times), "median": median, "mean": mean, "late": late, "calls": len(times)}


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asks ends it, by asking no more
    # Libraries may print: their lines go where errors go, and standard output is for answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    library, threads = sys.argv[1:]
    adapter = LIBRARIES[library].start(int(threads))
    ways: dict[str, Way] = {}
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if "prepare" in request:
                ways.clear()
                gc.enable()
                ways = prepare(adapter, Cell(**request["prepare"]), request["inputs"], request["outputs"])
                gc.collect()
                gc.disable()
            else:
                answer = {name: measure(way.call, **request) for name, way in ways.items()}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
