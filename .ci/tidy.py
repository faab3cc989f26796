"""Fail if the repository holds what does not belong there.

python .ci/tidy.py            the files that git tracks, and the subjects of commits since CONTRIBUTING.md
                              asks for short ones
python .ci/tidy.py MESSAGE    the subject of a commit's message in a file
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LARGEST = 400_000
"""Bytes of a tracked file."""

MAY_BE_LARGER: set[str] = set()

ROOT = {
    ".ci",
    ".clang-format",
    ".github",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CITATION.cff",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "MANIFEST.in",
    "README.md",
    "SECURITY.md",
    "asv.conf.json",
    "benchmarks",
    "docs",
    "examples",
    "fuzz",
    "pyproject.toml",
    "setup.py",
    "src",
    "tests",
    "tools",
}

LONGEST_SUBJECT = 72


def git(*arguments: str) -> list[str]:
    """Return the lines that a git command prints."""
    command = ["git", "-c", "core.quotePath=false", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def large(paths: list[Path]) -> Iterator[str]:
    """Name the files that are too large."""
    for path in paths:
        if path.stat().st_size > LARGEST and str(path) not in MAY_BE_LARGER:
            yield f"{path}: {path.stat().st_size} bytes, where {LARGEST} are the most"


def strangers(paths: list[Path]) -> Iterator[str]:
    """Name the entries of the root that are not known."""
    for entry in sorted({path.parts[0] for path in paths} - ROOT):
        yield f"{entry}: not one of the entries of the root that .ci/tidy.py lists"


def tests_of_tests(paths: list[Path]) -> Iterator[str]:
    """Name the tests that import other tests: what they share belongs into tests/support*.py."""
    for path in paths:
        if path.parts[0] == "tests" and path.suffix == ".py":
            for module in re.findall(
                r"^\s*(?:from|import) +(test_\w+)", path.read_text("utf-8"), re.MULTILINE
            ):
                yield f"{path}: imports {module}; what tests share belongs into tests/support*.py"


def long_subject(message: str) -> Iterator[str]:
    """Name a subject that is too long."""
    subject = message.partition("\n")[0]
    if len(subject) > LONGEST_SUBJECT:
        yield f"{subject!r}: a subject of {len(subject)} characters, where {LONGEST_SUBJECT} are the most"


def subjects_since_the_rule() -> list[str]:
    """Return the subjects of the commits after the one that added CONTRIBUTING.md."""
    added = git("log", "--diff-filter=A", "--format=%H", "--", "CONTRIBUTING.md")
    return git("log", "--no-merges", "--format=%s", f"{added[-1]}..HEAD") if added else []


def complaints(message_file: str | None) -> Iterator[str]:
    """Yield a line for whatever is not as it should be."""
    if message_file is not None:
        yield from long_subject(Path(message_file).read_text("utf-8"))
        return
    paths = [path for path in map(Path, git("ls-files")) if path.is_file()]
    for check in (large, strangers, tests_of_tests):
        yield from check(paths)
    for subject in subjects_since_the_rule():
        yield from long_subject(subject)


def main() -> None:
    """Print what is wrong and fail if anything is."""
    if not Path(".git").exists():
        print("no git here: neither files nor commits are checked")
        return
    found = list(complaints(sys.argv[1] if len(sys.argv) > 1 else None))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))


main()
