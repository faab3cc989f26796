"""The modules of an LSTM and of its variants: one conveyor, and what feeds it."""

from __future__ import annotations

from matplotlib.axes import Axes

from .wiring import (
    CELL,
    CORNER,
    HALF_HEIGHT,
    RADIUS,
    label,
    layer,
    modules,
    norm,
    operation,
    wire,
)

BUS, GATES, NAMES, MEET, BELT = 1.7, 2.65, 3.7, 4.0, 5.2
FORGET, ENTER, CANDIDATE, OUTPUT, LEAVE = 2.6, 4.4, 6.2, 8.0, 9.8
ADD = (ENTER + CANDIDATE) / 2
TIMES, TANH, SIGMOID = r"$\times$", r"$\tanh$", r"$\sigma$"


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
    _conveyor(ax)
    _forget_gate(ax)
    _layer(ax, FORGET, SIGMOID, "forget")
    _other_layers(ax)
    return ax


def peepholes_module(ax: Axes) -> Axes:
    """Draw the module of an LSTM whose gates also see the cell state, by the wires in its colour.

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
    >>> ax = plot.peepholes_module(Figure(figsize=(8, 4)).subplots())
    """
    lstm_module(ax)
    seen, top = 3.5, GATES + HALF_HEIGHT
    for x in (FORGET - 0.45, ENTER - 0.45):
        wire(ax, (1.3, BELT), (1.3, seen), (x, seen), (x, top), colour=CELL)
    wire(ax, (OUTPUT, BELT), (OUTPUT, top), colour=CELL)
    return ax


def input_forget_module(ax: Axes) -> Axes:
    """Draw the module of an LSTM that forgets as much as it takes in: its forget gate is 1 - i.

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
    >>> ax = plot.input_forget_module(Figure(figsize=(8, 4)).subplots())
    """
    _conveyor(ax)
    _other_layers(ax)
    wire(ax, (ENTER, GATES), (ENTER, MEET), (FORGET + RADIUS, MEET))
    wire(ax, (FORGET, MEET), (FORGET, BELT - RADIUS))
    operation(ax, (FORGET, MEET), "$1-$")
    label(ax, (FORGET + 0.3, 4.6), "$f_t$")
    return ax


def layer_norm_module(ax: Axes) -> Axes:
    """Draw the module of an LSTM with layer normalisation: of what x gives, of what h gives, and of c.

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
    >>> ax = plot.layer_norm_module(Figure(figsize=(8, 4)).subplots())
    """
    gates, spread = 2.95, 2.4
    _conveyor(ax, gates, squash=3.88)
    _forget_gate(ax, gates)
    wire(ax, (-0.6, BUS), (ENTER - RADIUS, BUS))
    wire(ax, (8.9, 0.1), (8.9, BUS), (ENTER + RADIUS, BUS))
    wire(ax, (ENTER, BUS), (ENTER, gates), arrow=False)
    for x in (FORGET, CANDIDATE, OUTPUT):
        wire(ax, (ENTER, BUS), (ENTER, spread), (x, spread), (x, gates), arrow=False)
    layer(ax, (1.4, BUS), "$W_{hh}$", "of h")
    layer(ax, (7.6, BUS), "$W_{ih}$", "of x")
    for at in ((3.0, BUS), (5.9, BUS), (LEAVE, 4.7)):
        norm(ax, at)
    operation(ax, (ENTER, BUS), "$+$")
    for x in (FORGET, ENTER, OUTPUT):
        operation(ax, (x, gates), SIGMOID)
    operation(ax, (CANDIDATE, gates), TANH)
    label(ax, (9.3, 0.3), "$x_t$")
    return ax


def _conveyor(ax: Axes, gates: float = GATES, squash: float = MEET) -> None:
    """Draw the cell state, what is put onto it and what shows of it; gates and tanh(c) at those heights."""
    modules(ax)
    wire(ax, (-0.6, BELT), (12.6, BELT), colour=CELL, width=5)
    wire(ax, (ENTER, gates), (ENTER, MEET), (ADD - RADIUS, MEET))
    wire(ax, (CANDIDATE, gates), (CANDIDATE, MEET), (ADD + RADIUS, MEET))
    wire(ax, (ADD, MEET), (ADD, BELT - RADIUS))
    wire(ax, (OUTPUT, gates), (LEAVE - RADIUS, gates))
    wire(ax, (LEAVE, BELT), (LEAVE, gates + RADIUS))
    wire(ax, (LEAVE, gates), (LEAVE, BUS), (12.6, BUS))
    wire(ax, (LEAVE + CORNER, BUS), (10.7, BUS), (10.7, BELT - 0.2), arrow=False)
    wire(ax, (10.7, BELT + 0.2), (10.7, 6.5))
    for at, symbol in (
        ((FORGET, BELT), TIMES),
        ((ADD, BELT), "$+$"),
        ((ADD, MEET), TIMES),
        ((LEAVE, gates), TIMES),
        ((LEAVE, squash), TANH),
    ):
        operation(ax, at, symbol)
    for at, text in (
        ((-0.1, BELT + 0.35), "$c_{t-1}$"),
        ((12.1, BELT + 0.35), "$c_t$"),
        ((-0.1, BUS + 0.3), "$h_{t-1}$"),
        ((12.1, BUS + 0.3), "$h_t$"),
        ((11.1, 6.3), "$h_t$"),
        ((ENTER - 0.3, NAMES), "$i_t$"),
        ((CANDIDATE + 0.3, NAMES), "$g_t$"),
        ((OUTPUT + 1.05, gates + 0.28), "$o_t$"),
    ):
        label(ax, at, text)


def _forget_gate(ax: Axes, gates: float = GATES) -> None:
    """Draw the forget gate's way to the cell state."""
    wire(ax, (FORGET, gates), (FORGET, BELT - RADIUS))
    label(ax, (FORGET + 0.3, MEET), "$f_t$")


def _other_layers(ax: Axes) -> None:
    """Draw the layers beside the forget gate's, and what comes to all of them, h and x."""
    wire(ax, (-0.6, BUS), (OUTPUT - CORNER, BUS), arrow=False)
    wire(ax, (1.2, 0.1), (1.2, BUS), (1.9, BUS), arrow=False)
    label(ax, (1.6, 0.3), "$x_t$")
    _layer(ax, ENTER, SIGMOID, "input")
    _layer(ax, CANDIDATE, TANH, "candidate")
    _layer(ax, OUTPUT, SIGMOID, "output")


def _layer(ax: Axes, x: float, activation: str, name: str) -> None:
    """Draw one of the layers that see h and x."""
    wire(ax, (x - CORNER, BUS), (x, BUS), (x, GATES), arrow=False)
    layer(ax, (x, GATES), activation, name)
