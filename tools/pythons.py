"""Builds Pythons that no package brings, from Debian's sources, and runs fastlstm on them.

    python tools/pythons.py free-threaded DIRECTORY       CPython 3.14 without the interpreter lock
    python tools/pythons.py musl DIRECTORY WHEEL          CPython 3.13 over musl

Each runs tools/wheel_works.py and the tests of TESTS. What was built in DIRECTORY is not built again. The
first installs this checkout, or another --package. The second compiles with `zig cc` (tools/wheels.txt); its
wheel is one that `tools/wheels.py build x86_64-linux-musl --python 3.13` makes, or one for aarch64, which is
emulated, without the tests. Debian has what they need:

    apt-get install gcc make libbz2-dev libffi-dev liblzma-dev libsqlite3-dev libssl-dev zlib1g-dev
    apt-get install gcc make        and for aarch64   gcc-aarch64-linux-gnu qemu-user
"""

import argparse
import hashlib
import importlib
import itertools
import lzma
import os
import platform
import re
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from wheels import ROOT, WORKS, call, environment

DEBIAN = "http://deb.debian.org/debian"


class Source(NamedTuple):
    """A source package of Debian."""

    name: str
    file: str
    sha256: str
    suite: str
    """Whose index names another file once this one is gone."""


PYTHON_3_14 = Source(
    "python3.14",
    "pool/main/p/python3.14/python3.14_3.14.7.orig.tar.xz",
    "3b48dac8fb59f62eaa67ac83c1eb12bda1b7a08406dd286e252c11a66be27f81",
    "sid",
)
PYTHON_3_13 = Source(
    "python3.13",
    "pool/main/p/python3.13/python3.13_3.13.5.orig.tar.xz",
    "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640",
    "trixie",
)
MUSL = Source(
    "musl",
    "pool/main/m/musl/musl_1.2.5.orig.tar.gz",
    "a9a118bbe84d8764da0ea0d28b3ab3fae8477fc7e4085d90102b8596fc7c75e4",
    "trixie",
)
ZLIB = Source(
    "zlib",
    "pool/main/z/zlib/zlib_1.3.dfsg+really1.3.1.orig.tar.gz",
    "60dd315c07f616887caa029408308a018ace66e3d142726a97db164b3b8f69fb",
    "trixie",
)
LIBFFI = Source(  # later ones come without their configure
    "libffi",
    "pool/main/libf/libffi/libffi_3.4.4.orig.tar.gz",
    "d66c56ad259a82cf2a9dfc408b32bf5da52371500b84745f7fb8b645712df676",
    "bookworm",
)

CONFIGURED = ["-q", "--disable-test-modules", "--with-ensurepip=no"]
QUICK = "-O1 -DNDEBUG -w"
"""What CPython is compiled with: a minute less than with its own optimisation."""

INSTALLED = ["altbininstall", "libinstall", "inclinstall", "sharedinstall", "COMPILEALL_OPTS=--help"]
"""What of CPython is installed. Its modules are compiled as they are imported, not all of them at once."""

TESTS = "core recurrent streaming sizes pool saving fit threads many_threads"
"""Which tests run, as on the newer Python of .ci/run."""


# Sources ------------------------------------------------------------------------------------------------


def got(url):
    """Return what lies there; None if there is nothing."""
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def listed(source):
    """Yield the package's archives in the index of its suite, the last first, as files and SHA-256."""
    index = lzma.decompress(got(f"{DEBIAN}/dists/{source.suite}/main/source/Sources.xz")).decode()
    entries = re.findall(rf"^Package: {re.escape(source.name)}\n(?:.+\n)*", index, re.MULTILINE)
    for entry in reversed(entries):
        directory = re.search(r"^Directory: (.+)$", entry, re.MULTILINE)[1]
        for digest, name in re.findall(r"^ ([0-9a-f]{64}) \d+ (\S+\.orig\.tar\.\w+)$", entry, re.MULTILINE):
            yield f"{directory}/{name}", digest


