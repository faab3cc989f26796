"""Pictures of demos in files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ..files.whole import regular_file, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNDATED = {".svg": {"Date": None}, ".png": {"Software": None}, ".pdf": {"CreationDate": None}}
"""What would make a picture's bytes differ from one day, or one version, to the next."""


def check_picture(path: Path | None) -> None:
    """Raise, before a long training, what would keep a picture from being written after it.

    Raises
    ------
    ImportError
        If Matplotlib is not there.
    ValueError
        If the file's name ends in no format that it draws.
    OSError
        If the folder is not there.
    """
    if path is None:
        return
    from .. import plot  # which says what to install

    formats = plot.FORMATS
    if path.suffix[1:].lower() not in formats:
        raise ValueError(f"picture: expected a name that ends in .{', .'.join(formats)}, got {str(path)!r}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"picture: expected a folder that is there, got {str(path.parent)!r}")
    regular_file(path, "picture")


def write_picture(figure: Figure, path: Path) -> None:
    """Write a picture whole or not at all, the same bytes for the same picture."""
    import matplotlib as mpl

    content, suffix = io.BytesIO(), path.suffix.lower()
    with mpl.rc_context({"svg.hashsalt": "fastlstm"}):
        figure.savefig(
            content, format=suffix[1:], dpi=110, facecolor="white", metadata=UNDATED.get(suffix, {})
        )
    write_whole(path, content.getvalue())
