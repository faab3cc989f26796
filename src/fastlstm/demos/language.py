"""A character model of real English text, trained, measured and left to write.

The text is the Python reference manual that every Python installation carries.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..layers import Dropout, Embedding, Linear
from ..model.lstm import LSTM
from ..model.sequential import Sequential
from ..training import (
    Adam,
    Callback,
    CosineSchedule,
    History,
    Progress,
    evaluate,
    fit,
    softmax_cross_entropy,
    streams,
)
from .options import above_zero, add_precision, positive, share, to_learn, to_use, world
from .picture import check_picture, write_picture

Indices = NDArray[np.int64]
LEAST_CHARACTERS = 5000
BIGRAM = "2-gram model"
STREAMS, WINDOW = 32, 64
"""How many streams the text is cut into, and how many steps gradients go back."""


@dataclass
class Settings:
    """What the command line sets."""

    steps: int = 700
    hidden: int = 256
    layers: int = 1
    dropout: float = 0.0
    lr: float = 4e-3
    temperature: float = 0.7
    text: Path | None = None
    checkpoint: Path | None = None
    picture: Path | None = None
    mpi: bool = False
    precision: str | None = None
    seed: int = 0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("--steps", type=positive, help="training steps (default: %(default)s)")
    parser.add_argument("--hidden", type=positive, help="units of each LSTM layer (default: %(default)s)")
    parser.add_argument("--layers", type=positive, help="LSTM layers (default: %(default)s)")
    parser.add_argument("--dropout", type=share, help="share of dropout (default: %(default)s)")
    parser.add_argument("--lr", type=above_zero, help="highest learning rate (default: %(default)s)")
    parser.add_argument("--temperature", type=above_zero, help="of what it writes (default: %(default)s)")
    parser.add_argument(
        "--text", type=Path, metavar="FILE", help="UTF-8 text to learn (default: Python's manual)"
    )
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="go on from FILE, and keep it")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the learning curve")
    parser.add_argument("--mpi", action="store_true", help="train on all ranks that mpiexec started")
    add_precision(parser)
    parser.add_argument("--seed", type=int, help="for weights and writing (default: %(default)s)")


def manual() -> str:
    """Return the Python reference manual, about 700,000 characters."""
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name] for name in sorted(topics))


class Vocabulary:
    """Characters by number; number 0 stands for every character that was not in the text.

    Examples
    --------
    >>> from fastlstm.demos.language import Vocabulary
    >>> vocabulary = Vocabulary("abba")
    >>> vocabulary.encode("cab").tolist(), vocabulary.decode([2, 1])
    ([0, 1, 2], 'ba')
    """

    UNKNOWN = "\N{REPLACEMENT CHARACTER}"

    def __init__(self, text: str) -> None:
        self._characters = [self.UNKNOWN, *sorted(set(text) - {self.UNKNOWN})]
        self._numbers = {character: k for k, character in enumerate(self._characters)}

    def __len__(self) -> int:
        return len(self._characters)

    def encode(self, text: str) -> Indices:
        """Return the number of each character."""
        return np.array([self._numbers.get(character, 0) for character in text], np.int64)

    def decode(self, indices: Indices) -> str:
        """Return the characters of the numbers."""
        return "".join(self._characters[k] for k in indices)


def character_model(
    characters: int,
    hidden: int,
    layers: int = 1,
    dropout: float = 0.0,
    seed: int | None = None,
) -> Sequential:
    """Return embedding, LSTM, linear: the distribution of the next character after each."""
    rng = np.random.default_rng(seed)
    return Sequential(
        Embedding(characters, 64, rng=rng),
        LSTM(64, hidden, num_layers=layers, dropout=dropout if layers > 1 else 0.0, rng=rng),
        *([Dropout(dropout, rng=rng)] if dropout else []),
        Linear(hidden, characters, rng=rng),
    )


def bits_per_character(model: Sequential, text: Indices, chunk: int = 10_000) -> float:
    """Return the mean of -log2 p(next character), reading the text once from its beginning."""
    once = text[None]
    nats = evaluate(model, (once[:, :-1], once[:, 1:]), softmax_cross_entropy, bptt=chunk)
    return nats / math.log(2)


def bigram_bits(train: Indices, held_out: Indices, characters: int) -> float:
    """Return the held-out bits per character of a 2-gram model with add-one counts.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.demos.language import bigram_bits
    >>> round(bigram_bits(np.array([0, 1, 0, 1, 0]), np.array([0, 1]), 2), 4)    # -log2(3/4)
    0.415
    """
    counts = np.ones((characters, characters))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    p = counts / counts.sum(axis=1, keepdims=True)
    return float(-np.log2(p[held_out[:-1], held_out[1:]]).mean())


def write(
    model: Sequential, prompt: Indices, count: int, temperature: float, rng: np.random.Generator
) -> Iterator[int]:
    """Read the prompt, then draw `count` characters, each from the distribution after the last."""
    stream = model.stream()
    for character in prompt:
        logits = stream.step(character)
    for _ in range(count):
        scores = logits.astype(np.float64) / temperature
        scores[0] = -np.inf  # the unknown character is nothing to write
        p = np.exp(scores - scores.max())
        character = rng.choice(len(p), p=p / p.sum())
        yield int(character)
        logits = stream.step(character)


class LearningCurve(Callback):
    """The bits per character of each step's batch."""

    def __init__(self) -> None:
        self.bits: list[float] = []

    def on_step(self, progress: Progress) -> None:
        """Note the loss."""
        self.bits.append(progress.loss / math.log(2))

    def state_dict(self) -> dict[str, Any]:
        """Return what was noted."""
        return {"bits": np.array(self.bits)}

    def load_state_dict(self, mapping: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.bits = mapping["bits"].tolist()


def train(
    model: Sequential,
    text: Indices,
    settings: Settings,
    comm: Any = None,
    curve: Callback | None = None,
    quantize: str | None = None,
) -> History:
    """Train with a live bar, with weights rounded where `quantize` says so; return what was recorded.

    The text is read as streams side by side, a window at a time; each goes on where the one before ended.
    """
    data = streams(text[:-1], STREAMS), streams(text[1:], STREAMS)
    windows = -(-data[0].shape[1] // WINDOW)
    adam = Adam([model], lr=settings.lr)
    return fit(
        model,
        data,
        softmax_cross_entropy,
        optimizer=adam,
        schedule=CosineSchedule(adam, settings.steps, final_lr=settings.lr / 20),
        epochs=-(-settings.steps // windows),
        max_steps=settings.steps,
        batch_size=STREAMS,
        shuffle=False,
        bptt=WINDOW,
        callbacks=[] if curve is None else [curve],
        checkpoint=settings.checkpoint,
        progress="chars",
        comm=comm,
        quantize=quantize,
    ).or_interrupt()


def draw(curve: list[float], bigram: float, held_out: float, path: Path) -> None:
    """Draw the bits per character of each step beside those of the 2-gram model: it is left behind."""
    from ..plot import history

    ax = history({"of each batch": curve}, every=1)
    ax.legend().remove()
    ax.set_title(f"It ends at {held_out:.2f} bits per held-out character, a 2-gram model has {bigram:.2f}")
    ax.axhline(bigram, color="0.4", linestyle="--")
    ax.annotate(
        "2-gram model, held-out text",
        (1, bigram),
        (-4, 4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        color="0.4",
    )
    ax.set_ylabel("bits per character while it learns")
    ax.set_ylim(bottom=0)
    figure = ax.get_figure(root=True)
    assert figure is not None
    write_picture(figure, path)


def run(settings: Settings) -> None:
    """Train, print held-out bits per character beside the baselines, and write.

    Raises
    ------
    ValueError
        If the text is too short.
    OSError, UnicodeDecodeError
        If the file of text can't be read.
    ImportError, ValueError, OSError
        If a picture is wanted and can't be written, before anything is trained.
    """
    check_picture(settings.picture)
    comm = world() if settings.mpi else None
    text = manual() if settings.text is None else settings.text.read_text(encoding="utf-8")
    if len(text) < LEAST_CHARACTERS:
        raise ValueError(f"text: expected at least {LEAST_CHARACTERS} characters, got {len(text)}")
    cut = len(text) * 9 // 10
    vocabulary = Vocabulary(text[:cut])
    learned, held_out = vocabulary.encode(text[:cut]), vocabulary.encode(text[cut:])
    model = character_model(
        len(vocabulary), settings.hidden, settings.layers, settings.dropout, settings.seed
    )
    model = to_learn(model, settings.precision)
    shown = comm is None or comm.Get_rank() == 0
    if shown:
        source = settings.text or "the Python reference manual"
        sizes = f"{cut:,} characters to learn from, {len(text) - cut:,} held out"
        print(f"{source}: {sizes}, {len(vocabulary)} different", flush=True)
    curve = LearningCurve()
    history = train(model, learned, settings, comm, curve)
    if not shown:
        return
    table = {
        "uniform over the characters": math.log2(len(vocabulary)),
        BIGRAM: bigram_bits(learned, held_out, len(vocabulary)),
        f"LSTM, {model.num_parameters:,} numbers, {history.steps:,} steps": bits_per_character(
            model, held_out
        ),
    }
    learned_in, model = model, to_use(model, settings.precision)
    if model is not learned_in:
        table[f"the same in {settings.precision}"] = bits_per_character(model, held_out)
    print("\nheld-out text                        bits per character")
    for name, bits in table.items():
        print(f"{name:45}{bits:10.3f}")
    if settings.picture is not None:
        *_, ours = table.values()
        draw(curve.bits, table[BIGRAM], ours, settings.picture)

    prompt = "The "
    print(f"\nand it writes:\n\n{prompt}", end="", flush=True)
    rng = np.random.default_rng(settings.seed)
    for character in write(model, vocabulary.encode(prompt), 400, settings.temperature, rng):
        print(vocabulary.decode(np.array([character])), end="", flush=True)
    print()
