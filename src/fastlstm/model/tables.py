"""Tables of text, as text and as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Rows = Sequence[Sequence[str]]


def as_text(heads: Sequence[str], rows: Rows, left: int) -> str:
    """Return a table's lines: its first `left` columns begin at the left, numbers end at the right."""
    widths = [max(len(row[k]) for row in (heads, *rows)) for k in range(len(heads))]

    def line(row: Sequence[str]) -> str:
        cells = zip(row, widths, strict=True)
        return "  ".join(
            f"{cell:{'<' if k < left else '>'}{width}}" for k, (cell, width) in enumerate(cells)
        ).rstrip()

    return "\n".join(map(line, (heads, *rows)))


def as_html(heads: Sequence[str], rows: Rows, left: int, below: str = "") -> str:
    """Return the same in HTML, with a line of text below."""

    def line(row: Sequence[str], tag: str) -> str:
        cells = (
            f'<{tag} style="text-align: {"left" if k < left else "right"}">{escape(cell)}</{tag}>'
            for k, cell in enumerate(row)
        )
        return f"<tr>{''.join(cells)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    caption = f'<caption style="caption-side: bottom; text-align: left">{escape(below)}</caption>'
    return f"<table>{caption if below else ''}<thead>{line(heads, 'th')}</thead><tbody>{body}</tbody></table>"
