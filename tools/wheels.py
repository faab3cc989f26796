"""Builds, audits and tries the wheels of one machine's Pythons for all platforms; `zig cc` compiles them.

    pip install -r tools/wheels.txt
    python tools/wheels.py build TARGET [--python 3.11]     into dist/, repaired and audited
    python tools/wheels.py audit WHEEL...                   what publishing should not be without
    python tools/wheels.py run WHEEL [--cpu Nehalem]        in an empty environment; an aarch64's emulated
    python tools/wheels.py twice                            the archive and a wheel have the same bytes twice

TARGET is one of TARGETS. The wheels that are published are made by cibuildwheel
(.github/workflows/wheels.yml), and audited and run by these scripts, too.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

from packing import BILL_OF_MATERIALS

ROOT = Path(__file__).parents[1]
WORKS = ROOT / "tools" / "wheel_works.py"

TARGETS = {
    "x86_64-linux-gnu": ("x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64"),
    "aarch64-linux-gnu": ("aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64"),
    "x86_64-linux-musl": ("x86_64-linux-musl", "musllinux_1_2_x86_64"),
    "aarch64-linux-musl": ("aarch64-linux-musl", "musllinux_1_2_aarch64"),
}
"""What Zig calls a target, and the platform that its wheels are for."""

BUILT_WITH = ["build", "setuptools>=77", "cython>=3.1", "numpy>=2", "scipy"]

# Debian's Python for the emulated test, without its documentation and what only recommends itself.
ARM_PACKAGES = ["python3.11", "libgcc-s1", "libstdc++6"]
ARM_SOURCES = "deb http://deb.debian.org/debian bookworm main\n"


def call(*command, **options):
    """Run a command and end with it if it fails."""
    print("+", *command, flush=True)
    subprocess.run([str(word) for word in command], check=True, **options)


def interpreter(version):
    """Return the path of `python<version>`, on the path or of pyenv; SystemExit where there is none."""
    found = shutil.which(f"python{version}")
    if found and "shims" not in found:
        return found
    for prefix in sorted(Path.home().glob(f".pyenv/versions/{version}*"), reverse=True):
        return str(prefix / "bin" / f"python{version}")
    raise SystemExit(f"python{version}: not on this machine")


def environment(directory, python):
    """Make an empty virtual environment and return its Python."""
    call(python, "-m", "venv", directory)
    return directory / "bin" / "python"


def headers_under_target(directory, python, machine):
    """Return a directory to include, which has pyconfig.h where Debian's Python looks for a machine's own.

    It is that of the Python that builds: it says the same of all 64-bit Linux as far as extensions read it.
    """
    ask = "import sysconfig as s; print(s.get_config_h_filename(), s.get_config_var('MULTIARCH'))"
    answer = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.split()
    general, version = Path(answer[0]), Path(answer[0]).parent.name
    own = general.parents[1] / answer[1] / version / general.name
    place = directory / f"{machine}-linux-gnu" / version
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(own if own.exists() else general, place)
    return directory


def links_musl(directory, compiler, machine):
    """Return the options by which an extension asks for musl by the name that musl's systems have for it.

    Zig's musl calls itself libc.so, which auditwheel takes for some other library.
    """
    empty, library = directory / "musl.c", directory / "musl.so"
    empty.write_text("extern int nothing;\n")
    soname = f"-Wl,-soname,libc.musl-{machine}.so.1"
    call(*compiler.split(), "-shared", "-nostdlib", soname, empty, "-o", library)
    return f"-nostdlib -Wl,--no-as-needed {library}"


def cross_compiled(target, directory):
    """Return the variables by which setuptools and sysconfig compile for a target."""
    zig_target, _ = TARGETS[target]
    machine, _, libc = target.split("-")
    zig = f"{sys.executable} -m ziglang"
    compiler = f"{zig} cc -target {zig_target}"
    linked = links_musl(directory, compiler, machine) if libc == "musl" else ""
    return {
        "CC": compiler,
        "LDSHARED": f"{compiler} -shared {linked}",  # without options of this system's linker
        "AR": f"{zig} ar",
        "RANLIB": f"{zig} ranlib",
        "LDFLAGS": "-s",
        "_PYTHON_HOST_PLATFORM": f"linux-{machine}",
    }


def copied(directory):
    """Copy the tracked files into a directory, and return it: no objects of another target lie there."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, tracked.stdout.split("\0")):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, directory / name)
    return directory


