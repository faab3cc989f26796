"""What the figures were measured on."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from pathlib import Path

from fastlstm.config import available_cores

from .libraries import LIBRARIES

CPU_INFO = Path("/proc/cpuinfo")


def cpu_model() -> str:
    """Return the CPU's name as the system knows it."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def heading(libraries: Iterable[str], absent: Iterable[str]) -> list[str]:
    """Return the lines that say what runs on what."""
    versions = dict.fromkeys(f"{name.partition('-')[0]} {LIBRARIES[name].version}" for name in libraries)
    lines = [
        f"{cpu_model()}, {available_cores()} cores, {platform.system()} {platform.machine()}",
        f"Python {platform.python_version()}, {', '.join(versions)}",
    ]
    missing = ", ".join(LIBRARIES[name].title for name in absent)
    return [*lines, f"not installed: {missing}"] if missing else lines
