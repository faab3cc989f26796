"""Make the pictures of the pages: `python docs/pictures.py`, some minutes; needs the extra `demo`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import fastlstm
from fastlstm import plot
from fastlstm.demos import baselines, classify, forecast, language, memory, series
from fastlstm.demos.options import to_learn
from fastlstm.demos.picture import write_picture
from fastlstm.inspection import gradient_reach
from fastlstm.training import Adam, History, clip_gradient_norm, predict

HIDDEN = 8
STEPS_A_POINT = 100

Array = np.ndarray
Model = fastlstm.LSTM | fastlstm.RNN | fastlstm.GRU | fastlstm.SLSTM
Task = Callable[[np.random.Generator], tuple[Array, Array, Array]]


# The game: numbers come by, some of them marked; say the last one that was marked


def last_marked(x: Array) -> Array:
    """Return the last marked number so far (T, B) of numbers and marks x (T, B, 2)."""
    steps = np.arange(len(x))[:, None]
    at = np.maximum.accumulate(np.where(x[..., 1] > 0, steps, 0), axis=0)
    return np.take_along_axis(x[..., 0], at, axis=0)


def draw(rng: np.random.Generator, steps: int, batch: int, share: float) -> Array:
    """Return x (steps, batch, 2): numbers, and 1 beside those that are marked, as each first one is."""
    marks = rng.random((steps, batch)) < share
    marks[0] = True
    return np.stack([rng.uniform(-1, 1, (steps, batch)), marks], axis=-1).astype(np.float32)


def asked_all_along(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Return x, the answer at every step, and which answers count: all."""
    x = draw(rng, 60, 32, 0.04)
    answers = last_marked(x)
    return x, answers, np.ones_like(answers)


