"""How far back a network learns to remember: an LSTM, and other cells with as many numbers.

Two tasks whose one difficulty is the gap between what matters and when it is needed:

adding
    Each step has a number from 0 to 1 and a mark, which is 1 in two places, one in either half of the
    sequence, and 0 elsewhere. At the end the network is to give the sum of the two marked numbers. Always to
    say 1 has a mean squared error of 1/6.
copying
    Ten symbols out of eight, then blanks, then a signal: the network is to repeat the symbols. It needs each
    again after as many steps as the gap has, and ten.

They are those of S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997,
as M. Arjovsky, A. Shah and Y. Bengio posed them in "Unitary Evolution Recurrent Neural Networks", ICML 2016.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..layers import Embedding, LastStep, Linear
from ..model.checks import Array
from ..model.gru import GRU
from ..model.lstm import LSTM
from ..model.recurrent import Recurrent
from ..model.rnn import RNN
from ..model.sequential import Sequential
from ..model.slstm import SLSTM
from ..training import (
    Adam,
    Callback,
    Progress,
    evaluate,
    fit,
    mean_squared_error,
    predict,
    softmax_cross_entropy,
)
from .options import above_zero, positive
from .picture import check_picture, write_picture

Data = tuple[NDArray[Any], NDArray[Any]]
Kind = Callable[[int, int, np.random.Generator], Recurrent[Any]]
"""From input size, units and a generator to the recurrent layer."""

BATCH, STEPS_IN_EPOCH, UNSEEN = 64, 100, 1000
ADDED = 0.01
"""The mean squared error on unseen sequences at which the adding problem counts as learned."""
COPIED = 0.99
"""The share of unseen symbols repeated rightly at which copying counts as learned."""
SYMBOLS, LENGTH = 8, 10
BLANK, SIGNAL = SYMBOLS, SYMBOLS + 1


def open_lstm(input_size: int, hidden: int, rng: np.random.Generator) -> LSTM:
    """Return an LSTM whose forget gates begin open."""
    model = LSTM(input_size, hidden, rng=rng)
    bias = model.parameters["bias_ih_l0"].copy()
    bias[hidden : 2 * hidden] = 1  # i, f, g, o
    return model.update({"bias_ih_l0": bias})


CELLS: dict[str, Kind] = {
    "LSTM": open_lstm,
    "GRU": lambda input_size, hidden, rng: GRU(input_size, hidden, rng=rng),
    "SLSTM": lambda input_size, hidden, rng: SLSTM(input_size, hidden, rng=rng),
    "LSTM-plain": lambda input_size, hidden, rng: LSTM(input_size, hidden, rng=rng),
    "RNN": lambda input_size, hidden, rng: RNN(input_size, hidden, rng=rng),
}
"""What can be compared; a plain LSTM's forget gates begin half open."""


@dataclass
class Settings:
    """What the command line sets."""

    task: str = "adding"
    cell: tuple[str, ...] = ("LSTM", "RNN")
    gaps: tuple[int, ...] = (50, 100, 200)
    hidden: int = 64
    steps: int = 6000
    lr: float = 2e-3
    picture: Path | None = None
    seed: int = 0


def cell(text: str) -> str:
    """Return a cell's name as `CELLS` has it, for argparse."""
    return next((name for name in CELLS if name.lower() == text.lower()), text)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("--task", choices=TASKS, help="what to remember (default: %(default)s)")
    parser.add_argument(
        "--cell", type=cell, choices=CELLS, nargs="+", help="one or more to compare (default: LSTM RNN)"
    )
    parser.add_argument(
        "--gaps", type=positive, nargs="+", metavar="STEPS", help="how far back (default: 50 100 200)"
    )
    parser.add_argument("--hidden", type=positive, help="units of the LSTM (default: %(default)s)")
    parser.add_argument("--steps", type=positive, help="training steps, at most (default: %(default)s)")
    parser.add_argument("--lr", type=above_zero, help="learning rate (default: %(default)s)")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the learning curves")
    parser.add_argument("--seed", type=int, help="for weights and data (default: %(default)s)")


@dataclass(frozen=True)
class Task:
    """Something to remember.

    Attributes
    ----------
    sequences : function
        From a gap, how many, and a generator to sequences and targets.
    loss : function
    measured : str
        What `measure` returns.
    measure : function
        From a model, and unseen sequences and targets, to one number.
    learned : function
        Whether that number says that the task is solved.
    """

    sequences: Callable[[int, int, np.random.Generator], Data]
    loss: Callable[..., tuple[float, Array]]
    measured: str
    measure: Callable[[Sequential, Data], float]
    learned: Callable[[float], bool]
    layers: Callable[[Kind, int, np.random.Generator], Sequential]


def adding(gap: int, count: int, rng: np.random.Generator) -> Data:
    """Return sequences (count, gap, 2) and sums (count, 1)."""
    x = np.zeros((count, gap, 2), np.float32)
    x[..., 0] = rng.random((count, gap))
    half = gap // 2
    each, marks = np.arange(count), (rng.integers(0, half, count), rng.integers(half, gap, count))
    for place in marks:
        x[each, place, 1] = 1
    return x, x[each, marks[0], :1] + x[each, marks[1], :1]


def copying(gap: int, count: int, rng: np.random.Generator) -> Data:
    """Return sequences and what is to be said at each step, both (count, gap + 20) symbols."""
    symbols = rng.integers(0, SYMBOLS, (count, LENGTH))
    x = np.full((count, gap + 2 * LENGTH), BLANK)
    y = x.copy()
    x[:, :LENGTH], y[:, -LENGTH:] = symbols, symbols
    x[:, -LENGTH - 1] = SIGNAL
    return x, y


def squared_error(model: Sequential, unseen: Data) -> float:
    """Return the mean squared error."""
    return evaluate(model, unseen, mean_squared_error)


