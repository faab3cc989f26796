"""How much memory a file of others may ask for, compared with the file's own size before it is given."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass

FACTOR = 16
"""How many bytes each byte of a file may become; weights that were packed become two."""

ALLOWANCE = 4 << 20
"""Bytes that any file may ask for."""

MOST_ENTRIES = 100_000
"""How many arrays, groups or archive entries a file may have."""

DEEPEST = 64
"""How deep they may lie in each other."""

LONGEST_NAME = 1000
"""Characters that the name of an array may have, with all that leads to it."""


@dataclass
class Budget:
    """Bytes that are left for what comes out of a file."""

    left: int

    @classmethod
    def of(cls, size: int) -> Budget:
        """Return the budget of a file of so many bytes."""
        return cls(FACTOR * size + ALLOWANCE)

    def take(self, count: int, name: str) -> None:
        """Take so many bytes; ValueError, which names what they are for, if they are more than are left."""
        if count > self.left:
            raise ValueError(f"{name[:100]}: expected at most {self.left} bytes more, got {count}")
        self.left -= count


class Archive:
    """A zip file in memory, whose entries are read whole, each within the budget.

    Raises
    ------
    ValueError
        If it is damaged, here as in `read`.
    """

    def __init__(self, content: bytes) -> None:
        self._budget = Budget.of(len(content))
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except _DAMAGED as error:
            raise ValueError(f"archive: expected a zip file, got a damaged one ({error})") from error
        if len(self._zip.filelist) > MOST_ENTRIES:
            raise ValueError(f"archive: expected at most {MOST_ENTRIES} entries, got more")
        self.names = frozenset(self._zip.namelist())

    def read(self, name: str) -> bytes:
        """Return an entry; ValueError if there is none."""
        if name not in self.names:
            raise ValueError(f"archive: expected an entry {name[:100]!r}, got none")
        self._budget.take(self._zip.getinfo(name).file_size, name)
        try:
            return self._zip.read(name)
        except _DAMAGED as error:
            raise ValueError(f"{name[:100]}: expected a whole entry, got a damaged one ({error})") from error


_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # another compression
    RuntimeError,  # encryption
    OSError,  # a place outside the file
    ValueError,
    OverflowError,
    IndexError,
    UnicodeError,
)
"""What `zipfile` raises for archives that are damaged, or are such as no framework writes."""