def build(target, versions, out):
    """Build a wheel for each version of Python, repaired: its name says which systems have what it links."""
    _, platform = TARGETS[target]
    machine, _, libc = target.split("-")
    with tempfile.TemporaryDirectory() as work:
        source = copied(Path(work, "source"))
        for version in versions:
            python = environment(Path(work, version), interpreter(version))
            call(python, "-m", "pip", "install", "-q", *BUILT_WITH)
            headers = headers_under_target(Path(work, "include"), python, machine)
            suffix = f".cpython-{version.replace('.', '')}-{machine}-linux-{libc}.so"
            cross = cross_compiled(target, Path(work))
            variables = {**os.environ, **cross, "SETUPTOOLS_EXT_SUFFIX": suffix}
            variables["CFLAGS"] = f"-I{headers}"
            raw = Path(work, "raw", version)
            call(
                python, "-m", "build", "--wheel", "--no-isolation", "--outdir", raw, source,
                env=variables, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            (wheel,) = raw.glob("*.whl")
            call(
                sys.executable, "-m", "auditwheel", "repair", "--plat", "auto", "--only-plat",
                "--wheel-dir", out, wheel,
            )  # fmt: skip
    audit(sorted(Path(out).glob(f"*{platform}*.whl")))


def metadata_of(wheel):
    """Return a wheel's METADATA as a message, and its bill of materials as text."""
    with zipfile.ZipFile(wheel) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        bill = metadata.removesuffix("METADATA") + BILL_OF_MATERIALS
        names = archive.namelist()
        assert bill in names, f"{wheel}: expected {BILL_OF_MATERIALS}"
        assert any(name.endswith("/licenses/LICENSE") for name in names), f"{wheel}: expected its licence"
        return HeaderParser().parsestr(archive.read(metadata).decode()), archive.read(bill).decode()


def audit(wheels):
    """Fail if a wheel links what its platform lacks, has strange contents, or says too little of itself."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert wheels, "expected wheels"
    for wheel in map(Path, wheels):
        metadata, bill = metadata_of(wheel)
        assert metadata["License-Expression"] == "BSD-3-Clause", metadata["License-Expression"]
        assert metadata["Version"] == version_of_source(), metadata["Version"]
        problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill)
        assert problem is None, problem
        call(sys.executable, "-m", "check_wheel_contents", wheel)
        if "linux" in wheel.name:
            call(sys.executable, "-m", "auditwheel", "show", wheel)
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")


def version_of_source():
    """Return the version, from the one place where it stands."""
    source = (ROOT / "src" / "fastlstm" / "__init__.py").read_text()
    return re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)[1]


def arm_root(directory):
    """Unpack Debian's Python for aarch64 into a directory, without installing any of it here."""
    state, cache, root = (directory / name for name in ("state", "cache", "root"))
    (state / "lists" / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    (state / "status").touch()
    sources = directory / "sources.list"
    sources.write_text(ARM_SOURCES)
    options = {
        "APT::Architecture": "arm64", "APT::Architectures": "arm64", "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root", "Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": "-",
        "Dir::State": state, "Dir::State::status": state / "status", "Dir::Cache": cache,
    }  # fmt: skip
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    call(*apt, "update")
    call(*apt, "install", "-y", "--download-only", *ARM_PACKAGES)
    for package in sorted((cache / "archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    return root


def run(wheel, cpu):
    """Install a wheel where nothing else is, and run it: here, on an older processor, or emulated."""
    wheel = wheel.resolve()
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        if "aarch64" in wheel.name:
            run_emulated(wheel, work)
            return
        version = re.search(r"-cp(\d)(\d+)-", wheel.name)
        python = environment(work / "venv", interpreter(f"{version[1]}.{version[2]}"))
        call(python, "-m", "pip", "install", "-q", wheel)
        call(python, WORKS, cwd=work)
        if cpu:
            call("qemu-x86_64", "-cpu", cpu, python, WORKS, cwd=work)


def run_emulated(wheel, work):
    """Install and run one for aarch64, on Debian's Python."""
    if "-cp311-" not in wheel.name:
        raise SystemExit(f"{wheel.name}: expected one for Debian's Python, cp311")
    site = work / "site"
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (17, 24, 27, 28)]
    call(
        sys.executable, "-m", "pip", "install", "-q", "--only-binary=:all:", "--python-version=3.11",
        "--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none", *platforms, "--target", site, wheel,
    )  # fmt: skip
    root = arm_root(work)
    python = root / "usr" / "bin" / "python3.11"
    call("qemu-aarch64", "-L", root, "-E", f"PYTHONPATH={site}", python, WORKS, cwd=work)


def digests(directory, python):
    """Return the SHA-256 of the archive and of a wheel built from a copy of the sources in a directory."""
    source = copied(directory / "source")
    variables = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "FASTLSTM_ISAS": "avx2"}
    call(
        python, "-m", "build", "--no-isolation", "--outdir", directory / "out", source,
        env=variables, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (directory / "out").iterdir()
    }


def twice():
    """Build archive and wheel, of one instruction set, in two places, and fail if a byte differs."""
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        first, second = (digests(work / name, sys.executable) for name in ("here", "and/elsewhere"))
    for name, digest in first.items():
        print(digest, name)
    assert first == second, f"expected the same bytes, got {second}"


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    builder = commands.add_parser("build")
    builder.add_argument("target", choices=TARGETS)
    builder.add_argument("--python", nargs="+", default=["3.11", "3.12", "3.13"])
    builder.add_argument("--out", default="dist")
    commands.add_parser("audit").add_argument("wheels", nargs="+")
    runner = commands.add_parser("run")
    runner.add_argument("wheel", type=Path)
    runner.add_argument("--cpu", help="what qemu-x86_64 -cpu takes")
    commands.add_parser("twice")
    given = parser.parse_args()
    if given.command == "build":
        build(given.target, given.python, given.out)
    elif given.command == "audit":
        audit(given.wheels)
    elif given.command == "run":
        run(given.wheel, given.cpu)
    else:
        twice()


if __name__ == "__main__":
    main()
