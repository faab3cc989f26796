"""Who speaks? Sequences of different lengths, classified; beside the same model in PyTorch.

The recordings are JapaneseVowels [1]_: nine men say two vowels, each utterance 7 to 29 frames of twelve
numbers. The package aeon carries them.

References
----------
.. [1] M. Kudo, J. Toyama and M. Shimbo, "Multidimensional Curve Classification Using Passing-Through
   Regions", Pattern Recognition Letters 20(11-13), 1999.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ..config import get_num_threads, set_num_threads
from ..layers import LastStep, Linear, MaxOverTime, MeanOverTime
from ..model.checks import Array
from ..model.lstm import LSTM
from ..model.recurrent import Rng
from ..model.sequential import Sequential
from ..training import Adam, CosineSchedule, OneCycleSchedule, fit, predict, softmax_cross_entropy
from ..training.optimizers import Optimizer
from ..training.samples import Samples
from ..training.schedules import Timed
from .options import above_zero, add_precision, positive, to_learn, to_use

Indices = NDArray[np.int64]

SPEAKERS = 9
READOUTS = {"last": LastStep, "mean": MeanOverTime, "max": MaxOverTime}
SCHEDULES: dict[str, Callable[[Optimizer, int], Timed] | None] = {
    "constant": None,
    "cosine": CosineSchedule,
    "one-cycle": lambda optimizer, steps: OneCycleSchedule(optimizer, optimizer.lr, steps),
}
FOLDS = 5


@dataclass(frozen=True)
class Settings:
    """What is trained, and how; the defaults are what `cross_validate` chose."""

    seeds: int = 10
    epochs: int = 60
    batch: int = 27
    hidden: int = 100
    readout: str = "max"
    schedule: str = "one-cycle"
    lr: float = 3e-3
    threads: int = 2
    precision: str | None = None


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("--seeds", type=positive, help="how often to train (default: %(default)s)")
    parser.add_argument("--epochs", type=positive, help="default: %(default)s")
    parser.add_argument("--batch", type=positive, help="sequences in a batch (default: %(default)s)")
    parser.add_argument("--hidden", type=positive, help="units of each direction (default: %(default)s)")
    parser.add_argument("--readout", choices=READOUTS, help="default: %(default)s")
    parser.add_argument("--schedule", choices=SCHEDULES, help="of the rate (default: %(default)s)")
    parser.add_argument("--lr", type=above_zero, help="highest learning rate (default: %(default)s)")
    parser.add_argument("--threads", type=positive, help="of each library (default: %(default)s)")
    add_precision(parser)


@dataclass(frozen=True)
class Utterances:
    """Sequences (T_k, 12), and who spoke each: 0 to 8."""

    x: list[Array]
    y: Indices

    def __len__(self) -> int:
        return len(self.x)

    def some(self, chosen: Indices) -> Utterances:
        """Return the chosen ones."""
        return Utterances([self.x[k] for k in chosen], self.y[chosen])


@dataclass(frozen=True)
class Runs:
    """What came of training from several seeds: accuracies on the test data, and seconds of training."""

    accuracies: Array
    seconds: Array


# The data


def utterances(split: str) -> Utterances:
    """Return the 270 utterances to learn from ("train"), or the 370 others ("test").

    Raises
    ------
    ImportError
        If aeon is not there.
    """
    try:
        from aeon.datasets import load_japanese_vowels
    except ImportError as error:
        raise ImportError("the demo classify needs aeon: pip install 'fastlstm[demo]'") from error
    x, y = load_japanese_vowels(split=split)
    return Utterances([np.ascontiguousarray(sequence.T) for sequence in x], y.astype(np.int64) - 1)


def standardised(train: Utterances, test: Utterances) -> tuple[Utterances, Utterances]:
    """Return both in float32 so that each of the twelve numbers has mean 0 and deviation 1 in the first."""
    frames = np.concatenate(train.x)
    mean, deviation = frames.mean(axis=0), frames.std(axis=0)

    def scaled(some: Utterances) -> Utterances:
        return Utterances([((x - mean) / deviation).astype(np.float32) for x in some.x], some.y)

    return scaled(train), scaled(test)


# The model


def classifier(settings: Settings, rng: Rng) -> Sequential:
    """Return the model as it begins: LSTM in both directions, readout, linear."""
    rng = np.random.default_rng(rng)
    return Sequential(
        LSTM(12, settings.hidden, bidirectional=True, rng=rng),
        READOUTS[settings.readout](),
        Linear(2 * settings.hidden, SPEAKERS, rng=rng),
    )


def learn(model: Sequential, data: Utterances, settings: Settings, seed: int) -> None:
    """Train the model."""
    fit(
        model,
        (data.x, data.y),
        softmax_cross_entropy,
        optimizer=Adam([model], lr=settings.lr),
        schedule=SCHEDULES[settings.schedule],
        epochs=settings.epochs,
        batch_size=settings.batch,
        progress=False,
        rng=seed,
    ).or_interrupt()


def lesson(
    model: Sequential, data: Utterances, settings: Settings, seed: int
) -> Iterator[tuple[Indices, float]]:
    """Yield each step's batch and learning rate, as `learn` takes them."""
    samples, rng = Samples((data.x, data.y), model), np.random.default_rng(seed)
    plans = [samples.plan(settings.batch, rng) for _ in range(settings.epochs)]
    adam = Adam([model], lr=settings.lr)
    make = SCHEDULES[settings.schedule]
    schedule = None if make is None else make(adam, sum(map(len, plans)))
    for chosen in itertools.chain.from_iterable(plans):
        yield chosen, adam.lr
        if schedule is not None:
            schedule.step()


