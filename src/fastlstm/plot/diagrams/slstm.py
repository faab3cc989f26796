"""The module of an sLSTM."""

from __future__ import annotations

from matplotlib.axes import Axes

from .wiring import CELL, NORM, RADIUS, label, layer, modules, operation, upright, wire


def slstm_module(ax: Axes) -> Axes:
    """Draw the module of an sLSTM: exponential gates, and beside the cell state a normaliser.

    The stabiliser m is left out: it keeps the numbers small, and changes no output.

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
    >>> ax = plot.slstm_module(Figure(figsize=(8, 4)).subplots())
    """
    bus, gates, fork, sums, belt = 1.7, 2.65, 3.5, 4.4, 5.4
    forget, forget_c, enter, product, candidate, output = 2.3, 3.2, 4.7, 5.7, 6.7, 8.3
    count, leave, divide = 9.4, 10.0, 3.7
    modules(ax)

    wire(ax, (-0.6, belt), (12.6, belt), colour=CELL, width=5)
    wire(ax, (-0.6, sums), (12.6, sums), colour=NORM, width=5)
    wire(ax, (-0.6, bus), (output, bus), (output, gates), arrow=False)
    wire(ax, (1.0, 0.1), (1.0, bus), (1.7, bus), arrow=False)
    for x in (forget, enter, candidate):
        wire(ax, (x - 0.3, bus), (x, bus), (x, gates), arrow=False)

    wire(ax, (forget, gates), (forget, sums - RADIUS))
    wire(ax, (forget, gates), (forget, fork), (forget_c, fork), (forget_c, fork + 0.3), arrow=False)
    upright(ax, forget_c, fork + 0.3, belt - RADIUS, sums)
    wire(ax, (enter, gates), (enter, sums - RADIUS))
    wire(ax, (enter, gates), (enter, fork), (product - RADIUS, fork))
    wire(ax, (candidate, gates), (candidate, fork), (product + RADIUS, fork))
    upright(ax, product, fork, belt - RADIUS, sums)

    upright(ax, leave, belt, divide + RADIUS, sums)
    wire(ax, (count, sums), (count, divide), (leave - RADIUS, divide))
    wire(ax, (leave, divide), (leave, gates + RADIUS))
    wire(ax, (output, gates), (leave - RADIUS, gates))
    wire(ax, (leave, gates), (leave, bus), (12.6, bus))
    wire(ax, (leave + 0.3, bus), (10.9, bus), (10.9, bus + 0.3), arrow=False)
    upright(ax, 10.9, bus + 0.3, 6.5, sums, belt)

    for x, activation, name in (
        (forget, r"$\sigma$, $\exp$", "forget"),
        (enter, r"$\exp$", "input"),
        (candidate, r"$\tanh$", "candidate"),
        (output, r"$\sigma$", "output"),
    ):
        layer(ax, (x, gates), activation, name)
    for at, symbol in (
        ((forget, sums), r"$\times$"),
        ((forget_c, belt), r"$\times$"),
        ((enter, sums), "$+$"),
        ((product, fork), r"$\times$"),
        ((product, belt), "$+$"),
        ((leave, divide), r"$\div$"),
        ((leave, gates), r"$\times$"),
    ):
        operation(ax, at, symbol)
    for at, text in (
        ((-0.1, belt + 0.35), "$c_{t-1}$"),
        ((12.1, belt + 0.35), "$c_t$"),
        ((-0.1, sums + 0.35), "$n_{t-1}$"),
        ((12.1, sums + 0.35), "$n_t$"),
        ((-0.1, bus + 0.3), "$h_{t-1}$"),
        ((12.1, bus + 0.3), "$h_t$"),
        ((1.4, 0.3), "$x_t$"),
        ((11.3, 6.3), "$h_t$"),
        ((forget - 0.3, 3.5), "$f_t$"),
        ((enter - 0.3, 3.5), "$i_t$"),
        ((candidate + 0.3, 3.5), "$z_t$"),
        ((output + 1.0, gates + 0.28), "$o_t$"),
    ):
        label(ax, at, text)
    return ax
