"""Takes asv's own pages along, where `asv publish` has made some: the benchmarks commit by commit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PUBLISHED = Path(__file__).parents[2] / ".asv" / "html"


def copy(app: Sphinx, exception: Exception | None) -> None:
    """Copy them into the site."""
    if exception is None and app.tags.has("history"):
        shutil.copytree(PUBLISHED, Path(app.outdir) / "history", dirs_exist_ok=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx; pages ask for the tag."""
    if (PUBLISHED / "index.html").exists():
        app.tags.add("history")
    app.connect("build-finished", copy)
    return {"parallel_read_safe": True}
