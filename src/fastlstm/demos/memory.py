"""How far back a network learns to remember: an LSTM, and a plain RNN with as many numbers.

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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import Array
from ..layers import Embedding, LastStep, Linear
from ..recurrent import LSTM, RNN
from ..sequential import Sequential
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

Data = tuple[NDArray[Any], NDArray[Any]]

KINDS: dict[str, type[LSTM] | type[RNN]] = {"LSTM": LSTM, "RNN": RNN}
BATCH, STEPS_IN_EPOCH, UNSEEN = 64, 100, 1000
ADDED = 0.01
"""The mean squared error on unseen sequences at which the adding problem counts as learned."""
COPIED = 0.99
"""The share of unseen symbols repeated rightly at which copying counts as learned."""
SYMBOLS, LENGTH = 8, 10
BLANK, SIGNAL = SYMBOLS, SYMBOLS + 1


@dataclass
class Settings:
    """What the command line sets."""

    task: str = "adding"
    gaps: tuple[int, ...] = (50, 100, 200)
    hidden: int = 64
    steps: int = 6000
    lr: float = 2e-3
    picture: Path | None = None
    seed: int = 0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("--task", choices=TASKS, help="what to remember (default: %(default)s)")
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
    layers: Callable[[type[LSTM] | type[RNN], int, np.random.Generator], Sequential]


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


def adding_model(kind: type[LSTM] | type[RNN], hidden: int, rng: np.random.Generator) -> Sequential:
    """Return a network that gives one number at the end."""
    return Sequential(kind(2, hidden, rng=rng), LastStep(), Linear(hidden, 1, rng=rng))


def copying_model(kind: type[LSTM] | type[RNN], hidden: int, rng: np.random.Generator) -> Sequential:
    """Return a network that gives a symbol at each step."""
    symbols = SYMBOLS + 2
    return Sequential(
        Embedding(symbols, symbols, rng=rng),
        kind(symbols, hidden, rng=rng),
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


def network(task: Task, kind: type[LSTM] | type[RNN], hidden: int, seed: int) -> Sequential:
    """Return a network; an LSTM's forget gates begin open, an RNN has as many numbers as that LSTM."""
    model = task.layers(kind, hidden, np.random.default_rng(seed))
    place = next(k for k, layer in enumerate(model.layers) if isinstance(layer, (LSTM, RNN)))
    if kind is LSTM:
        name = f"{place}.bias_ih_l0"
        bias = model.parameters[name].copy()
        bias[hidden : 2 * hidden] = 1  # i, f, g, o
        model.update({name: bias})
        return model
    wanted = network(task, LSTM, hidden, seed).num_parameters
    width = hidden
    while model.num_parameters < wanted:
        width += 1
        model = task.layers(kind, width, np.random.default_rng(seed))
    return model


@dataclass
class Result:
    """How a network did: the measure after each hundred steps, and when it was good enough, if it was."""

    model: Sequential
    curve: list[float]
    steps: int | None


def learn(
    task: Task,
    kind: type[LSTM] | type[RNN],
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
    )
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    return Result(model, watch.curve, history.steps if task.learned(watch.curve[-1]) else None)


def baseline(name: str, gap: int) -> str:
    """Return what remembering nothing reaches."""
    return f"{1 / 6:.3f}" if name == "adding" else f"{1 / SYMBOLS:.3f}"


def run(settings: Settings) -> None:
    """Train an LSTM and a plain RNN of as many numbers to remember over growing gaps.

    Raises
    ------
    ValueError
        If a gap has no two steps.
    ImportError
        If a picture is wanted, and matplotlib is not there.
    """
    if min(settings.gaps) < 2:
        raise ValueError(f"gaps: expected at least 2 steps, got {min(settings.gaps)}")
    task = TASKS[settings.task]
    sizes = {name: network(task, kind, settings.hidden, 0).num_parameters for name, kind in KINDS.items()}
    print(
        f"{settings.task}: batches of {BATCH} new sequences, at most {settings.steps:,} steps; "
        + ", ".join(f"{name} of {count:,} numbers" for name, count in sizes.items()),
        flush=True,
    )
    print(
        f"{task.measured} on {UNSEEN} unseen sequences; remembering nothing has {baseline(settings.task, 0)}"
    )
    print(f"\n{'gap':>6}{'':4}{'network':10}{task.measured:>18}{'learned after':>20}")
    curves: dict[str, list[float]] = {}
    for gap in settings.gaps:
        for name, kind in KINDS.items():
            result = learn(task, kind, gap, settings, progress="numbers")
            curves[f"{name}, {gap}"] = result.curve
            when = "not learned" if result.steps is None else f"{result.steps:,} steps"
            print(f"{gap:6}{'':4}{name:10}{result.curve[-1]:18.4f}{when:>20}", flush=True)
    if settings.picture is not None:
        draw(curves, task.measured, settings.picture)


def draw(curves: dict[str, list[float]], measured: str, path: Path) -> None:
    """Draw what was measured after each hundred steps."""
    from ..plot import history

    ax = history(curves)
    for k, line in enumerate(ax.lines):  # an LSTM, and the RNN for the same gap
        line.set(color=f"C{k // len(KINDS)}", linestyle=("-", "--")[k % len(KINDS)])
    ax.legend(frameon=False)
    ax.set_xlabel("hundreds of training steps")
    ax.set_ylabel(measured)
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.savefig(path)