def accuracy(scores: Array, speakers: Indices) -> float:
    """Return the share of utterances whose highest score is their speaker's."""
    return float((scores.argmax(axis=1) == speakers).mean())


def accuracy_on(model: Sequential, data: Utterances) -> float:
    """Return the share of utterances of which a model tells the speaker."""
    return accuracy(np.asarray(predict(model, data.x)), data.y)


# The experiment


def results(settings: Settings) -> dict[str, Runs]:
    """Train from each seed with fastlstm, and at once with PyTorch if that is installed.

    Both begin with the same weights and take the same batches at the same rates.

    Returns
    -------
    dict of str to Runs
        By library: "fastlstm", and "PyTorch" if it is there.
    """
    train, test = standardised(utterances("train"), utterances("test"))
    libraries = {"fastlstm": ours}
    if find_spec("torch"):
        libraries["PyTorch"] = theirs
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in libraries}
    turns = list(itertools.product(range(settings.seeds), libraries))
    with threads(settings.threads):
        for seed, name in tqdm(turns, desc="training", unit="run", disable=None, leave=False):
            taken[name].append(libraries[name](train, test, settings, seed))
    return {name: Runs(*np.array(pairs).T) for name, pairs in taken.items()}


def ours(train: Utterances, test: Utterances, settings: Settings, seed: int) -> tuple[float, float]:
    """Return the test accuracy after training with fastlstm, and the seconds that training took."""
    model = to_learn(classifier(settings, seed), settings.precision)
    seconds = timed(lambda: learn(model, train, settings, seed))
    return accuracy_on(to_use(model, settings.precision), test), seconds


