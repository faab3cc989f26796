"""A character model of real English text, trained, measured and left to write.

The text is the Python reference manual that every Python installation carries.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from .._arrays import Array
from ..layers import Embedding, Linear
from ..recurrent import LSTM, Rng
from ..training import Adam, clip_gradient_norm, softmax_cross_entropy

Indices = NDArray[np.int64]
LEAST_CHARACTERS = 5000


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


class CharacterModel:
    """Embedding, LSTM, linear: the distribution of the next character after each."""

    def __init__(self, characters: int, hidden_size: int, embedding_size: int = 64, rng: Rng = None) -> None:
        rng = np.random.default_rng(rng)
        self.embedding = Embedding(characters, embedding_size, rng=rng)
        self.lstm = LSTM(embedding_size, hidden_size, rng=rng)
        self.linear = Linear(hidden_size, characters, rng=rng)

    @property
    def layers(self) -> tuple[Embedding, LSTM, Linear]:
        """Everything that has parameters."""
        return self.embedding, self.lstm, self.linear

    def loss_and_gradients(
        self, inputs: Indices, targets: Indices, state: Any
    ) -> tuple[float, Any, list[Mapping[str, Array]]]:
        """Return the loss in nats a character over (T, B) characters, the state, and gradients by layer."""
        x, embedding_tape = self.embedding.forward(inputs)
        h, state, lstm_tape = self.lstm.forward(x, state)
        logits, linear_tape = self.linear.forward(h)
        loss, dlogits = softmax_cross_entropy(logits, targets)
        linear = linear_tape.backward(dlogits)
        lstm = lstm_tape.backward(linear.input)
        embedding = embedding_tape.backward(lstm.input)
        return loss, state, [embedding.parameters, lstm.parameters, linear.parameters]

    def bits_per_character(self, text: Indices, chunk: int = 10_000) -> float:
        """Return the mean of -log2 p(next character), reading the text once from its beginning."""
        nats, state = 0.0, None
        for first in range(0, len(text) - 1, chunk):
            inputs = text[first : first + chunk][: len(text) - 1 - first]
            h, state = self.lstm(self.embedding(inputs), state)
            loss, _ = softmax_cross_entropy(self.linear(h), text[first + 1 : first + 1 + len(inputs)])
            nats += loss * len(inputs)
        return nats / (len(text) - 1) / math.log(2)

    def write(
        self, prompt: Indices, count: int, temperature: float, rng: np.random.Generator
    ) -> Iterator[int]:
        """Read the prompt, then draw `count` characters, each from the distribution after the last."""
        stream = self.lstm.stream()
        for character in prompt:
            h = stream.step(self.embedding(character))
        for _ in range(count):
            scores = self.linear(h).astype(np.float64) / temperature
            scores[0] = -np.inf  # the unknown character is nothing to write
            p = np.exp(scores - scores.max())
            character = rng.choice(len(p), p=p / p.sum())
            yield int(character)
            h = stream.step(self.embedding(character))


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


def windows(text: Indices, batch: int, steps: int) -> Iterator[tuple[Indices, Indices, bool]]:
    """Yield (inputs, targets, start) without end, both (steps, batch).

    The text is cut into `batch` streams, read side by side; a window goes on where the one before
    ended, except where `start` is true.
    """
    length = (len(text) - 1) // batch
    steps = min(steps, length)
    inputs = text[: batch * length].reshape(batch, length).T
    targets = text[1 : batch * length + 1].reshape(batch, length).T
    while True:
        for first in range(0, length - steps + 1, steps):
            yield inputs[first : first + steps], targets[first : first + steps], first == 0


@dataclass
class Settings:
    """What the command line sets."""

    steps: int
    hidden_size: int
    text: Path | None = None
    seed: int = 0
    batch: int = 32
    window: int = 64
    lr: float = 4e-3


def train(model: CharacterModel, text: Indices, settings: Settings) -> int:
    """Train with a live bar; return the steps done. Ctrl-C ends it with what was learned so far.

    Raises
    ------
    FloatingPointError
        If the loss is no longer a number.
    """
    adam = Adam(model.layers)
    state, smooth, done = None, 0.0, 0
    started = time.perf_counter()
    bar = tqdm(total=settings.steps, unit="step", dynamic_ncols=True, mininterval=0.2)
    try:
        for inputs, targets, start in windows(text, settings.batch, settings.window):
            loss, state, gradients = model.loss_and_gradients(inputs, targets, None if start else state)
            if not np.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss} at step {done}: try a lower learning rate")
            clip_gradient_norm(gradients, 1.0)
            # A cosine from the full rate to a twentieth of it.
            adam.lr = settings.lr * (0.525 + 0.475 * np.cos(np.pi * done / settings.steps))
            adam.step(gradients)
            done += 1
            bits = loss / math.log(2)
            smooth = bits if done == 1 else 0.98 * smooth + 0.02 * bits
            rate = done * inputs.size / (time.perf_counter() - started)
            bar.set_postfix_str(f"{smooth:.3f} bits/char, {rate:,.0f} chars/s", refresh=False)
            bar.update()
            if done == settings.steps:
                break
    except KeyboardInterrupt:
        bar.write(f"stopped at step {done}; going on with what was learned so far", file=sys.stderr)
    finally:
        bar.close()
    return done


def run(settings: Settings) -> None:
    """Train, print held-out bits per character beside the baselines, and write.

    Raises
    ------
    ValueError
        If the text is too short.
    OSError, UnicodeDecodeError
        If the file of text can't be read.
    """
    text = manual() if settings.text is None else settings.text.read_text(encoding="utf-8")
    if len(text) < LEAST_CHARACTERS:
        raise ValueError(f"text: expected at least {LEAST_CHARACTERS} characters, got {len(text)}")
    cut = len(text) * 9 // 10
    vocabulary = Vocabulary(text[:cut])
    learned, held_out = vocabulary.encode(text[:cut]), vocabulary.encode(text[cut:])
    source = settings.text or "the Python reference manual"
    sizes = f"{cut:,} characters to learn from, {len(text) - cut:,} held out"
    print(f"{source}: {sizes}, {len(vocabulary)} different")
    model = CharacterModel(len(vocabulary), settings.hidden_size, rng=settings.seed)
    parameters = sum(layer.num_parameters for layer in model.layers)
    done = train(model, learned, settings)

    print("\nheld-out text                        bits per character")
    for name, bits in (
        ("uniform over the characters", math.log2(len(vocabulary))),
        ("2-gram model", bigram_bits(learned, held_out, len(vocabulary))),
        (f"LSTM, {parameters:,} numbers, {done:,} steps", model.bits_per_character(held_out)),
    ):
        print(f"{name:45}{bits:10.3f}")

    prompt = "The "
    print(f"\nand it writes:\n\n{prompt}", end="", flush=True)
    rng = np.random.default_rng(settings.seed)
    for character in model.write(vocabulary.encode(prompt), 400, 0.7, rng):
        print(vocabulary.decode(np.array([character])), end="", flush=True)
    print()
