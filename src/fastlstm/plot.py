"""Pictures of what goes on inside recurrent models, and of how they learn; needs matplotlib.

Every function draws on what it is given, or on a new figure of its own that `pyplot` knows nothing of, and
returns the axes: `ax.figure.savefig("picture.png")` writes the picture, with no screen needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.ticker import MaxNLocator
except ImportError as error:
    raise ImportError("fastlstm.plot needs matplotlib: pip install 'fastlstm[plot]'") from error

from ._arrays import Array, as_floats
from ._diagrams import lstm_module, rnn_module
from .inspection import Trace

__all__ = ["history", "lstm_module", "reach", "rnn_module", "trace"]

TITLES = {
    "i": "i: input gate",
    "f": "f: forget gate",
    "g": "g: candidate",
    "o": "o: output gate",
    "c": "c: cell state",
    "h": "h: output",
}


def trace(
    trace: Trace[Any],
    layer: int = 0,
    direction: int = 0,
    *,
    labels: Sequence[str] | None = None,
    figure: Figure | SubFigure | None = None,
) -> dict[str, Axes]:
    """Draw the gates, cells and outputs of one direction of one layer as heat maps.

    A row is a unit, a column a step. Gates i, f and o are drawn from 0 to 1; g, c and h from minus to
    plus their largest magnitude, 0 being white.

    Parameters
    ----------
    trace : Trace
        Of one sequence: of a batch, choose `trace.sequence(b)`.
    layer, direction : int, default 0
    labels : sequence of T strings, optional
        What stands under each step, such as the characters that were read.
    figure : Figure or SubFigure, optional
        Where to draw; a new figure if None.

    Returns
    -------
    dict of str to Axes
        By name: i, f, g, o, c and h; h alone for an RNN.

    Raises
    ------
    ValueError
        If the trace is of a batch, or has no step or no such place, or there are not as many labels as
        steps.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm import plot
    >>> axes = plot.trace(fastlstm.LSTM(3, 8, rng=0).trace(np.ones((5, 3))), labels="hello")
    >>> list(axes)
    ['i', 'f', 'g', 'o', 'c', 'h']
    """
    arrays = trace[layer, direction].by_name()
    T = len(trace.y)
    if trace.lengths is not None:
        raise ValueError(
            f"trace: expected that of one sequence, trace.sequence(b), got a batch of {len(trace.lengths)}"
        )
    if T == 0:
        raise ValueError("trace: expected at least one step, got none")
    if labels is not None and len(labels) != T:
        raise ValueError(f"labels: expected one for each of {T} steps, got {len(labels)}")
    if figure is None:
        figure = Figure(figsize=(11, 8) if len(arrays) > 1 else (6, 3), layout="constrained")
    rows, columns = (3, 2) if len(arrays) > 1 else (1, 1)
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    axes = dict(zip(arrays, grid.flat, strict=True))
    for name, ax in axes.items():
        _heat_map(ax, name, arrays[name], labels)
    figure.supylabel("unit", fontsize="medium")
    if labels is None:
        figure.supxlabel("step", fontsize="medium")
    return axes


def _heat_map(ax: Axes, name: str, steps: Array, labels: Sequence[str] | None) -> None:
    """Draw one quantity (T, n)."""
    if name in "ifo":
        colours, low, high = "viridis", 0.0, 1.0
    else:
        high = float(np.abs(steps).max()) or 1.0
        colours, low = "RdBu_r", -high
    image = ax.imshow(steps.T, cmap=colours, vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, pad=0.02, aspect=12)
    ax.set_title(TITLES[name], loc="left", fontsize="medium")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    if labels is None:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        ax.set_xticks(range(len(labels)), labels)
        ax.tick_params(axis="x", length=0, labelbottom=True)


def reach(curves: Mapping[str, ArrayLike], *, ax: Axes | None = None) -> Axes:
    """Draw the norm of the gradient by distance back in time, on a logarithmic scale.

    Parameters
    ----------
    curves : mapping of str to array (T,)
        What `fastlstm.inspection.gradient_reach` returns, by label. Where a norm is 0, a curve ends.
    ax : Axes, optional
        Where to draw; that of a new figure if None.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        If a curve is not a vector of floats.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm import plot
    >>> from fastlstm.inspection import gradient_reach
    >>> x = np.ones((30, 3))
    >>> models = {"RNN": fastlstm.RNN(3, 8, rng=0), "LSTM": fastlstm.LSTM(3, 8, rng=0)}
    >>> ax = plot.reach({name: gradient_reach(model, x) for name, model in models.items()})
    >>> ax.get_yscale()
    'log'
    """
    vectors = {label: _vector(curve, f"curves {label!r}") for label, curve in curves.items()}
    ax = _axes(ax)
    for label, norms in vectors.items():
        ax.plot(np.where(norms > 0, norms, np.nan), label=label)
    ax.set_yscale("log")
    ax.set_xlabel("steps back in time")
    ax.set_ylabel("norm of the gradient")
    return _finished(ax)


def history(history: Mapping[str, ArrayLike], *, ax: Axes | None = None) -> Axes:
    """Draw what was recorded while a model learned.

    Parameters
    ----------
    history : mapping of str to sequence of float
        One number an epoch by name, such as `loss`. A name that begins with `val_` gets the colour of the
        name without it, dashed.
    ax : Axes, optional
        Where to draw; that of a new figure if None.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        If a record is not a sequence of floats.

    Examples
    --------
    >>> from fastlstm import plot
    >>> ax = plot.history({"loss": [2.0, 1.0, 0.7], "val_loss": [2.1, 1.3, 1.2]})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['loss', 'val_loss']
    """
    vectors = {name: _vector(numbers, f"history {name!r}") for name, numbers in history.items()}
    ax = _axes(ax)
    subjects = list(dict.fromkeys(name.removeprefix("val_") for name in vectors))
    for name, numbers in vectors.items():
        colour = f"C{subjects.index(name.removeprefix('val_'))}"
        style = "--" if name.startswith("val_") else "-"
        ax.plot(np.arange(1, len(numbers) + 1), numbers, color=colour, linestyle=style, label=name)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("epoch")
    return _finished(ax)


def _vector(value: ArrayLike, name: str) -> Array:
    """Return `value` as a vector of floats; ValueError or TypeError otherwise."""
    vector = as_floats(value, name)
    if vector.ndim != 1:
        raise ValueError(f"{name}: expected a vector, got shape {vector.shape}")
    return vector


def _axes(ax: Axes | None) -> Axes:
    """Return `ax`, or the axes of a new figure."""
    return Figure(figsize=(7, 4), layout="constrained").subplots() if ax is None else ax


def _finished(ax: Axes) -> Axes:
    """Add what all curves have: a faint grid and, where there is something to tell apart, a legend."""
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    if ax.lines:
        ax.legend(frameon=False)
    return ax
