"""The C of the ground floor by itself: the same bytes from every instruction set, and sanitizers."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KERNELS = ROOT / "src" / "fastlstm" / "kernels"
NATIVE = Path(__file__).with_name("native")
# What setup.py's flags promise of results; -Werror, because here a warning is somebody's mistake.
FLAGS = ["-std=c11", "-O1", "-g1", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Wextra", "-Werror"]

# AddressSanitizer catches what the rest of "undefined" would, and in a tenth of the time to compile.
SANITIZED = [
    "-fsanitize=address,signed-integer-overflow,shift,bounds,float-cast-overflow",
    "-fno-sanitize-recover=all",
]

pytestmark = [
    pytest.mark.skipif(not KERNELS.is_dir(), reason="the sources are not here"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
]


def build(directory, program, sources, flags, compiler="cc"):
    """Compile each source by itself, as many at once as there are processors, and link them."""
    flags = [*FLAGS, *flags, f"-I{KERNELS}", "-pthread"]

    def compile_one(source):
        out = directory / f"{source.stem}.o"
        subprocess.run([compiler, *flags, "-c", source, "-o", out], check=True)
        return out

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, [NATIVE / f"{program}.c", *sources]))
    subprocess.run([compiler, *flags, *objects, "-o", directory / program, "-lm"], check=True)
    return directory / program


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_kernels(tmp_path, flags, compiler="cc", emulator=()):
    """Return what each kernel wrote, as a hash, by kernel and type and then by instruction set."""
    sources = [*KERNELS.glob("isa_*.c"), KERNELS / "select.c"]
    program = build(tmp_path, "run_kernels", sources, flags, compiler)
    hashes = {}
    for line in run(*emulator, program).splitlines():
        isa, *kernel, digest = line.split()
        hashes.setdefault(tuple(kernel), {})[isa] = digest
    return hashes


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return run_kernels(tmp_path_factory.mktemp("native"), [])


def test_instruction_sets_agree(expected):
    for kernel, hashes in expected.items():
        assert "generic" in hashes
        assert len(set(hashes.values())) == 1, kernel


def test_sanitized(tmp_path, expected):
    assert run_kernels(tmp_path, SANITIZED) == expected


@pytest.mark.skipif(
    not (shutil.which("aarch64-linux-gnu-gcc") and shutil.which("qemu-aarch64")),
    reason="no compiler or no emulator for aarch64",
)
def test_aarch64_agrees(tmp_path, expected):
    emulated = run_kernels(tmp_path, ["-static"], "aarch64-linux-gnu-gcc", ["qemu-aarch64"])
    assert emulated.keys() == expected.keys()
    for kernel, hashes in emulated.items():
        assert hashes.keys() == {"neon", "generic"}
        assert set(hashes.values()) == set(expected[kernel].values()), kernel


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [([], []), (SANITIZED, []), (["-fsanitize=thread"], ["no fork"])],
)
def test_workers(tmp_path, flags, arguments):
    assert run(build(tmp_path, "run_workers", [KERNELS / "workers.c"], flags), *arguments) == "done\n"
