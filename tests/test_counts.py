"""What speed is made of, counted rather than timed: instructions, allocations, bytes kept.

The bounds are a little above what was counted when they were written; a kernel that needs more has lost
something. Instructions are callgrind's, which knows AVX2 but not AVX-512.
"""

import os
import re
import shutil
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from support_native import KERNELS, build

import fastlstm
from fastlstm import _core

LANES = 8  # of float32 in AVX2

needs_callgrind = pytest.mark.skipif(
    "avx2" not in _core.available_isas()
    or not (shutil.which("valgrind") and shutil.which("cc") and KERNELS.is_dir()),
    reason="needs AVX2, valgrind, a C compiler and the sources",
)


def callgrind(directory, function, *command, **environment):
    """Run a command; return callgrind's output for what happened inside `function`."""
    out = directory / "callgrind.out"
    watch = ["valgrind", "--tool=callgrind", f"--toggle-collect={function}", f"--callgrind-out-file={out}"]
    run = subprocess.run(
        [*watch, *command], capture_output=True, text=True, env=os.environ | environment, timeout=300
    )
    assert run.returncode == 0, run.stderr
    return out.read_text()


def instructions(profile):
    return int(re.search(r"^(?:summary|totals): (\d+)", profile, re.MULTILINE)[1])


@pytest.fixture(scope="module")
def program(tmp_path_factory, published_kernels):
    return build(tmp_path_factory.mktemp("counts"), "count_kernels", published_kernels, [])


@needs_callgrind
@pytest.mark.parametrize(
    ("B", "K", "H", "bound"),
    [(1, 64, 64, 2.3), (3, 64, 64, 2.6), (6, 128, 128, 2.5), (32, 256, 128, 2.5)],
)
def test_product(tmp_path, program, B, K, H, bound):
    """Instructions for each multiply-add of a vector."""
    profile = callgrind(tmp_path, "measured", program, "avx2", "product", str(B), str(K), str(H))
    assert 1 < instructions(profile) / (B * K * 4 * H / LANES) < bound


@needs_callgrind
@pytest.mark.parametrize(("kernel", "bound"), [("lstm_step", 300), ("lstm_step_backward", 112)])
def test_gate_update(tmp_path, program, kernel, bound):
    """Instructions for each vector of units, with a recurrent product of a single input."""
    profile = callgrind(tmp_path, "measured", program, "avx2", kernel, "6", "1", "128")
    assert 50 < instructions(profile) / (6 * 128 / LANES) < bound


@needs_callgrind
def test_step_from_python(tmp_path):
    """Of 5,000 instructions at H = 32, two thirds are the kernels'; and none of them allocates."""
    code = """
import numpy as np, fastlstm
stream, x, out = fastlstm.LSTM(32, 32, rng=0).stream(), np.ones(32, np.float32), np.empty(32, np.float32)
for _ in range(100):
    stream.step(x, out=out)
"""
    function = "*_pw_*Stepper*step"
    profile = callgrind(tmp_path, function, sys.executable, "-c", code, FASTLSTM_ISA="avx2")
    assert 3000 < instructions(profile) / 100 < 5200
    assert not re.search(r"^c?fn=.*\b(malloc|calloc|realloc)\b", profile, re.MULTILINE)


@pytest.mark.parametrize("sizes", [(32,), (32, 64), (2, 3, 300)])
def test_no_memory_in_a_step(sizes):
    streams = [fastlstm.LSTM(H, H, num_layers=2, proj_size=1, rng=0).stream(3) for H in sizes]
    frames = [(np.ones((3, H), np.float32), np.empty((3, 1), np.float32)) for H in sizes]

    def step_all():
        for stream, (x, out) in zip(streams, frames, strict=True):
            stream.step(x, out=out)

    step_all()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(100):
            step_all()
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert now - before < 500
    assert peak - before < 1000


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 3}, {"proj_size": 20}])
def test_numbers_kept_for_backward(options):
    """At most 6.5·H for each row and step of each direction of a layer, and nothing after backward."""
    T, B, H = 50, 7, 64
    model = fastlstm.LSTM(H, H, rng=0, **options)
    y, _, tape = model.forward(np.ones((T, B, H), np.float32))
    assert 5 * H < tape.nbytes / y.itemsize / (T * B * model.num_layers * model.directions) <= 6.5 * H
    tape.backward(y)
    assert tape.nbytes == 0


def test_what_importing_imports():
    """Nothing that takes its time beside NumPy and SciPy's linear algebra; training when asked for."""
    code = """
import sys, numpy, scipy.linalg.cython_blas
before = set(sys.modules)
import fastlstm
print(*sorted(set(sys.modules) - before))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = run.stdout.split()
    packages = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names)
    assert {name for name in packages if "cython" not in name} == {"fastlstm"}
    assert len([name for name in modules if name.startswith("fastlstm.")]) < 50
    assert not {"fastlstm.training", "fastlstm.interop", "fastlstm.plot", "fastlstm.serve"} & set(modules)


def test_whatever_the_package_names_is_there():
    code = "import fastlstm; print(*(name for name in dir(fastlstm) if hasattr(fastlstm, name)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(fastlstm.__all__) <= set(run.stdout.split())
