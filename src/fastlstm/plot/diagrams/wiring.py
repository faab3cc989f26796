"""What the drawings of repeating modules are made of: boxes, wires, layers, operations and labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

Point = tuple[float, float]

INK = "#22333b"
PAPER = "white"
MODULE = "#eef3f6"
GHOST = "#d5dde2"
LAYER = "#2f6690"
CELL = "#e09f3e"
NORM = "#6a994e"

CORNER = 0.3
RADIUS = 0.34
HALF_WIDTH, HALF_HEIGHT = 0.72, 0.52
GAP = 0.2
SIZES = {r"$\tanh$": 8, "$1-$": 10}
"""Of the symbols that are wider than a sign."""


def as_axes(value: object) -> Axes:
    """Return `value` if it is what can be drawn on; TypeError otherwise."""
    if not isinstance(value, Axes):
        raise TypeError(f"ax: expected axes of matplotlib, got {type(value).__name__}")
    return value


def modules(ax: Axes) -> None:
    """Draw the module's box between those of the steps before and after, and set the view."""
    as_axes(ax).set_axis_off()
    ax.set_aspect("equal")
    ax.set_xlim(-2.1, 14.1)
    ax.set_ylim(-0.1, 6.7)
    for x, width, colour in ((-3.6, 3.0, GHOST), (0.4, 11.2, MODULE), (12.6, 3.0, GHOST)):
        ax.add_patch(
            FancyBboxPatch(
                (x, 0.9),
                width,
                4.95,
                "round,pad=0,rounding_size=0.35",
                facecolor=colour,
                linewidth=0,
                zorder=0,
            )
        )
    for x, text in ((-1.45, "$t-1$"), (13.45, "$t+1$")):
        ax.text(x, 3.4, text, color=INK, alpha=0.6, fontsize=12, ha="center", va="center")


def wire(ax: Axes, *points: Point, colour: str = INK, width: float = 1.6, arrow: bool = True) -> None:
    """Draw a line through the points with round corners, an arrow's head at its end."""
    ax.add_patch(
        FancyArrowPatch(
            path=_rounded(points),
            arrowstyle="-|>,head_length=0.45,head_width=0.22" if arrow else "-",
            mutation_scale=8 + 2 * width,
            color=colour,
            linewidth=width,
            capstyle="butt",
            joinstyle="round",
            fill=False,
            zorder=1,
        )
    )


def upright(ax: Axes, x: float, start: float, end: float, *crossed: float, arrow: bool = True) -> None:
    """Draw a wire straight up or down, interrupted where others cross it, at the heights `crossed`."""
    gap = GAP if start < end else -GAP
    for height in sorted(crossed, reverse=start > end):
        wire(ax, (x, start), (x, height - gap), arrow=False)
        start = height + gap
    wire(ax, (x, start), (x, end), arrow=arrow)


def _rounded(points: Sequence[Point]) -> Path:
    """Return the path through the points, each corner replaced by a curve."""
    vertices, codes = [np.array(points[0])], [Path.MOVETO]
    for before, at, after in zip(points, points[1:], points[2:], strict=False):
        corner = np.array(at)
        for other, code in ((before, Path.LINETO), (after, Path.CURVE3)):
            away = np.array(other) - corner
            near = corner + away * min(CORNER / np.hypot(*away), 1)
            if code == Path.CURVE3:
                vertices.append(corner)
                codes.append(Path.CURVE3)
            vertices.append(near)
            codes.append(code)
    vertices.append(np.array(points[-1]))
    codes.append(Path.LINETO)
    return Path(np.array(vertices), codes)


def layer(ax: Axes, at: Point, activation: str, name: str) -> None:
    """Draw a layer, which has weights: a box with its activation and its name."""
    x, y = at
    _box(ax, at, HALF_WIDTH, HALF_HEIGHT, LAYER)
    ax.text(x, y + 0.16, activation, color=PAPER, fontsize=14, ha="center", va="center", zorder=3)
    ax.text(x, y - 0.26, name, color=PAPER, fontsize=8.5, ha="center", va="center", zorder=3)


def norm(ax: Axes, at: Point) -> None:
    """Draw a normalisation, whose weights are one gain for each number."""
    _box(ax, at, HALF_WIDTH, HALF_HEIGHT / 2, NORM)
    ax.text(*at, "norm", color=PAPER, fontsize=8.5, ha="center", va="center_baseline", zorder=3)


def _box(ax: Axes, at: Point, half_width: float, half_height: float, colour: str) -> None:
    x, y = at
    ax.add_patch(
        FancyBboxPatch(
            (x - half_width, y - half_height),
            2 * half_width,
            2 * half_height,
            "round,pad=0,rounding_size=0.14",
            facecolor=colour,
            linewidth=0,
            zorder=2,
        )
    )


def operation(ax: Axes, at: Point, symbol: str) -> None:
    """Draw an operation unit by unit, which has no weights: a circle with its symbol."""
    ax.add_patch(Circle(at, RADIUS, facecolor=PAPER, edgecolor=INK, linewidth=1.4, zorder=2))
    size = SIZES.get(symbol, 15)
    ax.text(*at, symbol, color=INK, fontsize=size, ha="center", va="center_baseline", zorder=3)


def label(ax: Axes, at: Point, text: str) -> None:
    """Name a wire."""
    ax.text(*at, text, color=INK, fontsize=13, ha="center", va="center", zorder=3)
