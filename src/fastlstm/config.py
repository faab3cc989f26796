"""Threads, and what this installation runs on."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, overload

import scipy

from . import _core
from .model.checks import as_size

_log = logging.getLogger("fastlstm")
_log.addHandler(logging.NullHandler())  # who wants to see what is logged configures logging

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""The file in which Linux has a container's quota: what share of the cores' time it may use."""


def available_cores() -> int:
    """Return how many cores this process may use: by its affinity, and by its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = CPU_MAX.read_text().partition(" ") if CPU_MAX.is_file() else ("max", "", "")
    return cores if quota == "max" else max(1, min(cores, math.ceil(int(quota) / int(period))))


def _default_num_threads() -> int:
    """Return one thread a core, or fewer if FASTLSTM_NUM_THREADS says so, or OMP_NUM_THREADS."""
    asked = os.environ.get("FASTLSTM_NUM_THREADS", "")
    if not asked:
        # joblib and batch systems tell their processes by this one how many cores are theirs.
        openmp = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
        return _no_more_than_cores(openmp) or available_cores()
    count = _no_more_than_cores(asked)
    if not count:
        raise ValueError(f"FASTLSTM_NUM_THREADS: expected an integer of at least 1, got {asked!r}")
    return count


def _no_more_than_cores(text: str) -> int:
    """Return the integer in a variable of the environment, or the cores if they are fewer; 0 for none."""
    return int(min(float(text), available_cores())) if text.isdecimal() else 0


def set_num_threads(n: int) -> None:
    """Let each pass use up to `n` threads, the calling one included, and never more than there are cores.

    Results do not depend on it. At the start it is `FASTLSTM_NUM_THREADS`, or the number of cores that
    the process may run on, or that its container's quota pays for, or `OMP_NUM_THREADS` where that is
    less. `import fastlstm.threadpool` lets threadpoolctl set it. Only where `show_config` says
    "generic" does SciPy's BLAS do part of the backward pass, with threads of its own.

    While other programs keep the cores busy, passes use fewer: `show_config` says how many.

    Parameters
    ----------
    n : int
        At least 1. More than the cores that this process has now counts as that: threads that share a core
        wait for each other. `get_num_threads` returns the number that is used.

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
    wanted, cores = as_size(n, "n", most=math.inf), available_cores()
    if wanted > cores:
        _log.warning("%d threads were asked for, and this process has %d cores: it uses these", wanted, cores)
    _core.set_num_threads(min(wanted, cores))
    _log.debug("a pass uses up to %d threads", _core.get_num_threads())


def get_num_threads() -> int:
    """Return how many threads a pass may use.

    Returns
    -------
    int
        What `set_num_threads` was given last, else FASTLSTM_NUM_THREADS or the number of cores that this
        process may run on; never more than these.

    Examples
    --------
    >>> import fastlstm
    >>> fastlstm.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def use_product(name: str) -> None:
    """Let what multiplies the sums over all rows of a backward pass be "kernels", "blas", or "auto".

    "auto" is the kernels wherever they have vector instructions: only with them are gradients the same bits
    with any number of threads, and in no size measured was BLAS faster by more than 1 %. `FASTLSTM_PRODUCT`
    chooses at the start.
    """
    _core.use_product(name)
    if _core.current_product() == "blas" and find_spec("threadpoolctl"):
        from ._blas import OneThread

        _core.hold_blas(OneThread())
    else:
        _core.hold_blas(None)
    _log.debug("the sums of a backward pass are multiplied by: %s", _core.current_product())


def _log_choices() -> None:
    """Log what was chosen at import, and what is done another way than it could be.

    Only where somebody listens: to ask how products are multiplied asks the system for AMX's registers.
    """
    if not logging.getLogger().handlers and len(_log.handlers) == 1:
        return
    isa = _core.current_isa()
    _log.info(
        "instruction set %s, up to %d threads, int8 by %s, int4 by %s, bfloat16 by %s, backward sums by %s",
        isa,
        _core.get_num_threads(),
        _core.way_of("int8"),
        _core.way_of("int4"),
        _core.way_of("bfloat16"),
        _core.current_product(),
    )
    for sentence in _fallbacks(isa):
        _log.warning("%s", sentence)


def _config() -> dict[str, Any]:
    blas = scipy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    first, second, told = _core.caches()
    current, available = _core.current_isa(), _core.available_isas()
    return {
        "instruction set": current,
        "available": available,
        "falls back": "; ".join(_fallbacks(current)) or None,
        "caches": f"{first >> 10} KB, {second >> 10} KB"
        + ("" if told else " (assumed: the system does not tell)"),
        "threads": _core.get_num_threads(),
        "threads started": _core.threads_started(),
        "threads of": "another library's OpenMP" if _core.threads_borrowed() else "fastlstm",
        "passes given up": _core.times_late(),
        "blas": f"{blas.get('name')} {blas.get('version')}",
        "backward sums": _core.current_product(),
        "int8 by": _core.way_of("int8"),
        "int4 by": _core.way_of("int4"),
        "bfloat16 by": _core.way_of("bfloat16"),
    }


def _fallbacks(isa: str) -> Iterator[str]:
    """Yield what this process does another way than it could."""
    if isa == "generic":
        yield "generic: plain C, no vector instructions of its own"
    if _core.current_product() == "blas" and not _core.blas_is_held():
        yield "BLAS multiplies with threads of its own: pip install 'fastlstm[threadpoolctl]' lets ours do it"
    if _core.tiles_refused():
        yield "AMX: the processor has it, and the system does not let this process use it"
    lent, threads = _core.threads_lent(), _core.get_num_threads()
    if lent < threads:
        yield f"{lent} of {threads} threads for now: others keep the cores busy"


@overload
def show_config(mode: Literal["print"] = ...) -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...


def show_config(mode: Literal["print", "dicts"] = "print") -> dict[str, Any] | None:
    """Tell what this installation runs on: instruction set, threads, BLAS.

    "int8 by", "int4 by" and "bfloat16 by" name the instructions that multiply models of fewer bits: "amx",
    "vnni", "dot", "smmla" or "bfmmla"; or "widened" where such weights become wider numbers in registers, and
    "plain" in plain C. bfloat16 has the same bits by all of them but "amx" and "bfmmla".

    "threads of" says whose threads passes share: beside PyTorch, those of its OpenMP, as many as
    `torch.get_num_threads` has, which spin on the cores that others would want.

    "passes given up" counts those which a caller did again by itself, since other programs had the core of a
    thread that it shared them with.

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
    >>> sorted(fastlstm.show_config("dicts"))[:5]
    ['available', 'backward sums', 'bfloat16 by', 'blas', 'caches']
    """
    if not isinstance(mode, str) or mode not in ("print", "dicts"):
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
use_product(os.environ.get("FASTLSTM_PRODUCT") or "auto")
_log_choices()
