"""The C of the ground floor by itself: the same bytes from every instruction set, and sanitizers."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import fastlstm

ROOT = Path(__file__).parents[1]
KERNELS = ROOT / "src" / "fastlstm" / "kernels"
EMBED = ROOT / "src" / "fastlstm" / "embed"
NATIVE = Path(__file__).with_name("native")
SOURCES = [*KERNELS.glob("isa_*.c"), KERNELS / "select.c"]
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


def compile_all(directory, sources, flags, compiler="cc"):
    """Compile each source by itself, as many at once as there are processors; objects stay as they are."""
    flags = [*FLAGS, *flags, f"-I{KERNELS}", f"-I{EMBED}", "-pthread"]

    def compile_one(source):
        if source.suffix == ".o":
            return source
        out = directory / f"{source.stem}.o"
        subprocess.run([compiler, *flags, "-c", source, "-o", out], check=True)
        return out

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, sources))


def build(directory, program, sources, flags, compiler="cc"):
    """Compile a program of this directory with `sources`, and link them."""
    objects = compile_all(directory, [NATIVE / f"{program}.c", *sources], flags, compiler)
    link = [compiler, *flags, *objects, "-o", directory / program, "-pthread", "-lm"]
    subprocess.run(link, check=True)
    return directory / program


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_kernels(tmp_path, flags, compiler="cc", emulator=(), sources=SOURCES):
    """Return what each kernel wrote, as a hash, by kernel and type and then by instruction set."""
    program = build(tmp_path, "run_kernels", sources, flags, compiler)
    hashes = {}
    for line in run(*emulator, program).splitlines():
        isa, *kernel, digest = line.split()
        hashes.setdefault(tuple(kernel), {})[isa] = digest
    return hashes


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return run_kernels(tmp_path_factory.mktemp("native"), [])


@pytest.fixture(scope="module")
def sanitized_objects(tmp_path_factory):
    return compile_all(tmp_path_factory.mktemp("sanitized"), SOURCES, SANITIZED)


def test_instruction_sets_agree(expected):
    for kernel, hashes in expected.items():
        assert "generic" in hashes
        assert len(set(hashes.values())) == 1, kernel


def test_sanitized(tmp_path, expected, sanitized_objects):
    assert run_kernels(tmp_path, SANITIZED, sources=sanitized_objects) == expected


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


@pytest.fixture(scope="module")
def run_embedded(tmp_path_factory, sanitized_objects):
    """Return a sanitized program that runs a layer through fastlstm.h."""
    sources = [EMBED / "fastlstm.c", *sanitized_objects]
    return build(tmp_path_factory.mktemp("embedded"), "run_embedded", sources, SANITIZED)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("P", [0, 1, 18])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 2), (0, 2, 3, 19), (700, 1, 2, 33), (5, 7, 19, 65)])
@pytest.mark.parametrize("tiny", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_embedded(run_embedded, dtype, tiny, sizes, P, bias):
    """The same bytes as from Python, whole and in steps, also where denormals come up."""
    T, B, I, H = sizes  # noqa: E741
    P = min(P, H - 1)
    rng = np.random.default_rng(0)
    lstm = fastlstm.LSTM(I, H, proj_size=P, bias=bias, dtype=dtype, rng=rng)
    scale = np.finfo(dtype).tiny if tiny else 1
    x, h, c = (
        (rng.standard_normal(shape) * scale).astype(dtype) for shape in [(T, B, I), (1, B, P or H), (1, B, H)]
    )
    arguments = [np.dtype(dtype).itemsize, *sizes, P, int(bias)]
    given = b"".join(array.tobytes() for array in [*lstm.parameters.values(), x, h, c])
    done = subprocess.run([run_embedded, *map(str, arguments)], input=given, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    y, (h_n, c_n) = lstm(x, (h, c))
    assert done.stdout == 2 * b"".join(array.tobytes() for array in (y, h_n, c_n))
