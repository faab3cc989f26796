"""C programs of tests/native, compiled with the package's own sources."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "fastlstm"
KERNELS = PACKAGE / "kernels"
CAPI = PACKAGE / "capi"
NATIVE = Path(__file__).with_name("native")
SOURCES = sorted(set(KERNELS.rglob("*.c")) - {KERNELS / "workers.c"})
# What setup.py's flags promise of results; -Werror, because here a warning is somebody's mistake.
FLAGS = ["-std=c11", "-O1", "-g1", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Wextra", "-Werror"]


def compile_all(directory, sources, flags, compiler="cc"):
    """Compile each source by itself, as many at once as there are processors; what is compiled stays.

    `compiler` is a command, and may have arguments.
    """
    flags = [*FLAGS, *flags, f"-I{KERNELS}", f"-I{CAPI}", "-pthread"]

    def compile_one(source):
        if source.suffix in {".o", ".a"}:
            return source
        out = directory / f"{source.stem}.o"
        subprocess.run([*compiler.split(), *flags, "-c", source, "-o", out], check=True)
        return out

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, sources))


def build(directory, program, sources, flags, compiler="cc"):
    """Compile a program of this directory with `sources`, and link them."""
    objects = compile_all(directory, [NATIVE / f"{program}.c", *sources], flags, compiler)
    link = [*compiler.split(), *flags, *objects, "-o", directory / program, "-pthread", "-lm"]
    subprocess.run(link, check=True)
    return directory / program
