"""Curves: how far back a gradient reaches, and how a model learned."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from ..model.checks import Array, as_floats, as_mapping, as_size
from .diagrams.wiring import as_axes


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
    named = as_mapping(curves, "curves", "labels to arrays")
    vectors = {label: _vector(curve, f"curves {label!r}") for label, curve in named.items()}
    ax = _axes(ax)
    for label, norms in vectors.items():
        ax.plot(np.where(norms > 0, norms, np.nan), label=label)
    ax.set_yscale("log")
    ax.set_xlabel("steps back in time")
    ax.set_ylabel("norm of the gradient")
    return _finished(ax)


def history(history: Mapping[str, ArrayLike], *, every: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw what was recorded while a model learned.

    Parameters
    ----------
    history : mapping of str to sequence of float
        One number an epoch by name, such as `loss`. A name that begins with `val_` gets the colour of the
        name without it, dashed.
    every : int, optional
        Of how many training steps each number tells, where that is not an epoch.
    ax : Axes, optional
        Where to draw; that of a new figure if None.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        If a record is not a sequence of floats, or `every` no integer of at least 1.

    Examples
    --------
    >>> from fastlstm import plot
    >>> ax = plot.history({"loss": [2.0, 1.0, 0.7], "val_loss": [2.1, 1.3, 1.2]})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['loss', 'val_loss']
    """
    steps = 1 if every is None else as_size(every, "every")
    named = as_mapping(history, "history", "names to numbers")
    vectors = {name: _vector(numbers, f"history {name!r}") for name, numbers in named.items()}
    ax = _axes(ax)
    subjects = list(dict.fromkeys(name.removeprefix("val_") for name in vectors))
    for name, numbers in vectors.items():
        colour = f"C{subjects.index(name.removeprefix('val_'))}"
        style = "--" if name.startswith("val_") else "-"
        ax.plot(steps * np.arange(1, len(numbers) + 1), numbers, color=colour, linestyle=style, label=name)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ax.set_xlabel("epoch" if every is None else "training steps")
    return _finished(ax)


def _vector(value: ArrayLike, name: str) -> Array:
    """Return `value` as a vector of floats; ValueError or TypeError otherwise."""
    vector = as_floats(value, name)
    if vector.ndim != 1:
        raise ValueError(f"{name}: expected a vector, got shape {vector.shape}")
    return vector


def _axes(ax: Axes | None) -> Axes:
    """Return `ax`, or the axes of a new figure."""
    return Figure(figsize=(7, 4), layout="constrained").subplots() if ax is None else as_axes(ax)


def _finished(ax: Axes) -> Axes:
    """Add what all curves have: a faint grid and, where there is something to tell apart, a legend."""
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    if ax.lines:
        ax.legend(frameon=False)
    return ax
