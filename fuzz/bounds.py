"""Where targets write the files that they read, and how much memory reading one may take."""

import atexit
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_directory = tempfile.TemporaryDirectory(prefix="fuzz-")
atexit.register(_directory.cleanup)

FOLDER = Path(_directory.name)

GROWTH = 64 << 20
"""Bytes that an input of a few KB may add to the most that the process ever held."""


@contextmanager
def in_proportion(content: bytes) -> Iterator[None]:
    """Raise AssertionError if the block took memory out of all proportion to its input."""
    before = _peak()
    yield
    grown = _peak() - before
    assert grown < GROWTH + 30 * len(content), f"{grown >> 20} MB for {len(content)} bytes"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
