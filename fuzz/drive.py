"""Run one of the Python targets: `python -m fuzz.drive TARGET [OPTIONS OF LIBFUZZER] [CORPUS OR FILES]`.

With --replay, each file is run once, without Atheris: to see a crash again, or under another sanitizer.
"""

from __future__ import annotations

import importlib
import random
import resource
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

TARGETS = ("load", "others", "graphs", "checkpoint", "stream", "bodies")
"""Modules with `seeds`, `mutated` and `run`, and `ANY_BYTES`: whether libFuzzer may change an input, too."""

ADDRESS_SPACE = 3 << 30
"""Bytes that a process may ask for; beyond, the answer is a MemoryError."""


def replay(target: ModuleType, places: Iterable[Path]) -> int:
    """Run each file of some folders, or files, and return how many there were."""
    files = [file for place in places for file in (sorted(place.iterdir()) if place.is_dir() else [place])]
    for file in files:
        print(file, flush=True)
        target.run(file.read_bytes())
    return len(files)


def fuzz(name: str, arguments: list[str]) -> None:
    """Run a target with ever new inputs, until libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["fastlstm", "bodies", f"fuzz.{name}"]):
        target = importlib.import_module(f"fuzz.{name}")

    def mutate(content: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if not target.ANY_BYTES or rng.random() < 0.8:
            try:
                changed = target.mutated(content, rng)
                if len(changed) <= max_size:
                    return changed
            except Exception:  # of many kinds: what is to be changed may be no such file at all by now
                pass
        return bytes(atheris.Mutate(content, max_size)) if target.ANY_BYTES else content

    atheris.Setup([sys.argv[0], *arguments], target.run, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> None:
    """Do what the command line says."""
    name, *arguments = sys.argv[1:]
    if name not in TARGETS:
        raise SystemExit(f"target: expected one of {', '.join(TARGETS)}, got {name!r}")
    if arguments[:1] == ["--replay"]:
        count = replay(importlib.import_module(f"fuzz.{name}"), map(Path, arguments[1:]))
        print(f"{name}: {count} inputs, no crash")
        return
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    fuzz(name, arguments)


if __name__ == "__main__":
    main()