def asked_at_the_end(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Return x with marks in its first half only, the answers, and which count: the last."""
    x = draw(rng, 20, 32, 0.1)
    x[10:, :, 1] = 0
    answers = last_marked(x)
    counts = np.zeros_like(answers)
    counts[-1] = 1
    return x, answers, counts


def learn(
    model: Model, task: Task, steps: int, lr: float, seed: int, linear: fastlstm.Linear | None = None
) -> list[float]:
    """Train a model, with a linear layer over its outputs, on squared error; return the losses."""
    rng = np.random.default_rng(seed)
    linear = linear or fastlstm.Linear(model.hidden_size, 1, rng=rng)
    adam = Adam([model, linear])
    losses = []
    for step in range(steps):
        x, answers, counts = task(rng)
        h, _, tape = model.forward(x)
        said, linear_tape = linear.forward(h)
        errors = (said[..., 0] - answers) * counts
        losses.append(float((errors**2).sum() / counts.sum()))
        of_linear = linear_tape.backward((2 * errors / counts.sum())[..., None])
        gradients = [tape.backward(of_linear.input).parameters, of_linear.parameters]
        clip_gradient_norm(gradients, 1.0)
        adam.lr = lr * (0.525 + 0.475 * np.cos(np.pi * step / steps))
        adam.step(gradients)
    return losses


def rnn(hidden_size: int, seed: int) -> Model:
    """Return a plain RNN as it begins."""
    return fastlstm.RNN(2, hidden_size, rng=seed)


def gru(hidden_size: int, seed: int) -> Model:
    """Return a GRU as it begins."""
    return fastlstm.GRU(2, hidden_size, rng=seed)


def slstm(hidden_size: int, seed: int) -> Model:
    """Return an sLSTM as it begins."""
    return fastlstm.SLSTM(2, hidden_size, rng=seed)


def lstm(hidden_size: int, seed: int, **options: Any) -> Model:
    """Return an LSTM, or a variant, as it begins."""
    return fastlstm.LSTM(2, hidden_size, rng=seed, **options)


def open_lstm(hidden_size: int, seed: int, **options: Any) -> Model:
    """Return an LSTM that begins with its forget gates further open: their bias is 1 more."""
    model = lstm(hidden_size, seed, **options)
    bias = model.parameters["bias_ih_l0"].copy()
    bias[hidden_size : 2 * hidden_size] += 1  # the gates' order is i, f, g, o
    return model.update({"bias_ih_l0": bias})


KINDS = {"RNN": rnn, "LSTM": lstm, "LSTM, forget bias 1": open_lstm}
VARIANTS = {
    "GRU": gru,
    "peepholes": partial(open_lstm, peepholes=True),
    "input_forget": partial(lstm, input_forget=True),
    "layer_norm": partial(open_lstm, layer_norm=True),
    "SLSTM": slstm,
    "zoneout=0.1": partial(open_lstm, zoneout=0.1),
    "recurrent_dropout=0.1": partial(open_lstm, recurrent_dropout=0.1),
    "weight_drop=0.1": partial(open_lstm, weight_drop=0.1),
    "heads=4": partial(open_lstm, heads=4),
}
"""What variants.md compares with the last of `KINDS`."""


# The pictures of understanding-lstms.md


def draw_module(module: Callable[[Axes], Axes]) -> Figure:
    """Draw a repeating module."""
    figure = Figure(figsize=(9, 3.9), layout="constrained")
    module(figure.subplots())
    return figure


def tidy(ax: Axes) -> None:
    """Leave out what tells nothing."""
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)


def signed(number: float) -> str:
    """Return a number with its sign, as books print it."""
    return f"{number:+.1f}".replace("-", "−")


def draw_trace(model: Model) -> Figure:
    """Draw all gates and cells while numbers come by, three of them marked."""
    x = draw(np.random.default_rng(5), 30, 1, 0)[:, 0]
    x[[0, 10, 20]] = [(0.8, 1), (-0.6, 1), (0.3, 1)]
    labels = [signed(number) if mark else "" for number, mark in x]
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    plot.trace(model.trace(x), labels=labels, figure=figure)
    return figure


def draw_memory(model: Model) -> Figure:
    """Draw the cell that tells the first number best, and its forget gate, for several first numbers."""
    x = np.repeat(draw(np.random.default_rng(1), 40, 1, 0), 5, axis=1)
    x[0, :, 0] = [0.8, 0.4, 0, -0.4, -0.8]
    steps = model.trace(x)[0, 0]
    unit = int(np.ptp(steps.c[-1], axis=0).argmax())
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    cell, forget = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.9, x.shape[1]))
    for b, colour in enumerate(colours):
        cell.plot(steps.c[:, b, unit], color=colour, label=signed(x[0, b, 0]))
        forget.plot(steps.f[:, b, unit], color=colour)
    cell.set_ylabel(f"cell state of unit {unit}")
    cell.legend(title="first number", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    forget.set_ylabel("its forget gate")
    forget.set_ylim(-0.05, 1.05)
    forget.set_xlabel("step")
    for ax in (cell, forget):
        tidy(ax)
    return figure


def draw_reach(learned: Model) -> Figure:
    """Draw how far back the gradient reaches in models as they begin, and in one that has learned."""
    x = draw(np.random.default_rng(0), 60, 32, 0)
    curves = {name: gradient_reach(make(HIDDEN, 0), x) for name, make in KINDS.items()}
    curves["the same, after learning"] = gradient_reach(learned, x)
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    plot.reach(curves, ax=figure.subplots())
    return figure


def draw_learning(losses: dict[str, Array]) -> Figure:
    """Draw the mean loss of each kind of model, (seeds, steps), while it learned."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    points = {name: of.reshape(len(of), -1, STEPS_A_POINT).mean(axis=(0, 2)) for name, of in losses.items()}
    ax = plot.history(points, every=STEPS_A_POINT, ax=figure.subplots())
    ax.lines[0].set(linewidth=6, alpha=0.4)  # the RNN's curve lies under the LSTM's
    ax.legend(frameon=False, loc="center right")
    ax.set_ylabel("squared error")
    ax.set_ylim(bottom=0)
    return figure


# The pictures of variants.md


def before_and_after(make: Callable[[int, int], Model], steps: int, seeds: int) -> tuple[Array, Array]:
    """Return how far back the gradient reaches in models as they begin, and when they have learned."""
    x = draw(np.random.default_rng(0), 60, 32, 0)
    before, after = [], []
    for seed in range(seeds):
        model = make(HIDDEN, seed)
        before.append(gradient_reach(model, x))
        learn(model, asked_at_the_end, steps, 0.01, seed)
        after.append(gradient_reach(model, x))
    return geometric_mean(before), geometric_mean(after)


def geometric_mean(curves: list[Array]) -> Array:
    """Return what is in the middle of curves where it is factors that count."""
    return np.exp(np.log(curves).mean(axis=0))


def draw_variants(plain: tuple[Array, Array], variants: dict[str, tuple[Array, Array]]) -> Figure:
    """Draw how far back the gradient reaches, variant by variant before the plain LSTM."""
    columns = 3
    figure = Figure(figsize=(10, 8.5), layout="constrained")
    panels = figure.subplots(-(-len(variants) // columns), columns, sharex=True, sharey=True)
    for ax, (name, curves) in zip(panels.flat, variants.items(), strict=False):
        for colour, (before, after) in (("0.65", plain), ("C0", curves)):
            plot.reach({"as it begins": before, "after learning": after}, ax=ax)
            for line, style in zip(ax.lines[-2:], ("--", "-"), strict=True):
                line.set(color=colour, linestyle=style)
        ax.set_title(name, fontsize=11)
        ax.get_legend().remove()
        ax.label_outer()
    panels[0, 0].legend(
        panels[0, 0].lines[2:], ("as it begins", "after learning"), frameon=False, loc="lower left"
    )
    for ax in panels.flat[len(variants) :]:
        ax.remove()
    return figure


# The picture of training.md


def draw_training(history: History) -> Figure:
    """Draw the losses of the page's example over its epochs, and where its best weights are from."""
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    losses = {"loss": history["loss"], "val_loss": history["val_loss"]}
    ax = plot.history(losses, ax=figure.subplots())
    ax.lines[1].set_label("val_loss: of held-out tones")
    ax.axvline(history.best_epoch, color="0.5", linewidth=1, label="best epoch, whose weights stay")
    ax.legend(edgecolor="none", framealpha=1)
    ax.set_ylabel("cross-entropy")
    ax.set_ylim(bottom=0)
    return figure


# The picture of classify.md


def heard(settings: classify.Settings, seed: int = 0) -> tuple[Array, Array]:
    """Return, for each number of first steps, which shares of the utterances they tell apart, and end."""
    train, test = classify.standardised(classify.utterances("train"), classify.utterances("test"))
    model = classify.classifier(settings, seed)
    classify.learn(model, train, settings, seed)
    lengths = np.array([len(x) for x in test.x])
    steps = range(1, lengths.max() + 1)
    scores = [predict(model, [x[:count] for x in test.x]) for count in steps]
    told = [classify.accuracy(score, test.y) for score in scores]
    return np.array(told), np.array([(lengths <= count).mean() for count in steps])


def draw_heard(told: Array, over: Array) -> Figure:
    """Draw how soon a speaker is told, and how soon the utterances are over."""
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    ax = figure.subplots()
    steps = np.arange(1, len(told) + 1)
    ax.plot(steps, 100 * told, marker="o", markersize=4, label="told apart by so many steps")
    ax.plot(steps, 100 * over, color="0.5", linestyle="--", label="over after so many steps")
    ax.axhline(100 / classify.SPEAKERS, color="0.5", linewidth=1, linestyle=":", label="by chance")
    ax.set_xlabel("steps that the model reads")
    ax.set_ylabel("% of the held-out utterances")
    ax.legend(frameon=False, loc="center right")
    tidy(ax)
    return figure


# The picture of forecast.md


def draw_forecasts(settings: forecast.Settings, every: tuple[series.Series, ...]) -> Figure:
    """Draw the last forecast of each series, its interval, and what came."""
    figure = Figure(figsize=(9, 6.4), layout="constrained")
    for ax, of in zip(figure.subplots(len(every), squeeze=False).flat, every, strict=True):
        block = of.blocks()[-1]
        path = forecast.with_autoregression(block, settings, calibrated=True)[-1]
        line = baselines.autoregression(block)[-1]
        draw_last_forecast(ax, of, path, line)
    return figure


def draw_last_forecast(ax: Axes, of: series.Series, path: Array, line: Array) -> None:
    """Draw three periods and the forecasts of the last of them."""
    shown = 3 * of.period + 1
    ahead = of.times[-of.period :]
    ax.plot(of.times[-shown:], of.values[-shown:], color="black", linewidth=1.2, label="what came")
    ax.fill_between(ahead, path[:, 0], path[:, 2], alpha=0.25, linewidth=0, label="LSTM + AR: 80 % interval")
    ax.plot(ahead, path[:, 1], label="LSTM + AR: median")
    ax.plot(ahead, line[:, 1], linestyle="--", label="autoregression")
    ax.axvline(of.times[-of.period - 1], color="0.5", linewidth=1)
    ax.set_ylabel(f"{of.name}, {of.unit}")
    ax.set_xlabel("year")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    tidy(ax)


# The picture of precision.md


def learned_in(precision: str | None, settings: language.Settings, text: str) -> Array:
    """Return the bits per character of each step, of a model that learns a text in that precision."""
    vocabulary = language.Vocabulary(text)
    model = to_learn(language.character_model(len(vocabulary), settings.hidden, seed=0), precision)
    curve = language.LearningCurve()
    language.train(model, vocabulary.encode(text), settings, curve=curve)
    return np.array(curve.bits)


def draw_precision(settings: language.Settings, text: str) -> Figure:
    """Draw how models learn in float32 and in bfloat16, and the difference between their curves."""
    floats, rounded = (learned_in(precision, settings, text) for precision in (None, "bfloat16"))
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    ax, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    ax.plot(floats, linewidth=5, alpha=0.4, label="float32")
    ax.plot(rounded, linewidth=1.2, label="bfloat16")
    ax.set_ylabel("bits per character")
    ax.legend(frameon=False)
    below.plot(rounded - floats, color="black", linewidth=0.8)
    below.set_ylabel("difference")
    below.set_xlabel("training steps")
    for panel in (ax, below):
        tidy(panel)
    return figure


# All of them: the files of each page


def understanding(folder: Path, steps: int = 1500, seeds: int = 4) -> None:
    """Train what the page tells of, each kind of model from several seeds; write its pictures."""
    holder = open_lstm(3, seed=1)
    learn(holder, asked_all_along, 2 * steps, 0.02, seed=1)
    losses, models = {}, {}
    for name, make in KINDS.items():
        models[name] = [make(HIDDEN, seed) for seed in range(seeds)]
        losses[name] = np.array(
            [learn(model, asked_at_the_end, steps, 0.01, seed) for seed, model in enumerate(models[name])]
        )
    for name, figure in {
        "rnn-module.svg": draw_module(plot.rnn_module),
        "lstm-module.svg": draw_module(plot.lstm_module),
        "trace.png": draw_trace(holder),
        "memory.svg": draw_memory(holder),
        "reach.svg": draw_reach(models["LSTM, forget bias 1"][0]),
        "learning.svg": draw_learning(losses),
    }.items():
        write_picture(figure, folder / name)


def variants(folder: Path, steps: int = 1500, seeds: int = 4) -> None:
    """Draw the modules of the cells that the page tells of, and train each; write its pictures."""
    for name, module in {
        "gru-module.svg": plot.gru_module,
        "peepholes-module.svg": plot.peepholes_module,
        "input-forget-module.svg": plot.input_forget_module,
        "layer-norm-module.svg": plot.layer_norm_module,
        "slstm-module.svg": plot.slstm_module,
    }.items():
        write_picture(draw_module(module), folder / name)
    curves = {name: before_and_after(make, steps, seeds) for name, make in VARIANTS.items()}
    write_picture(draw_variants(before_and_after(open_lstm, steps, seeds), curves), folder / "variants.svg")


def training(folder: Path) -> None:
    """Run the page's own example, and draw how its model learned."""
    page = (Path(__file__).parent / "training.md").read_text(encoding="utf-8")
    example = page.partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    with TemporaryDirectory() as elsewhere, contextlib.chdir(elsewhere):
        exec(compile(example, "training.md", "exec"), names)
    write_picture(draw_training(names["history"]), folder / "training.svg")


def classified(folder: Path, **settings: Any) -> None:
    """Train the classifier; draw how soon it tells who speaks."""
    write_picture(draw_heard(*heard(classify.Settings(**settings))), folder / "classify.svg")


def forecasted(folder: Path, **settings: Any) -> None:
    """Draw the last forecasts of both series."""
    every = series.sunspots(), series.carbon_dioxide()
    write_picture(draw_forecasts(forecast.Settings(**settings), every), folder / "forecast.svg")


def remembered(folder: Path, gaps: tuple[int, ...] = (50, 100), steps: int = 2000) -> None:
    """Let the demo draw how each cell learns to add."""
    picture = folder / "adding.svg"
    memory.run(memory.Settings(cell=tuple(memory.CELLS), gaps=gaps, steps=steps, picture=picture))


def written(folder: Path, steps: int = 700) -> None:
    """Let the demo draw how its model learns to write."""
    language.run(language.Settings(steps=steps, picture=folder / "language.svg"))


def rounded(folder: Path, **settings: Any) -> None:
    """Draw how a model learns in bfloat16, beside float32."""
    write_picture(draw_precision(language.Settings(**settings), language.manual()), folder / "precision.svg")


PAGES: dict[str, Callable[[Path], None]] = {
    "understanding-lstms": understanding,
    "variants": variants,
    "training": training,
    "classify": classified,
    "forecast": forecasted,
    "memory": remembered,
    "language": written,
    "precision": rounded,
}
"""What writes the pictures of each page into a folder."""


def main(folder: Path, *pages: str) -> None:
    """Write the pictures of those pages, or of all."""
    for page in pages or PAGES:
        PAGES[page](folder)


if __name__ == "__main__":
    main(Path(__file__).parent / "pictures", *sys.argv[1:])
