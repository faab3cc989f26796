"""What this machine can do at most: multiply-adds, of each kind, and reading from each level of its memory.

`python -m benchmarks.limits` prints it, and `measure` returns it. It is measured by limits.c, which the
machine's own C compiler compiles for it on the spot.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
USUAL_CACHES = {1: 32 << 10, 2: 1 << 20, 3: 32 << 20}
MOST_MEMORY = 512 << 20
SLICE_SECONDS = 0.02


class Unmeasured(Exception):
    """The limits can't be measured here; the message says why."""


@dataclass(frozen=True)
class Level:
    """One level of the memory: how many bytes it holds for the threads, and how many a second they read."""

    name: str
    holds: int
    bandwidth: float

    def __str__(self) -> str:
        return f"{self.name} {self.bandwidth / 1e9:.0f} GB/s"


@dataclass(frozen=True)
class Limits:
    """What `threads` threads reach together: operations a second, and the levels they read from.

    Those of whole numbers of 8 bits and in bfloat16 are None where there are no instructions for them.
    """

    threads: int
    flops: float
    levels: tuple[Level, ...]
    int8: float | None = None
    bfloat16: float | None = None

    def bandwidth(self, size: int) -> float:
        """Return how many bytes a second come from the level that holds `size` bytes."""
        return next((level for level in self.levels if size <= level.holds), self.levels[-1]).bandwidth

    def __str__(self) -> str:
        unit = "thread" if self.threads == 1 else "threads"
        reads = ", ".join(map(str, self.levels))
        kinds = {"int8": self.int8, "bfloat16": self.bfloat16}
        fewer = "".join(f", {rate / 1e9:.0f} in {kind}" for kind, rate in kinds.items() if rate)
        return f"{self.threads} {unit}: {self.flops / 1e9:.0f} GFLOP/s in float32{fewer}; reads {reads}"


def cache_sizes() -> dict[int, int]:
    """Return the bytes of each level of data cache, or usual sizes where the system does not tell."""
    sizes = {}
    for cache in CACHES.glob("index*"):
        level, kind, size = ((cache / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            sizes[int(level)] = int(size.removesuffix("K")) << 10
    return USUAL_CACHES | sizes


def _buffers(threads: int) -> list[tuple[str, int, int]]:
    """Return each level's name, what it holds for the threads, and a size for each thread to read there."""
    L1, L2, L3 = (cache_sizes()[level] for level in (1, 2, 3))
    memory = min(2 * L3, MOST_MEMORY)
    return [
        ("L1", L1 * threads, L1 // 2),
        ("L2", L2 * threads, L2 // 2),
        ("L3", L3, min(4 * L2, L3 // (2 * threads))),
        ("memory", memory, memory // threads),
    ]


def _compile(program: Path) -> None:
    command = [*shlex.split(os.environ.get("CC", "cc")), "-O3", "-march=native", "-pthread"]
    try:
        subprocess.run([*command, "-o", program, SOURCE], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise Unmeasured(f"limits not measured: there is no C compiler ({command[0]})") from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip() or "no message").splitlines()[0]
        raise Unmeasured(f"limits not measured: {shlex.join(command)} failed: {reason}") from error


def measure(threads: Iterable[int], seconds: float = SLICE_SECONDS) -> dict[int, Limits]:
    """Measure the limits for each number of threads.

    Raises
    ------
    Unmeasured
        If there is no C compiler, or it does not compile the program.
    """
    limits = {}
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory, "limits")
        _compile(program)
        for n in threads:
            buffers = _buffers(n)
            command = [program, str(n), str(seconds), *(str(size) for _, _, size in buffers)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            flops, int8, bfloat16, *bandwidths = map(float, done.stdout.split())
            levels = (
                Level(name, holds, bandwidth)
                for (name, holds, _), bandwidth in zip(buffers, bandwidths, strict=True)
            )
            limits[n] = Limits(n, flops, tuple(levels), int8 or None, bfloat16 or None)
    return limits


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limits", description=measure.__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="N")
    try:
        print(*measure(parser.parse_args().threads).values(), sep="\n")
    except Unmeasured as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
