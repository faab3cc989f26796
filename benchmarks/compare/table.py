"""Results as a table of text, or of Markdown as GitHub shows it."""

from __future__ import annotations

from collections.abc import Sequence

from .libraries import LIBRARIES
from .results import Row, Scaling, geometric_mean

UNITS = ((1, "s"), (1e-3, "ms"), (1e-6, "us"))
ABSENT = "–"


def duration(seconds: float | None) -> str:
    """Return seconds with three digits, in the unit that suits them."""
    if seconds is None:
        return ABSENT
    size, unit = next((unit for unit in UNITS if seconds >= 0.9995 * unit[0]), UNITS[-1])
    value = seconds / size
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"


def _ratio(ratio: float | None) -> str:
    return ABSENT if ratio is None else f"{ratio:.2f}"


def _line(row: Row, libraries: Sequence[str]) -> list[str]:
    results = (row.results.get(name) for name in libraries)
    share = ABSENT if row.share is None else f"{row.share:.0%}"
    times = (duration(result.best if result else None) for result in results)
    return [row.cell.name, str(row.threads), *times, _ratio(row.ratio), share]


def table(rows: Sequence[Row], markdown: bool) -> str:
    """Return the rows of one group and number of threads, closed by the geometric mean of their ratios."""
    libraries = [name for name in LIBRARIES if any(name in row.results for row in rows)]
    titles = [LIBRARIES[name].title for name in libraries]
    head = [f"{rows[0].cell.group}: T, B, H", "threads", *titles, "best peer / ours", "share of limit"]
    mean = _ratio(geometric_mean(row.ratio for row in rows))
    foot = ["geometric mean", str(rows[0].threads), *([""] * len(libraries)), mean, ""]
    return _drawn([head, *(_line(row, libraries) for row in rows), foot], markdown)


def scaling_table(scalings: Sequence[Scaling], markdown: bool) -> str:
    """Return the shares of a linear speed-up that each library reaches with more threads."""
    libraries = [name for name in LIBRARIES if any(name in scaling.shares for scaling in scalings)]
    lines = [
        ["share of a linear speed-up: T, B, H", "threads", *(LIBRARIES[name].title for name in libraries)]
    ]
    for scaling in scalings:
        shares = (scaling.shares.get(name) for name in libraries)
        texts = (ABSENT if share is None else f"{share:.0%}" for share in shares)
        lines.append([f"{scaling.cell.group} {scaling.cell.name}", str(scaling.threads), *texts])
    return _drawn(lines, markdown)


def _drawn(lines: list[list[str]], markdown: bool) -> str:
    """Return lines of texts, the first of which are titles, with all columns of one width each."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    end = ":" if markdown else "-"
    rule = ["-" * widths[0], *("-" * (width - 1) + end for width in widths[1:])]
    lines.insert(1, rule)
    return "\n".join(_joined(line, widths, markdown) for line in lines)


def _joined(line: Sequence[str], widths: Sequence[int], markdown: bool) -> str:
    numbers = (text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True))
    texts = [line[0].ljust(widths[0]), *numbers]
    return f"| {' | '.join(texts)} |" if markdown else "  ".join(texts).rstrip()
