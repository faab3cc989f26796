"""The module of a plain RNN."""

from __future__ import annotations

from matplotlib.axes import Axes

from .wiring import label, layer, modules, wire


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
    modules(ax)
    wire(ax, (-0.6, bus), (middle, bus), (middle, centre), arrow=False)
    wire(ax, (2.2, 0.1), (2.2, bus), (2.9, bus), arrow=False)
    wire(ax, (middle, centre), (9.2, centre), (9.2, bus), (12.6, bus))
    wire(ax, (middle, centre), (9.2, centre), (9.2, 6.5))
    layer(ax, (middle, centre), r"$\tanh$", "new state")
    label(ax, (-0.1, bus + 0.3), "$h_{t-1}$")
    label(ax, (12.1, bus + 0.3), "$h_t$")
    label(ax, (2.6, 0.3), "$x_t$")
    label(ax, (9.6, 6.3), "$h_t$")
    return ax
