"""The compiled parts; everything else is in pyproject.toml."""

import os
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

PACKAGE = Path("src/fastlstm")

# Fused multiply-adds are written out, never left to the compiler: it would fuse differently for each
# instruction set, and results would differ in bits.
COMPILE = [
    "-std=c11",
    "-O3",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-g0",
]
LINK = ["-pthread"]

# FASTLSTM_SANITIZE=address,undefined or =thread builds for those sanitizers.
sanitizers = os.environ.get("FASTLSTM_SANITIZE")
if sanitizers:
    COMPILE += ["-O1", "-g1", "-fno-omit-frame-pointer", f"-fsanitize={sanitizers}"]
    LINK += [f"-fsanitize={sanitizers}"]

core = Extension(
    "fastlstm._core",
    [str(PACKAGE / "_core.pyx"), *map(str, sorted(PACKAGE.glob("kernels/*.c")))],
    depends=[str(path) for pattern in ("*.pxd", "*.pxi", "kernels/*.h") for path in PACKAGE.glob(pattern)],
    include_dirs=[str(PACKAGE), numpy.get_include()],
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
    extra_compile_args=COMPILE,
    extra_link_args=LINK,
)

setup(ext_modules=cythonize([core]))
