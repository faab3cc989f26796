"""Makes what the pages show: pictures of speed, from tables of speed.md and gpu.md, and what play.md runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import playable
from matplotlib.figure import Figure
from sphinx.application import Sphinx

ROW = re.compile(r"^\|(.+)\|$")
SHOWN = {
    ("step", "1, 1, 32"): "one step, H = 32",
    ("step", "1, 1, 128"): "one step, H = 128",
    ("sequence", "100, 1, 128"): "100 steps, H = 128",
    ("batch", "100, 32, 128"): "a batch of 32, H = 128",
    ("batch", "50, 64, 512"): "a batch of 64, H = 512",
}


def tables(text: str) -> dict[tuple[str, str, str], dict[str, str]]:
    """Return the rows of all tables of speed.md by group, shape and threads: a column's text by its name."""
    rows = {}
    columns: list[str] = []
    for line in text.splitlines():
        row = ROW.match(line)
        if row is None:
            columns = []
            continue
        cells = [cell.strip() for cell in row[1].split("|")]
        if not columns:
            columns = [cells[0].split(":")[0], *cells[1:]]
        elif not cells[0].startswith("-"):
            rows[columns[0], cells[0], cells[1]] = dict(zip(columns[1:], cells[1:], strict=True))
    return rows


def microseconds(text: str) -> float:
    """Return a time as the tables print it, in microseconds."""
    number, unit = text.split()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def draw_speed(text: str, path: Path) -> None:
    """Draw how many times faster than each peer the shapes are that most people ask for, on two threads."""
    rows = tables(text)
    peers = ("PyTorch", "ONNX Runtime", "OpenVINO")
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    ax = figure.subplots()
    for k, peer in enumerate(peers):
        for at, (group, shape) in enumerate(SHOWN):
            row = rows[group, shape, "2"]
            ratio = microseconds(row[peer]) / microseconds(row["fastlstm"])
            ax.barh(at + 0.26 * (k - 1), ratio, 0.24, color=f"C{k}", label=peer if at == 0 else None)
            ax.text(ratio + 0.15, at + 0.26 * (k - 1), f"{ratio:.2g}×", va="center", fontsize=9)
    ax.axvline(1, color="0.3", linewidth=1)
    ax.set_yticks(range(len(SHOWN)), SHOWN.values())
    ax.invert_yaxis()
    ax.set_xlabel("times longer than fastlstm (float32, two threads)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="lower right")
    figure.savefig(path, facecolor="white")


def draw_gpu(text: str, path: Path) -> None:
    """Draw how many times longer a GPU takes for each shape of gpu.md's table; below one, it wins."""
    ratios = {shape: float(row["GPU / CPU"]) for (_, shape, _), row in tables(text).items()}
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    ax = figure.subplots()
    for at, ratio in enumerate(ratios.values()):
        ax.barh(at, ratio - 1, 0.6, left=1, color="C0" if ratio > 1 else "C3")
        ax.annotate(
            f"{ratio:.2g}×", (ratio, at), (4 if ratio > 1 else -4, 0), textcoords="offset points",
            va="center", ha="left" if ratio > 1 else "right", fontsize=9,
        )  # fmt: skip
    ax.axvline(1, color="0.3", linewidth=1)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlim(min(ratios.values()) / 2, max(ratios.values()) * 2)
    ax.set_yticks(range(len(ratios)), ratios)
    ax.set_ylabel("T, B, H")
    ax.invert_yaxis()
    ax.set_xlabel("time on the GPU, in the CPU's: right of 1 the CPU wins, left of it the GPU")
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, facecolor="white")


def make(app: Sphinx) -> None:
    """Write all of it beside the site's own files."""
    folder = Path(app.srcdir) / "_static"
    folder.mkdir(exist_ok=True)
    for page, draw in (("speed", draw_speed), ("gpu", draw_gpu)):
        draw((Path(app.srcdir) / f"{page}.md").read_text(encoding="utf-8"), folder / f"{page}.svg")
    if not (folder / "play-data.js").exists():
        playable.write(folder)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", make)
    return {"parallel_read_safe": True}
