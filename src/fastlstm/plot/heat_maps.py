"""The gates, cells and outputs of a trace as heat maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from ..model.checks import Array, as_mapping
from ..model.trace import Trace
from .diagrams.wiring import as_axes

TITLES = {
    "i": "i: input gate",
    "f": "f: forget gate",
    "g": "g: candidate",
    "o": "o: output gate",
    "c": "c: cell state",
    "h": "h: output",
    "n": "n: candidate",
    "r": "r: reset gate",
    "z": "z: update gate",
    "n_h": "n_h: what h gives to the candidate",
    "rh": "rh: what the candidate sees of h",
}
TITLES_OF_SLSTM = TITLES | {
    "z": "z: candidate",
    "n": "n: normaliser",
    "m": "m: stabiliser",
    "s": "s: slope of the forget gate's logarithm",
}
FROM_0_TO_1 = {TITLES[gate] for gate in ("i", "f", "o", "r", "z")}


def trace(
    trace: Trace[Any],
    layer: int = 0,
    direction: int = 0,
    *,
    labels: Sequence[str] | None = None,
    figure: Figure | SubFigure | None = None,
    ax: Axes | Mapping[str, Axes] | None = None,
) -> dict[str, Axes]:
    """Draw the gates, cells and outputs of one direction of one layer as heat maps.

    A row is a unit, a column a step. Gates i, f, o, r and z are drawn from 0 to 1; the others from minus
    to plus their largest magnitude, 0 being white.

    Parameters
    ----------
    trace : Trace
        Of one sequence: of a batch, choose `trace.sequence(b)`.
    layer, direction : int, default 0
    labels : sequence of T strings, optional
        What stands under each step, such as the characters that were read.
    figure : Figure or SubFigure, optional
        Where to draw; a new figure if None.
    ax : Axes or mapping of str to Axes, optional
        In the place of `figure`: where to draw the output h, or which quantities to draw, and where.

    Returns
    -------
    dict of str to Axes
        By name: i, f, g, o, c and h; h alone for an RNN; h, n, r, z and n_h for a GRU, or rh in
        the place of n_h if its reset gate comes first; i, f, o, c, h, n, z, m and s for an SLSTM. Only those
        in `ax`, if that is given.

    Raises
    ------
    ValueError
        If the trace is of a batch, or has no step or no such place or quantity; there are not as many labels
        as steps; or both a figure and axes.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm import plot
    >>> axes = plot.trace(fastlstm.LSTM(3, 8, rng=0).trace(np.ones((5, 3))), labels="hello")
    >>> list(axes)
    ['i', 'f', 'g', 'o', 'c', 'h']
    """
    if not isinstance(trace, Trace):
        raise TypeError(f"trace: expected a Trace, as model.trace(x) returns it, got {type(trace).__name__}")
    steps = trace[layer, direction]
    arrays, titles = steps.by_name(), TITLES if steps.m is None else TITLES_OF_SLSTM
    T = len(trace.y)
    if trace.lengths is not None:
        raise ValueError(
            f"trace: expected that of one sequence, trace.sequence(b), got a batch of {len(trace.lengths)}"
        )
    if T == 0:
        raise ValueError("trace: expected at least one step, got none")
    if labels is not None and not isinstance(labels, (Sequence, np.ndarray)):
        raise TypeError(f"labels: expected a sequence of strings, got {type(labels).__name__}")
    if labels is not None and len(labels) != T:
        raise ValueError(f"labels: expected one for each of {T} steps, got {len(labels)}")
    if ax is None:
        axes = _panels(list(arrays), figure)
    elif figure is not None:
        raise ValueError("ax: expected None with a figure, got both")
    else:
        axes = _as_panels(ax, list(arrays))
    for name, panel in axes.items():
        _heat_map(panel, titles[name], arrays[name], labels)
    if ax is not None:
        for panel in axes.values():
            panel.set(xlabel="step", ylabel="unit")
    return axes


def _as_panels(ax: Axes | Mapping[str, Axes], names: list[str]) -> dict[str, Axes]:
    """Return the axes that are given, by the name of what is drawn on each."""
    given = {"h": ax} if isinstance(ax, Axes) else as_mapping(ax, "ax", "names of quantities to axes")
    for name in given:
        if name not in names:
            raise ValueError(f"ax: expected names among {', '.join(names)}, got {name!r}")
    return {name: as_axes(panel) for name, panel in given.items()}


def _panels(names: list[str], figure: Figure | SubFigure | None) -> dict[str, Axes]:
    """Return axes on a figure, by the name of what is to be drawn on each."""
    if figure is not None and not isinstance(figure, (Figure, SubFigure)):
        raise TypeError(f"figure: expected a matplotlib figure, got {type(figure).__name__}")
    if figure is None:
        figure = Figure(figsize=(11, 8) if len(names) > 1 else (6, 3), layout="constrained")
    rows, columns = (max(3, (len(names) + 1) // 2), 2) if len(names) > 1 else (1, 1)
    places = list(figure.subplots(rows, columns, sharex=True, squeeze=False).flat)
    for spare in places[len(names) :]:
        spare.remove()
    figure.supylabel("unit", fontsize="medium")
    figure.supxlabel("step", fontsize="medium")
    return dict(zip(names, places[: len(names)], strict=True))


def _heat_map(ax: Axes, title: str, steps: Array, labels: Sequence[str] | None) -> None:
    """Draw one quantity (T, n)."""
    if title in FROM_0_TO_1:
        colours, low, high = "viridis", 0.0, 1.0
    else:
        high = float(np.abs(steps).max()) or 1.0
        colours, low = "RdBu_r", -high
    image = ax.imshow(steps.T, cmap=colours, vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, pad=0.02, aspect=12)
    ax.set_title(title, loc="left", fontsize="medium")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    if labels is None:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        ax.set_xticks(range(len(labels)), labels)
        ax.tick_params(axis="x", length=0, labelbottom=True)
