"""The compiled parts; everything else is in pyproject.toml."""

import os
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

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

HEADERS = sorted(str(path) for pattern in ("kernels/*.h", "embed/*.h") for path in PACKAGE.glob(pattern))
POOL = PACKAGE / "kernels" / "workers.c"
KERNELS = sorted(str(path) for path in PACKAGE.glob("kernels/*.c") if path != POOL)

# The core is linked with it, and so are C programs: docs/embedding.md.
library = (
    "fastlstm",
    {
        "sources": [*KERNELS, str(PACKAGE / "embed" / "fastlstm.c")],
        "obj_deps": {"": HEADERS},
        "cflags": COMPILE,
    },
)

core = Extension(
    "fastlstm._core",
    [str(PACKAGE / "_core.pyx"), str(POOL)],
    depends=[*KERNELS, *HEADERS, *(str(path) for end in ("pxd", "pxi") for path in PACKAGE.glob(f"*.{end}"))],
    include_dirs=[str(PACKAGE), numpy.get_include()],
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
    extra_compile_args=COMPILE,
    extra_link_args=LINK,
)


class BuildCoreAndLibrary(build_ext):
    """The core, and the library that it is linked with beside the header that goes with it."""

    def run(self):
        self.run_command("build_clib")
        super().run()
        build_clib = self.get_finalized_command("build_clib")
        name = build_clib.compiler.library_filename("fastlstm")
        place = PACKAGE if self.inplace else Path(self.build_lib, "fastlstm")
        self.mkpath(str(place / "embed"))
        self.copy_file(str(Path(build_clib.build_clib, name)), str(place / "embed" / name))


setup(ext_modules=cythonize([core]), libraries=[library], cmdclass={"build_ext": BuildCoreAndLibrary})
