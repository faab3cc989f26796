"""Memory of the core: where arrays begin, and what waits for the next pass."""

import os
import subprocess
import sys

import numpy as np
import pytest

import fastlstm
from fastlstm._core import empty

PAIR_OF_LINES = 128


@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 3, 50_000), (0, 4), ()])
@pytest.mark.parametrize("dtype", ["f4", ">f4", "f2", "f8", "u1"])
def test_arrays_begin_with_a_pair_of_lines(shape, dtype):
    array = empty(shape, np.dtype(dtype))
    assert array.shape == shape
    assert array.dtype == np.dtype(dtype)
    assert array.ctypes.data % PAIR_OF_LINES == 0
    assert array.flags.carray
    array[...] = 1
    assert array.sum(dtype=float) == array.size


def test_an_array_keeps_its_memory():
    """Others of the size get other memory for as long as any view of it lives."""
    views = [empty((100_000,), np.dtype("f4"))[k:] for k in range(20)]
    for k, view in enumerate(views):
        view[...] = k
    assert all((view == k).all() for k, view in enumerate(views))


def test_results_are_the_callers():
    """A later pass writes nothing to what an earlier one returned."""
    model = fastlstm.LSTM(30, 200, rng=0)
    x = np.random.default_rng(0).standard_normal((6, 100, 4, 30)).astype(np.float32)
    results = [model(x_k)[0] for x_k in x]
    copies = [y.copy() for y in results]
    for x_k in x:
        y, _, tape = model.forward(x_k)
        tape.backward(y)
    assert all(np.array_equal(a, b) for a, b in zip(results, copies, strict=True))


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc")
def test_what_waits_is_bounded():
    """However many shapes a process has seen, at most 32 MB wait for the next pass."""
    code = """
import gc, os, numpy as np, fastlstm
from fastlstm._core import empty

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

model = fastlstm.LSTM(16, 64, rng=0)
model(np.ones((50, 8, 16), np.float32))
before = resident()
for k in range(1, 60):
    array = empty((k, 300, 1000), np.dtype("f4"))
    array[...] = 0
    del array
    model(np.ones((10 * k, k, 16), np.float32))
gc.collect()
print((resident() - before) / 2**20)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 48
