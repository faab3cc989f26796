"""The compiled parts; everything else is in pyproject.toml.

Three variables of the environment build something else than what is published. Each combination of them
keeps its objects in a directory of its own, so going back and forth compiles nothing twice:

    FASTLSTM_DEBUG=1             symbols, assertions in the kernels, checked indices in the core
    FASTLSTM_ISAS=avx2,generic   these instruction sets only
    FASTLSTM_SANITIZE=address,undefined   or =thread: for these sanitizers

CC says which compiler: GCC, Clang or Zig. Where setuptools would take Microsoft's, it is clang-cl.
"""

import os
import shutil
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

sys.path.insert(0, "tools")  # which an isolated build leaves out
from packing import ArchiveWithoutClock, WheelWithBillOfMaterials

PACKAGE = Path("src/fastlstm")

DEBUG = os.environ.get("FASTLSTM_DEBUG", "0") not in ("", "0")
ISAS = [isa for isa in os.environ.get("FASTLSTM_ISAS", "").split(",") if isa]
SANITIZERS = os.environ.get("FASTLSTM_SANITIZE", "")
VARIANT = "-".join(["debug"] * DEBUG + ISAS + [name for name in SANITIZERS.split(",") if name]) or "release"

# Fused multiply-adds are written out, never left to the compiler: it would fuse differently for each
# instruction set, and results would differ in bits.
NUMERIC = ["-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
COMPILE = ["-std=c11", "-O3", *NUMERIC, "-fvisibility=hidden", "-g0", "-MMD"]
LINK = [] if sys.platform == "win32" else ["-pthread"]
# The same for clang-cl, which takes Clang's own flags behind /clang:.
COMPILE_CL = [
    "/std:c11",
    "/O2",
    "/clang:-O3",
    *(f"/clang:{flag}" for flag in NUMERIC),
    "-D_CRT_SECURE_NO_WARNINGS",
]
MACROS = [("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")]
# Not in _core.pyx, where they could not be changed from here.
DIRECTIVES = {
    "boundscheck": DEBUG,
    "wraparound": DEBUG,
    "initializedcheck": DEBUG,
    "cdivision": not DEBUG,
}

if DEBUG:
    COMPILE += ["-Og", "-g3", "-fno-omit-frame-pointer", "-DFL_DEBUG"]

if SANITIZERS:
    COMPILE += ["-O1", "-g1", "-fno-omit-frame-pointer", f"-fsanitize={SANITIZERS}"]
    LINK += [f"-fsanitize={SANITIZERS}"]


def isa_of(path):
    """Return the instruction set that kernels/**/isa_<name>_<type>.c is for."""
    return path.stem.split("_")[1]


COMPILED = {isa_of(path) for path in PACKAGE.glob("kernels/**/isa_*.c")}
if not COMPILED.issuperset(ISAS):
    raise SystemExit(f"FASTLSTM_ISAS: expected some of {', '.join(sorted(COMPILED))}, got {', '.join(ISAS)}")
LEFT_OUT = COMPILED.difference(ISAS) if ISAS else set()
# select.c must not ask for the tables of what is left out.
MACROS += [(f"FL_WITHOUT_{isa.upper()}", None) for isa in sorted(LEFT_OUT)]

# C programs link all but the pool of threads: docs/embedding.md.
CAPI = PACKAGE / "capi"
POOL = PACKAGE / "kernels" / "workers.c"
LIBRARY = sorted(
    str(path)
    for path in [*PACKAGE.glob("kernels/**/*.c"), *CAPI.glob("*.c")]
    if path != POOL and not (path.stem.startswith("isa_") and isa_of(path) in LEFT_OUT)
)


def is_stale(built):
    """Say whether an object is older than a file that it was made of: the compiler wrote them down (-MMD)."""
    made_of = Path(built).with_suffix(".d")
    if not made_of.exists():
        return True
    files = made_of.read_text().replace("\\\n", "").split()[1:]
    return newer_group(["setup.py", *files], built, missing="newer")


def compile_side_by_side(compiler, sources, output_dir, macros, include_dirs, debug, extra_postargs, depends):
    """Stand in for `compiler.compile`: on all processors, and only what has changed."""
    macros, objects, extra, options, build = compiler._setup_compile(
        output_dir, macros, include_dirs, sources, depends, extra_postargs
    )
    arguments = compiler._get_cc_args(options, debug, None)

    def compile_one(built):
        compiler._compile(built, *build[built], arguments, extra, options)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, filter(is_stale, objects)))
    return objects


