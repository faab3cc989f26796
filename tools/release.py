"""The checklist of a release.

    python tools/release.py --dry-run             all checks; what only a release does is said, not done
    python tools/release.py --dry-run --only version changelog
    python tools/release.py                       the same, and then the tag, which is for you to push

A step that fails ends it with a sentence, and those after it are not begun.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Unready(Exception):
    """What is not as it has to be."""


def read(name: str) -> str:
    """Return a file of the project."""
    return (ROOT / name).read_text(encoding="utf-8")


def run(*command: str) -> str:
    """Return what a command prints; Unready if it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unready(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def found(pattern: str, name: str) -> str:
    """Return what a file says, by a pattern with one group; Unready if it does not."""
    match = re.search(pattern, read(name), re.MULTILINE)
    if match is None:
        raise Unready(f"{name}: expected a line like {pattern}")
    return match[1]


def version() -> str:
    """Return the version: the one place where it stands."""
    return found(r'^__version__ = "([^"]+)"$', "src/fastlstm/__init__.py")


# The steps: each returns a sentence on what it found


def check_version() -> str:
    """Check that the version is one that was not released, and that the citation has it, too."""
    number = version()
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", number):
        raise Unready(f"__version__: expected a number such as 1.2.3 or 1.2.3rc1, got {number!r}")
    cited = found(r"^version: (\S+)$", "CITATION.cff")
    if cited != number:
        raise Unready(f"CITATION.cff: expected version {number}, got {cited}")
    if "version" in tomllib.loads(read("pyproject.toml"))["project"]:
        raise Unready("pyproject.toml: expected no version of its own, as it is taken from the package")
    if f"v{number}" in run("git", "tag", "--list").split():
        raise Unready(f"__version__: expected one that has no tag yet, got {number}")
    return f"{number}, in the package and in CITATION.cff, has no tag yet"


def check_changelog() -> str:
    """Check that its first part is this version's, has the citation's date, and says something."""
    heading, _, rest = read("CHANGELOG.md").partition("\n## ")[2].partition("\n")
    match = re.fullmatch(r"(\S+) \((\d{4}-\d{2}-\d{2})\)", heading)
    if match is None or match[1] != version():
        raise Unready(
            f"CHANGELOG.md: expected its first part to be '## {version()} (DATE)', got '## {heading}'"
        )
    date = found(r"^date-released: (\S+)$", "CITATION.cff")
    if date != match[2]:
        raise Unready(f"CITATION.cff: expected date-released {match[2]} as in CHANGELOG.md, got {date}")
    entries = re.findall(r"^- ", rest.partition("\n## ")[0], re.MULTILINE)
    if not entries:
        raise Unready(f"CHANGELOG.md: expected entries under {heading}, got none")
    return f"{heading}, {len(entries)} entries"


def check_tests() -> str:
    """Check that lint and tests pass."""
    run(".ci/lint")
    *_, last = run(sys.executable, "-m", "pytest", "-q").strip().splitlines()
    return last


def build_wheels() -> str:
    """Build archive and wheels, and check that they are what they should be."""
    script = ROOT / "tools" / "wheels.py"
    if script.exists():  # builds for every platform, audits and tests
        *_, last = run(sys.executable, str(script)).strip().splitlines()
        return last
    run(sys.executable, "-m", "build", "--outdir", "build/dist", ".")
    names = sorted(path.name for path in (ROOT / "build" / "dist").glob(f"fastlstm-{version()}*"))
    if len(names) < 2:
        raise Unready(f"build/dist: expected an archive and a wheel of {version()}, got {', '.join(names)}")
    return f"{', '.join(names)}: this machine's wheel only, tools/wheels.py is not there"


def build_site() -> str:
    """Build the pages without a warning, and the history of the benchmarks beside them."""
    if not (ROOT / "docs" / "conf.py").exists():
        return "docs/conf.py is not there: no site is built"
    run(sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", "docs", "build/site")
    if not (ROOT / ".asv" / "results").is_dir():
        return "build/site, without a history: `asv run` has left none in .asv/results"
    run("asv", "publish", "--html-dir", "build/site/benchmarks")
    return "build/site, with the benchmarks' history in benchmarks/"


STEPS: dict[str, Callable[[], str]] = {
    "version": check_version,
    "changelog": check_changelog,
    "tests": check_tests,
    "wheels": build_wheels,
    "site": build_site,
}


def tag() -> str:
    """Tag the commit that was checked."""
    if run("git", "status", "--porcelain"):
        raise Unready("git: expected all changes to be committed")
    run("git", "tag", "--annotate", f"v{version()}", "--message", f"fastlstm {version()}")
    return f"v{version()}; now: git push origin v{version()}"


def main() -> int:
    """Go through the steps; return 1 at the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dry-run", action="store_true", help="no tag")
    parser.add_argument("--only", nargs="+", choices=STEPS, help="these steps alone, and no tag")
    arguments = parser.parse_args()
    chosen = arguments.only or [*STEPS]
    try:
        for name in chosen:
            print(f"{name + ':':11}", end="", flush=True)
            print(STEPS[name](), flush=True)
        if arguments.dry_run or arguments.only:
            print(f"{'tag:':11}v{version()} would be the tag")
        else:
            print(f"{'tag:':11}{tag()}")
    except Unready as error:
        print(f"not ready\n{error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
