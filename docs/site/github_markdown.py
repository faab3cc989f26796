"""Reads the pages as GitHub shows them: its way to write mathematics, and links to what is no page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

INLINE = re.compile(r"\$`(.+?)`\$", re.DOTALL)
BLOCK = re.compile(r"^```math\n", re.MULTILINE)
OUTSIDE = re.compile(r"\[([^\]]*)\]\(((?:\.\./|[\w-]+\.py)[^)]*)\)")


def as_site(text: str, page: Path) -> str:
    """Return a page's text in MyST's terms; links to folders and files outside `docs/` become their text."""
    text = INLINE.sub(lambda math: f"${math[1]}$", text)
    text = BLOCK.sub("```{math}\n", text)

    def outside(link: re.Match[str]) -> str:
        target = (page.parent / link[2].split("#")[0]).resolve()
        if not target.exists():
            raise ValueError(f"{page}: {link[2]} is not there")
        return link[1] if link[1].startswith("`") else f"`{link[1]}`"

    return OUTSIDE.sub(outside, text)


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """Hand Sphinx what it reads."""
    page = Path(app.env.doc2path(name))
    if page.suffix == ".md":
        source[0] = as_site(source[0], page)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("source-read", read)
    return {"parallel_read_safe": True}