WHAT_BUILDS = """fastlstm is built from C, and {missing}. Install what builds C for Python:

    Debian, Ubuntu    apt-get install gcc libc6-dev python3-dev
    Fedora, RHEL      dnf install gcc python3-devel
    Alpine            apk add gcc musl-dev python3-dev
    macOS             xcode-select --install
    conda             conda install c-compiler

or name another compiler in the environment, as in CC=clang, and try again."""


def check_tools(compiler):
    """End with a sentence where there is no compiler, or no header of Python's."""
    # Elsewhere than on Unix it is a class of its own that looks for the program, and says what it misses.
    program = getattr(compiler, "compiler_so", ["cc"])[0]
    if compiler.compiler_type == "unix" and shutil.which(program) is None:
        raise SystemExit(WHAT_BUILDS.format(missing=f"there is no compiler: {program} was not found"))
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        raise SystemExit(WHAT_BUILDS.format(missing=f"Python's header is not there: {header}"))


def use_clang_cl(compiler, extension):
    """Let setuptools drive clang-cl as it drives Microsoft's compiler, which knows none of GCC's vectors."""
    if DEBUG or SANITIZERS:
        raise SystemExit("FASTLSTM_DEBUG, FASTLSTM_SANITIZE: expected GCC or Clang, got Microsoft's tools")
    clang_cl = shutil.which("clang-cl")
    if not clang_cl:
        raise SystemExit(
            "expected clang-cl beside Microsoft's tools: Visual Studio's component \"C++ Clang compiler\""
        )
    compiler.initialize()
    compiler.cc = clang_cl
    compiler.static_lib_format, compiler.static_lib_extension = "lib%s%s", ".a"
    extension.extra_compile_args, extension.extra_link_args = COMPILE_CL, []


class BuildCoreAndLibrary(build_ext):
    """The core, and of the same objects the library that C programs link, beside its header."""

    def finalize_options(self):
        super().finalize_options()
        self.build_temp = str(Path(self.build_temp, VARIANT))
        self.library = Path(self.build_lib, "fastlstm", CAPI.name, "libfastlstm.a")
        # What is in place may be another variant, so it is linked each time; is_stale says what is compiled.
        self.force = True

    def build_extension(self, ext):
        check_tools(self.compiler)
        if self.compiler.compiler_type == "msvc":
            use_clang_cl(self.compiler, ext)
        else:
            self.compiler.compile = partial(compile_side_by_side, self.compiler)
        super().build_extension(ext)
        # An archive that is there would keep its objects of sources that are gone.
        self.library.unlink(missing_ok=True)
        objects = self.compiler.object_filenames(LIBRARY, output_dir=self.build_temp)
        self.compiler.create_static_lib(objects, "fastlstm", output_dir=str(self.library.parent))

    def copy_extensions_to_source(self):
        super().copy_extensions_to_source()
        self.copy_file(str(self.library), str(CAPI / self.library.name))


GENERATED = Path("build", "cython-debug" if DEBUG else "cython")
[core] = cythonize(
    [Extension("fastlstm._core", [str(PACKAGE / "_core.pyx")])],
    build_dir=str(GENERATED),
    compiler_directives=DIRECTIVES,
)
# Cython copies the headers that it sees declared; the compiler is to read the ones in their place.
for copy in GENERATED.rglob("*.h"):
    copy.unlink()
core.sources += [str(POOL), *LIBRARY]
core.include_dirs = [str(PACKAGE), numpy.get_include()]
core.define_macros = MACROS
core.extra_compile_args = COMPILE
core.extra_link_args = LINK

setup(
    ext_modules=[core],
    cmdclass={
        "build_ext": BuildCoreAndLibrary,
        "sdist": ArchiveWithoutClock,
        "bdist_wheel": WheelWithBillOfMaterials,
    },
)
