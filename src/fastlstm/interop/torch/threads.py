"""Whose threads passes run on beside PyTorch: those of its OpenMP, which spin after each operation."""

from __future__ import annotations

import ctypes
import os

import torch

from ... import _core

_FUNCTIONS = "GOMP_parallel", "omp_get_thread_num", "omp_get_max_threads", "omp_in_parallel"
"""Those of the runtime that `_core.borrow_threads` takes; Microsoft's has not got them."""


def borrow() -> None:
    """Have passes run on the threads of PyTorch's OpenMP, where these spin while they wait for work.

    Where they sleep instead, because OMP_WAIT_POLICY is "passive", our own are better; and where the runtime
    is none that is known, there are no others.
    """
    if os.environ.get("OMP_WAIT_POLICY", "").lower() == "passive":
        return
    library = ctypes.CDLL(torch._C.__file__)  # what it is linked with is searched, too
    try:
        functions = [getattr(library, name) for name in _FUNCTIONS]
    except AttributeError:
        return
    _core.borrow_threads(*(ctypes.cast(function, ctypes.c_void_p).value or 0 for function in functions))