def share_repeated(model: Sequential, unseen: Data) -> float:
    """Return which share of the symbols to be repeated has the highest probability where it should."""
    x, y = unseen
    said = np.stack([logits[-LENGTH:].argmax(axis=1) for logits in predict(model, x)])
    return float(np.mean(said == y[:, -LENGTH:]))


def adding_model(kind: Kind, hidden: int, rng: np.random.Generator) -> Sequential:
    """Return a network that gives one number at the end."""
    return Sequential(kind(2, hidden, rng), LastStep(), Linear(hidden, 1, rng=rng))


def copying_model(kind: Kind, hidden: int, rng: np.random.Generator) -> Sequential:
    """Return a network that gives a symbol at each step."""
    symbols = SYMBOLS + 2
    return Sequential(
        Embedding(symbols, symbols, rng=rng),
        kind(symbols, hidden, rng),
        Linear(hidden, SYMBOLS + 1, rng=rng),
    )


TASKS = {
    "adding": Task(
        adding,
        mean_squared_error,
        "squared error",
        squared_error,
        lambda error: error < ADDED,
        adding_model,
    ),
    "copying": Task(
        copying,
        softmax_cross_entropy,
        "symbols repeated",
        share_repeated,
        lambda share: share > COPIED,
        copying_model,
    ),
}


def network(task: Task, kind: Kind, hidden: int, seed: int) -> Sequential:
    """Return a network with as many numbers as an LSTM of `hidden` units has, or a few more."""

    def of_width(kind: Kind, width: int) -> Sequential:
        return task.layers(kind, width, np.random.default_rng(seed))

    wanted = of_width(CELLS["LSTM"], hidden).num_parameters
    models = (of_width(kind, width) for width in itertools.count(hidden))
    return next(model for model in models if model.num_parameters >= wanted)


@dataclass
class Result:
    """How a network did: the measure after each hundred steps, and when it was good enough, if it was."""

    model: Sequential
    curve: list[float]
    steps: int | None


def learn(
    task: Task,
    kind: Kind,
    gap: int,
    settings: Settings,
    progress: bool | str | None = None,
) -> Result:
    """Train a network until it solves the task, or until the steps are used up."""
    model = network(task, kind, settings.hidden, settings.seed)
    unseen = task.sequences(gap, UNSEEN, np.random.default_rng([settings.seed, 0]))

    class Watch(Callback):
        def __init__(self) -> None:
            self.curve: list[float] = []

        def on_epoch(self, progress: Progress) -> None:
            self.curve.append(task.measure(model, unseen))
            if task.learned(self.curve[-1]):
                progress.stop("learned")

    watch = Watch()
    history = fit(
        model,
        lambda epoch: task.sequences(
            gap, BATCH * STEPS_IN_EPOCH, np.random.default_rng([settings.seed, 1 + epoch])
        ),
        task.loss,
        optimizer=Adam([model], lr=settings.lr),
        epochs=-(-settings.steps // STEPS_IN_EPOCH),
        max_steps=settings.steps,
        batch_size=BATCH,
        shuffle=False,
        callbacks=[watch],
        progress=progress,
    ).or_interrupt()
    return Result(model, watch.curve, history.steps if task.learned(watch.curve[-1]) else None)


def baseline(name: str, gap: int) -> str:
    """Return what remembering nothing reaches."""
    return f"{1 / 6:.3f}" if name == "adding" else f"{1 / SYMBOLS:.3f}"


def run(settings: Settings) -> None:
    """Train an LSTM, and other cells of as many numbers, to remember over growing gaps.

    Raises
    ------
    ValueError
        If a gap has no two steps.
    ImportError, ValueError, OSError
        If a picture is wanted and can't be written, before anything is trained.
    """
    check_picture(settings.picture)
    if min(settings.gaps) < 2:
        raise ValueError(f"gaps: expected at least 2 steps, got {min(settings.gaps)}")
    task = TASKS[settings.task]
    cells = {name: CELLS[name] for name in settings.cell}
    sizes = {name: network(task, kind, settings.hidden, 0).num_parameters for name, kind in cells.items()}
    print(
        f"{settings.task}: batches of {BATCH} new sequences, at most {settings.steps:,} steps; "
        + ", ".join(f"{name} of {count:,} numbers" for name, count in sizes.items()),
        flush=True,
    )
    print(
        f"{task.measured} on {UNSEEN} unseen sequences; remembering nothing has {baseline(settings.task, 0)}"
    )
    print(f"\n{'gap':>6}{'':4}{'network':14}{task.measured:>18}{'learned after':>20}")
    curves: dict[int, dict[str, list[float]]] = {gap: {} for gap in settings.gaps}
    for gap in settings.gaps:
        for name, kind in cells.items():
            result = learn(task, kind, gap, settings, progress="numbers")
            curves[gap][name] = result.curve
            when = "not learned" if result.steps is None else f"{result.steps:,} steps"
            print(f"{gap:6}{'':4}{name:14}{result.curve[-1]:18.4f}{when:>20}", flush=True)
    if settings.picture is not None:
        draw(curves, task.measured, settings.picture)


def draw(curves: dict[int, dict[str, list[float]]], measured: str, path: Path) -> None:
    """Draw what was measured after each hundred steps, gap by gap."""
    from matplotlib.figure import Figure

    from ..plot import history

    figure = Figure(figsize=(1 + 4 * len(curves), 4), layout="constrained")
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for ax, (gap, of_cells) in zip(panels, curves.items(), strict=True):
        history(of_cells, every=STEPS_IN_EPOCH, ax=ax)
        ax.set_title(f"gap of {gap}", fontsize=11)
    panels[0].set_ylabel(measured)
    write_picture(figure, path)