def theirs(train: Utterances, test: Utterances, settings: Settings, seed: int) -> tuple[float, float]:
    """Return the same of PyTorch."""
    from . import classify_torch

    model = classifier(settings, seed)
    peer = classify_torch.TorchClassifier(model.state_dict(), settings.readout)
    steps = list(lesson(model, train, settings, seed))
    with classify_torch.threads(settings.threads):
        seconds = timed(lambda: peer.learn(train.x, train.y, steps))
        return accuracy(peer.scores(test.x), test.y), seconds


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds something took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let fastlstm use so many threads for a while."""
    before = get_num_threads()
    set_num_threads(count)
    try:
        yield
    finally:
        set_num_threads(before)


def run(settings: Settings) -> None:
    """Train, and print test accuracy and seconds of training, PyTorch's beside them.

    Raises
    ------
    ImportError
        If aeon is not there.
    """
    train, test = utterances("train"), utterances("test")
    lengths = [len(x) for x in train.x + test.x]
    print(
        f"JapaneseVowels: {len(train)} utterances of {SPEAKERS} men to learn from, {len(test)} held out, "
        f"{min(lengths)} to {max(lengths)} steps each\n"
        f"{settings.epochs} epochs of batches of {settings.batch}, "
        f"{settings.seeds} {'seed' if settings.seeds == 1 else 'seeds'}, "
        f"{settings.threads} threads each, taking turns"
        + (f"; fastlstm in {settings.precision}" if settings.precision else "")
    )
    print(table(results(settings)))


def table(runs: Mapping[str, Runs]) -> str:
    """Return what was measured as lines of text."""
    lines = [
        f"\n{'':12}{'test accuracy, %':^31}{'seconds of training':>23}",
        f"{'':12}{'mean':>8}{'± s.e.':>9}{'least':>7}{'most':>7}{'best':>14}{'median':>9}",
    ]
    for name, of in runs.items():
        percent, seconds = 100 * of.accuracies, of.seconds
        lines.append(
            f"{name:12}{percent.mean():8.2f}{_shown_error(percent)}{percent.min():7.2f}"
            f"{percent.max():7.2f}{seconds.min():14.2f}{np.median(seconds):9.2f}"
        )
    if "PyTorch" not in runs:
        return "\n".join([*lines, f"{'PyTorch':12}  is not installed"])
    ahead = 100 * (runs["fastlstm"].accuracies - runs["PyTorch"].accuracies)
    shares = runs["fastlstm"].seconds / runs["PyTorch"].seconds
    best = runs["fastlstm"].seconds.min() / runs["PyTorch"].seconds.min()
    lines.append(f"{'difference':12}{ahead.mean():+8.2f}{_shown_error(ahead)}")
    lines.append(f"{'share of its time':42}{best:15.2f}{np.median(shares):9.2f}")
    return "\n".join(lines)


def standard_error(numbers: Array) -> float:
    """Return the standard error of the mean; not a number for a single one, which has none."""
    return float(numbers.std(ddof=1) / np.sqrt(len(numbers))) if len(numbers) > 1 else float("nan")


def _shown_error(numbers: Array) -> str:
    return f"{standard_error(numbers):9.2f}" if len(numbers) > 1 else f"{'-':>9}"


# How the settings were chosen


def cross_validate(settings: Settings, repeats: int = 2) -> Array:
    """Return the accuracies (repeats, 5) on parts of the training data that were not learned from.

    Each speaker's utterances are dealt out to five parts, anew in each repeat.
    """
    data = utterances("train")
    accuracies = np.zeros((repeats, FOLDS))
    for repeat, k in np.ndindex(accuracies.shape):
        held_out = parts(data.y, np.random.default_rng(repeat)) == k
        seed = FOLDS * repeat + k
        train, test = standardised(data.some(np.flatnonzero(~held_out)), data.some(np.flatnonzero(held_out)))
        model = classifier(settings, seed)
        learn(model, train, settings, seed)
        accuracies[repeat, k] = accuracy_on(model, test)
    return accuracies


def parts(speakers: Indices, rng: np.random.Generator) -> Indices:
    """Return which of the five parts each utterance is in."""
    part = np.empty_like(speakers)
    for speaker in np.unique(speakers):
        own = np.flatnonzero(speakers == speaker)
        part[own] = rng.permutation(len(own)) % FOLDS
    return part
