"""The module of a GRU."""

from __future__ import annotations

from matplotlib.axes import Axes

from .wiring import CELL, HALF_WIDTH, RADIUS, label, layer, modules, operation, upright, wire


def gru_module(ax: Axes) -> Axes:
    """Draw the repeating module of a GRU: two gates, a candidate, and h itself carried along the top.

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
    >>> ax = plot.gru_module(Figure(figsize=(8, 4)).subplots())
    """
    inputs, bus, gates, fork, middle, belt = 1.15, 1.7, 2.65, 3.5, 4.1, 5.2
    fall, of_h, reset, candidate, update, rest, enter = 1.0, 2.15, 3.6, 5.4, 7.0, 8.2, 9.3
    modules(ax)

    wire(ax, (-0.6, belt), (12.6, belt), colour=CELL, width=5)
    wire(ax, (fall, belt), (fall, bus), (update, bus), (update, gates), arrow=False)
    wire(ax, (1.9, 0.1), (1.9, bus), (2.5, bus), arrow=False)
    wire(ax, (reset - 0.3, bus), (reset, bus), (reset, gates), arrow=False)
    wire(ax, (1.9, 0.1), (1.9, inputs), (candidate, inputs), (candidate, bus - 0.2), arrow=False)
    upright(ax, candidate, bus + 0.2, middle, arrow=False)
    wire(ax, (fall, middle + 0.6), (fall, middle), (of_h, middle), arrow=False)

    wire(ax, (of_h, middle), (reset - RADIUS, middle))
    wire(ax, (reset, gates), (reset, middle - RADIUS))
    wire(ax, (reset, middle), (candidate - HALF_WIDTH, middle))
    wire(ax, (candidate, middle), (enter - RADIUS, middle))
    upright(ax, update, gates, belt - RADIUS, middle)
    wire(ax, (update, fork), (rest - RADIUS, fork))
    wire(ax, (rest, fork), (enter, fork), (enter, middle - RADIUS))
    wire(ax, (enter, middle), (enter, belt - RADIUS))
    wire(ax, (10.7, belt), (10.7, 6.5))

    for at, activation, name in (
        ((of_h, middle), "$W_{hn}$", "of h"),
        ((reset, gates), r"$\sigma$", "reset"),
        ((candidate, middle), r"$\tanh$", "candidate"),
        ((update, gates), r"$\sigma$", "update"),
    ):
        layer(ax, at, activation, name)
    for at, symbol in (
        ((reset, middle), r"$\times$"),
        ((update, belt), r"$\times$"),
        ((rest, fork), "$1-$"),
        ((enter, middle), r"$\times$"),
        ((enter, belt), "$+$"),
    ):
        operation(ax, at, symbol)
    for at, text in (
        ((-0.1, belt + 0.35), "$h_{t-1}$"),
        ((12.1, belt + 0.35), "$h_t$"),
        ((2.3, 0.3), "$x_t$"),
        ((11.1, 6.3), "$h_t$"),
        ((reset + 0.35, fork), "$r_t$"),
        ((update - 0.3, fork), "$z_t$"),
        ((candidate + 1.0, middle + 0.3), "$n_t$"),
    ):
        label(ax, at, text)
    return ax
