"""The C of the ground floor by itself: the same bytes from every instruction set, and sanitizers."""

import itertools
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


@pytest.mark.parametrize("flags", [[], SANITIZED])
def test_kernels(tmp_path, flags):
    """No byte out of place, and the same bytes from all."""
    sources = [*KERNELS.glob("isa_*.c"), KERNELS / "select.c"]
    lines = run(build(tmp_path, "run_kernels", sources, flags)).splitlines()
    results = sorted(line.split()[1:] + line.split()[:1] for line in lines)
    assert {isa for *_, isa in results} >= {"generic"}
    for kernel, of_kernel in itertools.groupby(results, key=lambda result: result[:2]):
        hashes = {isa: digest for _, _, digest, isa in of_kernel}
        assert len(set(hashes.values())) == 1, (kernel, hashes)


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [([], []), (SANITIZED, []), (["-fsanitize=thread"], ["no fork"])],
)
def test_workers(tmp_path, flags, arguments):
    assert run(build(tmp_path, "run_workers", [KERNELS / "workers.c"], flags), *arguments) == "done\n"
