"""Threads, and what this installation runs on."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Literal, overload

import scipy

from . import _core
from ._arrays import as_size

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux tells a container what share of the cores' time it may use."""


def available_cores() -> int:
    """Return how many cores this process may run on, and has the time of."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = CPU_MAX.read_text().partition(" ") if CPU_MAX.is_file() else ("max", "", "")
    return cores if quota == "max" else max(1, min(cores, math.ceil(int(quota) / int(period))))


def _default_num_threads() -> int:
    """Return what FASTLSTM_NUM_THREADS says, or one thread a core, or fewer if OMP_NUM_THREADS says so."""
    asked = os.environ.get("FASTLSTM_NUM_THREADS", "")
    if not asked:
        # joblib and batch systems tell their processes by this one how many cores are theirs.
        openmp = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
        most = int(openmp) if openmp.isdecimal() and int(openmp) else available_cores()
        return min(most, available_cores())
    if not asked.isdecimal() or int(asked) < 1:
        raise ValueError(f"FASTLSTM_NUM_THREADS: expected an integer of at least 1, got {asked!r}")
    return int(asked)


def set_num_threads(n: int) -> None:
    """Let each pass use up to `n` threads, the calling one included.

    Results do not depend on it. At the start it is `FASTLSTM_NUM_THREADS`, or the number of cores that
    the process may run on, or that its container's quota pays for, or `OMP_NUM_THREADS` where that is
    less. `import fastlstm.threadpool` lets threadpoolctl set it. Only where `show_config` says
    "generic" does SciPy's BLAS do part of the backward pass, with threads of its own.

    Parameters
    ----------
    n : int
        At least 1.

    Raises
    ------
    ValueError, TypeError
        If `n` is not such an integer.

    Examples
    --------
    >>> import fastlstm
    >>> before = fastlstm.get_num_threads()
    >>> fastlstm.set_num_threads(1)
    >>> fastlstm.get_num_threads()
    1
    >>> fastlstm.set_num_threads(before)
    """
    _core.set_num_threads(as_size(n, "n"))


def get_num_threads() -> int:
    """Return how many threads a pass may use.

    Returns
    -------
    int
        What `set_num_threads` was given last; before that FASTLSTM_NUM_THREADS, else the number of
        cores that this process may run on.

    Examples
    --------
    >>> import fastlstm
    >>> fastlstm.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def _config() -> dict[str, Any]:
    blas = scipy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    first, second, told = _core.caches()
    current, available = _core.current_isa(), _core.available_isas()
    return {
        "instruction set": current,
        "available": available,
        "falls back": None if current != "generic" else "generic: plain C, no vector instructions of its own",
        "caches": f"{first >> 10} KB, {second >> 10} KB"
        + ("" if told else " (assumed: the system does not tell)"),
        "threads": _core.get_num_threads() if _core.threads_supported() else 1,
        "threads started": _core.threads_started(),
        "blas": f"{blas.get('name')} {blas.get('version')}",
    }


@overload
def show_config(mode: Literal["print"] = ...) -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...


def show_config(mode: Literal["print", "dicts"] = "print") -> dict[str, Any] | None:
    """Tell what this installation runs on: instruction set, threads, BLAS.

    Parameters
    ----------
    mode : {"print", "dicts"}
        Print it, or return it as a dict; as `numpy.show_config`.

    Raises
    ------
    ValueError
        If `mode` is neither.

    Examples
    --------
    >>> import fastlstm
    >>> sorted(fastlstm.show_config("dicts"))
    ['available', 'blas', 'caches', 'falls back', 'instruction set', 'threads', 'threads started']
    """
    if mode not in ("print", "dicts"):
        raise ValueError(f"mode: expected 'print' or 'dicts', got {mode!r}")
    config = _config()
    if mode == "dicts":
        return config
    for name, value in config.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        if shown is not None:
            print(f"{name + ':':17}{shown}")
    return None


_core.set_num_threads(_default_num_threads())
