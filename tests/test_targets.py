"""The C of the ground floor on other systems: compiled by Zig, and run where something here can run it."""

import importlib.util
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from support_native import CAPI, KERNELS, SOURCES, build, compile_all

import fastlstm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not KERNELS.is_dir(), reason="the sources are not here"),
    pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="no Zig: pip install ziglang"),
]

# By target: what runs its programs, and the instruction sets that are left out, to save time.
RUN = {
    "x86_64-windows-gnu": (["wine"], []),
    "x86_64-linux-musl": ([], ["avx512"]),
    "aarch64-linux-musl": (["qemu-aarch64"], ["generic"]),
}


def zig(target):
    return f"{sys.executable} -m ziglang cc -target {target}"


def compiled(target, directory, left_out):
    """Return the objects of all kernels but those of some instruction sets, and the flags that say so."""
    flags = [f"-DFL_WITHOUT_{isa.upper()}" for isa in left_out]
    sources = [path for path in SOURCES if not any(f"isa_{isa}_" in path.name for isa in left_out)]
    return compile_all(directory, sources, flags, zig(target)), flags


class Target:
    """The kernels compiled for a target, and a way to run programs with them."""

    def __init__(self, name, directory):
        self.name, self.directory = name, directory
        self.runner, left_out = RUN[name]
        self.objects, self.flags = compiled(name, directory, left_out)

    def program(self, name, sources):
        return build(self.directory, name, sources, self.flags, zig(self.name))

    def run(self, program, *arguments, given=b""):
        prefix = self.directory / "wine"
        environment = {**os.environ, "WINEPREFIX": str(prefix), "WINEDEBUG": "-all"}
        command = [*self.runner, program, *map(str, arguments)]
        done = subprocess.run(command, input=given, capture_output=True, timeout=300, env=environment)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout


@pytest.fixture(scope="module", params=RUN)
def target(request, tmp_path_factory):
    runner, _ = RUN[request.param]
    if runner and not shutil.which(runner[0]):
        pytest.skip(f"no {runner[0]}")
    return Target(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def seen():
    """Return what kernels wrote so far, as hashes by kernel and type, of whichever target came first."""
    return {}


def test_kernels(target, seen):
    """All instruction sets of all targets write the same bytes."""
    lines = target.run(target.program("run_kernels", target.objects)).decode().split("\n")
    isas = set()
    for line in filter(None, lines):
        isa, *kernel, digest = line.split()
        isas.add(isa.split("-")[0])
        if digest == "checked":  # of those that sum in an order of their own
            continue
        assert seen.setdefault(tuple(kernel), digest) == digest, (isa, kernel)
    assert isas & {"avx2", "neon", "generic"}


def test_workers(target):
    program = target.program("run_workers", [KERNELS / "workers.c"])
    # An emulator is too slow for what is measured in milliseconds.
    if target.runner != ["qemu-aarch64"]:
        assert target.run(program).split() == [b"done"]


def test_embedded(target):
    """The C library gives the bits that Python gives here."""
    program = target.program("run_embedded", [CAPI / "fastlstm.c", *target.objects])
    T, B, I, H = 5, 7, 19, 65  # noqa: E741
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        lstm = fastlstm.LSTM(I, H, dtype=dtype, rng=rng)
        x, h, c = (rng.standard_normal(shape).astype(dtype) for shape in [(T, B, I), (1, B, H), (1, B, H)])
        given = b"".join(array.tobytes() for array in [*lstm.parameters.values(), x, h, c])
        y, (h_n, c_n) = lstm(x, (h, c))
        arguments = [np.dtype(dtype).itemsize, T, B, I, H, 0, 1, 0, 4, 0]
        expected = 2 * b"".join(a.tobytes() for a in (y, h_n, c_n))
        assert target.run(program, *arguments, given=given).startswith(expected)  # gates come last


def test_compiles_for_macos(tmp_path):
    """It compiles, and links with what is known of the system's library; nothing here runs it."""
    name = "aarch64-macos"
    objects, flags = compiled(name, tmp_path, ["generic"])
    build(tmp_path, "run_embedded", [CAPI / "fastlstm.c", *objects], flags, zig(name))
    build(tmp_path, "run_workers", [KERNELS / "workers.c"], flags, zig(name))
