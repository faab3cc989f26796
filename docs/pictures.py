"""Make the pictures of understanding-lstms.md: `python docs/pictures.py`, about a minute."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import fastlstm
from fastlstm import plot
from fastlstm.inspection import gradient_reach
from fastlstm.training import Adam, clip_gradient_norm, softmax_cross_entropy

LETTERS, NOISE, ASK = "ABCD", "xyz", "?"
ALPHABET = LETTERS + NOISE + ASK
LENGTH, HIDDEN, BATCH = 20, 8, 32
STEPS_A_POINT = 100
COLOURS = ("#2f6690", "#c8553d", "#588157", "#e09f3e")

Model = fastlstm.LSTM | fastlstm.RNN


# The task: remember the last capital letter until asked


def encode(text: str) -> np.ndarray:
    """Return a text as (T, 8), a 1 in the column of each character."""
    return np.eye(len(ALPHABET), dtype=np.float32)[[ALPHABET.index(character) for character in text]]


def draw_texts(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a batch of texts (T, B, 8) and the letter (B,) that each should end with.

    A text begins with a letter; in every other one a second letter, somewhere in the first half, takes its
    place. All else is noise, but for the question at the end.
    """
    characters = rng.integers(len(LETTERS), len(LETTERS + NOISE), (LENGTH, BATCH))
    first, second = rng.integers(0, len(LETTERS), (2, BATCH))
    replaced = rng.random(BATCH) < 0.5
    characters[0] = first
    characters[rng.integers(1, LENGTH // 2, BATCH)[replaced], replaced] = second[replaced]
    characters[-1] = ALPHABET.index(ASK)
    return np.eye(len(ALPHABET), dtype=np.float32)[characters], np.where(replaced, second, first)


def learn(model: Model, steps: int, seed: int) -> list[float]:
    """Train a model, with a linear layer that reads its last output; return the losses."""
    rng = np.random.default_rng(seed)
    linear = fastlstm.Linear(HIDDEN, len(LETTERS), rng=rng)
    adam = Adam([model, linear], lr=0.01)
    losses = []
    for _ in range(steps):
        x, target = draw_texts(rng)
        h, _, tape = model.forward(x)
        scores, linear_tape = linear.forward(h[-1])
        loss, d_scores = softmax_cross_entropy(scores, target)
        of_linear = linear_tape.backward(d_scores)
        dh = np.zeros_like(h)
        dh[-1] = of_linear.input
        gradients = [tape.backward(dh).parameters, of_linear.parameters]
        clip_gradient_norm(gradients, 1.0)
        adam.step(gradients)
        losses.append(loss)
    return losses


def rnn(seed: int) -> Model:
    """Return a plain RNN as it begins."""
    return fastlstm.RNN(len(ALPHABET), HIDDEN, rng=seed)


def lstm(seed: int) -> Model:
    """Return an LSTM as it begins."""
    return fastlstm.LSTM(len(ALPHABET), HIDDEN, rng=seed)


def open_lstm(seed: int) -> Model:
    """Return an LSTM that begins with forget gates nearly open: their bias is 1 more."""
    model = lstm(seed)
    bias = model.parameters["bias_ih_l0"].copy()
    bias[HIDDEN : 2 * HIDDEN] += 1  # gate order i, f, g, o
    return model.update({"bias_ih_l0": bias})


KINDS = {"RNN": rnn, "LSTM": lstm, "LSTM, forget bias 1": open_lstm}


# The pictures


def draw_module(module) -> Figure:
    """Draw the repeating module of a plain RNN or of an LSTM."""
    figure = Figure(figsize=(9, 3.9), layout="constrained")
    module(figure.subplots())
    return figure


def draw_trace(model: fastlstm.LSTM) -> Figure:
    """Draw all gates and cells while a text is read."""
    text = "BxyzzyxDyxzxyzzyxyz?"
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    plot.trace(model.trace(encode(text)), labels=text, figure=figure)
    return figure


def draw_memory(model: fastlstm.LSTM) -> Figure:
    """Draw the cell that tells the letters apart best, and its forget gate, for texts with each letter."""
    texts = [letter + "xyzzyxzyxzxyzzyxyz?" for letter in LETTERS]
    steps = model.trace(np.stack([encode(text) for text in texts], axis=1))[0, 0]
    unit = int(np.ptp(steps.c[-1], axis=0).argmax())
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    cell, forget = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for b, letter in enumerate(LETTERS):
        cell.plot(steps.c[:, b, unit], color=COLOURS[b], label=letter)
        forget.plot(steps.f[:, b, unit], color=COLOURS[b])
    cell.set_ylabel(f"cell state of unit {unit}")
    cell.legend(title="first letter", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    forget.set_ylabel("its forget gate")
    forget.set_ylim(-0.05, 1.05)
    forget.set_xticks(range(LENGTH), ["•", *texts[0][1:]])
    for ax in (cell, forget):
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def draw_reach(learned: fastlstm.LSTM) -> Figure:
    """Draw how far back the gradient reaches in models as they begin, and in one that has learned."""
    rng = np.random.default_rng(0)
    texts = rng.choice(list(LETTERS + NOISE), (16, 60))
    x = np.stack([encode("".join(text)) for text in texts], axis=1)
    curves = {name: gradient_reach(make(0), x) for name, make in KINDS.items()}
    quiet = np.stack([encode("".join(text)) for text in rng.choice(list(NOISE), (16, 60))], axis=1)
    curves["that LSTM, after learning"] = gradient_reach(learned, quiet)
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    plot.reach(curves, ax=figure.subplots())
    return figure


def draw_learning(losses: dict[str, np.ndarray]) -> Figure:
    """Draw the mean loss of each kind of model, (seeds, steps), while it learned."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    points = {name: of.reshape(len(of), -1, STEPS_A_POINT).mean(axis=(0, 2)) for name, of in losses.items()}
    ax = plot.history(points, ax=figure.subplots())
    ax.axhline(np.log(len(LETTERS)), color="grey", linestyle=":", linewidth=1)
    ax.set_xlabel(f"training steps, in {STEPS_A_POINT}s")
    ax.set_ylabel("loss, in nats (dotted: guessing)")
    ax.set_ylim(bottom=0)
    return figure


def write(figure: Figure, path: Path) -> None:
    """Write a picture whole, the same bytes for the same picture."""
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with mpl.rc_context({"svg.hashsalt": "fastlstm"}):
        figure.savefig(partial, dpi=110, facecolor="white", metadata=metadata)
    os.replace(partial, path)


def main(folder: Path, points: int = 15, seeds: int = 4) -> None:
    """Train every kind of model from several seeds and write all pictures to `folder`."""
    losses, models = {}, {}
    for name, make in KINDS.items():
        models[name] = [make(seed) for seed in range(seeds)]
        losses[name] = np.array(
            [learn(model, points * STEPS_A_POINT, seed) for seed, model in enumerate(models[name])]
        )
    learned = models["LSTM, forget bias 1"][
        losses["LSTM, forget bias 1"][:, -STEPS_A_POINT:].mean(axis=1).argmin()
    ]
    for name, figure in {
        "rnn-module.svg": draw_module(plot.rnn_module),
        "lstm-module.svg": draw_module(plot.lstm_module),
        "trace.png": draw_trace(learned),
        "memory.svg": draw_memory(learned),
        "reach.svg": draw_reach(learned),
        "learning.svg": draw_learning(losses),
    }.items():
        write(figure, folder / name)


if __name__ == "__main__":
    main(Path(__file__).parent / "pictures")
