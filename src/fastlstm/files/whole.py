"""Files written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path


def regular_file(path: str | os.PathLike[str], name: str) -> os.stat_result | None:
    """Return what the system knows of the file of a path, None if there is none.

    Raises
    ------
    ValueError
        If a device, a pipe or the like is there: what was written to it can't be taken back, and a file in
        its place would take it from those who use it.
    OSError
        If a folder is there, or the system refuses to say.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(found.st_mode):
        expected = "a regular file or a free name"
        raise ValueError(f"{name}: expected {expected}, got a device, pipe or socket, {os.fspath(path)!r}")
    return found


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file, so that at any moment its name stands for the old content or for all of the new.

    A link remains, and what it leads to is replaced; a file's mode stays as it is. The next write of the
    same name removes what a writer that was killed left behind.

    Raises
    ------
    ValueError
        As `regular_file`.
    OSError
        If it can't be written; the old file is there still.
    """
    old = regular_file(path, "path")
    target = Path(os.path.realpath(path))
    # Of a fixed length, as the target's name may be as long as names can be.
    prefix = f".fastlstm-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}-"
    _remove_leftovers(target.parent, prefix)
    # Until it has its final mode, only its owner may read it.
    temporary, descriptor = _create(target.parent, prefix, 0o666 if old is None else 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
            if old is not None:
                os.chmod(temporary, stat.S_IMODE(old.st_mode))
            if sys.platform == "win32":  # where an open file can't be renamed
                file.close()
            os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _create(folder: Path, prefix: str, mode: int) -> tuple[Path, int]:
    """Create a file of a new name and open it; return both."""
    while True:
        path = folder / f"{prefix}{secrets.token_hex(8)}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        _hold(descriptor)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)  # another writer removed it as a leftover before it was locked


def _remove_leftovers(folder: Path, prefix: str) -> None:
    """Remove what writers that are no more have left."""
    # A folder that can't be listed, or a leftover that can't be removed, does not prevent the write.
    with suppress(OSError):
        for entry in folder.iterdir():
            if entry.name.startswith(prefix):
                with suppress(OSError):
                    _remove_unheld(entry)


if sys.platform == "win32":

    def _hold(descriptor: int) -> None:
        """Do nothing: Windows removes no file that is open."""

    def _remove_unheld(path: Path) -> None:
        path.unlink()

    def _sync_folder(folder: Path) -> None:
        """Do nothing: Windows opens no folders."""

else:
    import fcntl

    def _hold(descriptor: int) -> None:
        """Lock a file for as long as it is open: the system releases the lock when a process dies."""
        # On a file system without locks a leftover can't be told from a file being written: both stay.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _remove_unheld(path: Path) -> None:
        """Remove a file; OSError if its writer lives."""
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(descriptor)

    def _sync_folder(folder: Path) -> None:
        """Make a new name last through a power cut, where the folder and its file system allow that."""
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except PermissionError:
            return
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EBADF, errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(descriptor)
