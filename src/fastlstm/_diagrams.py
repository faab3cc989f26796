"""Drawings of the repeating module of a plain RNN and of an LSTM; `fastlstm.plot` hands them out."""

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

CORNER = 0.3
RADIUS = 0.34
HALF_WIDTH, HALF_HEIGHT = 0.72, 0.52


def rnn_module(ax: Axes) -> Axes:
    """Draw the repeating module of a plain RNN: one tanh layer over x and h.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Cleared of its frame; about twice as wide as high looks best.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from fastlstm import plot
    >>> ax = plot.rnn_module(Figure(figsize=(8, 4)).subplots())
    """
    bus, middle, centre = 1.9, 6.0, 3.4
    _modules(ax)
    _wire(ax, (-0.6, bus), (middle, bus), (middle, centre), arrow=False)
    _wire(ax, (2.2, 0.1), (2.2, bus), (2.9, bus), arrow=False)
    _wire(ax, (middle, centre), (9.2, centre), (9.2, bus), (12.6, bus))
    _wire(ax, (middle, centre), (9.2, centre), (9.2, 6.5))
    _layer(ax, (middle, centre), r"$\tanh$", "new state")
    _label(ax, (-0.1, bus + 0.3), "$h_{t-1}$")
    _label(ax, (12.1, bus + 0.3), "$h_t$")
    _label(ax, (2.6, 0.3), "$x_t$")
    _label(ax, (9.6, 6.3), "$h_t$")
    return ax


def lstm_module(ax: Axes) -> Axes:
    """Draw the repeating module of an LSTM: four layers, and the cell state carried along the top.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Cleared of its frame; about twice as wide as high looks best.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from fastlstm import plot
    >>> ax = plot.lstm_module(Figure(figsize=(8, 4)).subplots())
    """
    bus, gates, belt = 1.7, 2.65, 5.2
    forget, enter, candidate, output, leave = 2.6, 4.4, 6.2, 8.0, 9.8
    add = (enter + candidate) / 2
    _modules(ax)

    _wire(ax, (-0.6, belt), (12.6, belt), colour=CELL, width=5)
    _wire(ax, (-0.6, bus), (output, bus), (output, gates), arrow=False)
    _wire(ax, (1.2, 0.1), (1.2, bus), (1.9, bus), arrow=False)
    for x in (forget, enter, candidate):
        _wire(ax, (x - CORNER, bus), (x, bus), (x, gates), arrow=False)

    _wire(ax, (forget, gates), (forget, belt - RADIUS))
    _wire(ax, (enter, gates), (enter, 4.0), (add - RADIUS, 4.0))
    _wire(ax, (candidate, gates), (candidate, 4.0), (add + RADIUS, 4.0))
    _wire(ax, (add, 4.0), (add, belt - RADIUS))
    _wire(ax, (output, gates), (leave - RADIUS, gates))
    _wire(ax, (leave, belt), (leave, gates + RADIUS))
    _wire(ax, (leave, gates), (leave, bus), (12.6, bus))
    _wire(ax, (leave + CORNER, bus), (10.7, bus), (10.7, belt - 0.2), arrow=False)
    _wire(ax, (10.7, belt + 0.2), (10.7, 6.5))

    for x, activation, name in (
        (forget, r"$\sigma$", "forget"),
        (enter, r"$\sigma$", "input"),
        (candidate, r"$\tanh$", "candidate"),
        (output, r"$\sigma$", "output"),
    ):
        _layer(ax, (x, gates), activation, name)
    for at, symbol in (
        ((forget, belt), r"$\times$"),
        ((add, belt), "$+$"),
        ((add, 4.0), r"$\times$"),
        ((leave, gates), r"$\times$"),
        ((leave, 4.0), r"$\tanh$"),
    ):
        _operation(ax, at, symbol, fontsize=8 if "tanh" in symbol else 15)

    for at, text in (
        ((-0.1, belt + 0.35), "$c_{t-1}$"),
        ((12.1, belt + 0.35), "$c_t$"),
        ((-0.1, bus + 0.3), "$h_{t-1}$"),
        ((12.1, bus + 0.3), "$h_t$"),
        ((1.6, 0.3), "$x_t$"),
        ((11.1, 6.3), "$h_t$"),
        ((forget + 0.3, 3.6), "$f_t$"),
        ((enter - 0.3, 3.6), "$i_t$"),
        ((candidate + 0.3, 3.6), "$g_t$"),
        ((output + 1.05, gates + 0.28), "$o_t$"),
    ):
        _label(ax, at, text)
    return ax


def _modules(ax: Axes) -> None:
    """Draw the module's box between those of the steps before and after, and set the view."""
    ax.set_axis_off()
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


def _wire(ax: Axes, *points: Point, colour: str = INK, width: float = 1.6, arrow: bool = True) -> None:
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


def _layer(ax: Axes, at: Point, activation: str, name: str) -> None:
    """Draw a layer, which has weights: a box with its activation and its name."""
    x, y = at
    ax.add_patch(
        FancyBboxPatch(
            (x - HALF_WIDTH, y - HALF_HEIGHT),
            2 * HALF_WIDTH,
            2 * HALF_HEIGHT,
            "round,pad=0,rounding_size=0.14",
            facecolor=LAYER,
            linewidth=0,
            zorder=2,
        )
    )
    ax.text(x, y + 0.16, activation, color=PAPER, fontsize=14, ha="center", va="center", zorder=3)
    ax.text(x, y - 0.26, name, color=PAPER, fontsize=8.5, ha="center", va="center", zorder=3)


def _operation(ax: Axes, at: Point, symbol: str, fontsize: float) -> None:
    """Draw an operation unit by unit, which has no weights: a circle with its symbol."""
    ax.add_patch(Circle(at, RADIUS, facecolor=PAPER, edgecolor=INK, linewidth=1.4, zorder=2))
    ax.text(*at, symbol, color=INK, fontsize=fontsize, ha="center", va="center_baseline", zorder=3)


def _label(ax: Axes, at: Point, text: str) -> None:
    ax.text(*at, text, color=INK, fontsize=13, ha="center", va="center", zorder=3)