def archive_of(source):
    """Return the bytes of a source's archive, whose SHA-256 is what it has to be."""
    for file, digest in itertools.chain([(source.file, source.sha256)], listed(source)):
        archive = got(f"{DEBIAN}/{file}")
        if archive is None:
            continue
        found = hashlib.sha256(archive).hexdigest()
        if found != digest:
            raise SystemExit(f"{file}: expected SHA-256 {digest}, got {found}")
        print(f"{file}: {len(archive)} bytes, SHA-256 {digest}", flush=True)
        return archive
    raise SystemExit(f"{source.name}: neither {source.file} nor what {source.suite} lists is there")


def unpacked(source, directory):
    """Return the folder in `directory` that has a source's files, which are fetched if they are not there."""
    place = directory / source.name
    if not place.exists():
        directory.mkdir(parents=True, exist_ok=True)
        archive = directory / "archive"
        archive.write_bytes(archive_of(source))
        with tarfile.open(archive) as files:
            top = files.getnames()[0].partition("/")[0]
            files.extractall(directory, filter="data")
        archive.unlink()
        (directory / top).rename(place)
    return place


def made(source, directory, configure, variables, targets):
    """Configure a source, and make some targets of it: quietly, unless something fails."""
    place = unpacked(source, directory)
    with (directory / f"{source.name}.txt").open("w") as told:
        for command in (["./configure", *configure], ["make", "-s", f"-j{os.cpu_count()}"], *targets):
            print("+", *command, flush=True)
            done = subprocess.run(
                command, cwd=place, env={**os.environ, **variables}, stdout=told, stderr=subprocess.STDOUT
            )
            if done.returncode:
                sys.exit(f"{source.name}: {' '.join(command)} failed, as {told.name} tells")
    return place


# Without the interpreter lock ----------------------------------------------------------------------------


def free_threaded(directory):
    """Return the path of a CPython that has no interpreter lock, built if it is not there."""
    python = directory / "bin" / "python3.14t"
    if not python.exists():
        made(
            PYTHON_3_14, directory / "source", [*CONFIGURED, "--disable-gil", f"--prefix={directory}"],
            {"OPT": QUICK}, [["make", "-s", *INSTALLED]],
        )  # fmt: skip
    return python


def run_free_threaded(directory, package):
    """Install the package on a CPython without the interpreter lock, and run its tests there."""
    python = environment(directory / "venv", free_threaded(directory))
    # What builds the package, once for all, and the first safetensors for such a Python.
    before = ["cython", "numpy", "scipy", "setuptools", "safetensors>=0.9.0rc1"]
    call(python, "-m", "pip", "install", "-q", *before)
    call(python, "-m", "pip", "install", "-q", "--no-build-isolation", f"{package}[test]")
    call(python, WORKS, cwd=directory)
    call(python, ROOT / ".ci" / "races.py", cwd=directory)
    call(python, "-m", "pytest", "-q", *tests(), cwd=ROOT)


# Over musl ------------------------------------------------------------------------------------------------


def crosses(machine):
    """Return whether a Python for that machine is only emulated here."""
    return machine != platform.machine()


def musl(directory, machine):
    """Return the path of a CPython over musl, built if it is not there, with the libraries that it needs."""
    python = directory / "bin" / "python3.13"
    if python.exists():
        return python
    directory.mkdir(parents=True, exist_ok=True)
    zig = Path(importlib.import_module("ziglang").__file__).with_name("zig")
    compiler, libraries = directory / "cc", directory / "libraries"
    target = f"{machine}-linux-musl -dynamic -Wl,-dynamic-linker,{directory}/lib/ld-musl-{machine}.so.1"
    compiler.write_text(f'#!/bin/sh\nexec {zig} cc -target {target} "$@"\n')
    compiler.chmod(0o755)
    variables = {
        "CC": str(compiler), "AR": f"{zig} ar", "RANLIB": f"{zig} ranlib", "CFLAGS": "-O1 -fPIC",
        "PKG_CONFIG_LIBDIR": str(libraries / "lib" / "pkgconfig"),
        # By this configure knows musl, whose name is a part of the names of extensions.
        "CPP": f"{compiler} -E -D__DEFINED_va_list",
    }  # fmt: skip
    host, asked = [], []
    if crosses(machine):
        host = [f"--host={machine}-linux-musl", f"--build={platform.machine()}-linux-gnu"]
        # What this machine does of the build needs the same version, to the last number.
        asked = [f"--with-build-python={musl(directory / platform.machine(), platform.machine())}"]
        variables |= {"ac_cv_file__dev_ptmx": "yes", "ac_cv_file__dev_ptc": "no"}
    source, prefix, install = directory / "source", f"--prefix={libraries}", [["make", "-s", "install"]]
    # Zig brings musl to link with, but none to load; that of Debian 12 is older than PyPI's wheels want it.
    own = ["--disable-static", prefix, f"--syslibdir={directory}/lib"]
    made(MUSL, source, own, {"CC": f"{machine}-linux-gnu-gcc"}, install)
    made(ZLIB, source, ["--static", prefix], variables, install)
    # Its way to memory that is written and run at other addresses asks for what glibc alone has.
    without = ["--disable-shared", "--disable-docs", "--disable-exec-static-tramp"]
    made(LIBFFI, source, ["-q", *host, *without, prefix], variables, install)
    # Whether getaddrinfo works is tried on a network, for IPv6; none of it is needed.
    made(
        PYTHON_3_13, source, [*CONFIGURED, *host, *asked, "--disable-ipv6", f"--prefix={directory}"],
        {**variables, "CFLAGS": "", "OPT": f"{QUICK} -fPIC"}, [["make", "-s", *INSTALLED]],
    )  # fmt: skip
    return python


def run_musl(directory, wheel):
    """Run a wheel for musl, beside those that PyPI has for it; and the tests, unless that is emulated."""
    machine = re.search(r"-musllinux_\d+_\d+_(\w+)\.whl$", wheel.name)[1]
    python, site = musl(directory, machine), directory / "site"
    call(
        sys.executable, "-m", "pip", "install", "-q", "--only-binary=:all:", "--python-version=3.13",
        "--implementation=cp", "--abi=cp313", "--abi=abi3", "--abi=none",
        f"--platform=musllinux_1_2_{machine}", "--upgrade", "--target", site,
        wheel, "pytest", "hypothesis", "threadpoolctl",
    )  # fmt: skip
    if crosses(machine):
        call(f"qemu-{machine}", "-E", f"PYTHONPATH={site}", python, WORKS, cwd=directory)
        return
    variables = {**os.environ, "PYTHONPATH": str(site)}
    call(python, WORKS, cwd=directory, env=variables)
    # Without the one that draws, as matplotlib wants more of a system than this.
    drawing = "--deselect=tests/test_fit.py::test_history_draws_itself"
    call(python, "-m", "pytest", "-q", drawing, *tests(), cwd=ROOT, env=variables)


def tests():
    """Return the files of the tests that run."""
    return [f"tests/test_{name}.py" for name in TESTS.split()]


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    lockless = commands.add_parser("free-threaded")
    lockless.add_argument("directory", type=Path)
    lockless.add_argument("--package", default=ROOT, help="what pip installs: a folder, or an archive")
    over_musl = commands.add_parser("musl")
    over_musl.add_argument("directory", type=Path)
    over_musl.add_argument("wheel", type=Path)
    given = parser.parse_args()
    directory = given.directory.resolve()
    if given.command == "free-threaded":
        run_free_threaded(directory, given.package)
    else:
        run_musl(directory, given.wheel)


if __name__ == "__main__":
    main()
