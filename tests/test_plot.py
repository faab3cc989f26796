"""Pictures: what the axes hold. What they look like, only eyes can tell."""

import importlib
import io
import re
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import fastlstm
from fastlstm import plot
from fastlstm.inspection import gradient_reach
from fastlstm.plot import diagrams

x = np.random.default_rng(0).standard_normal((7, 3))
lstm = fastlstm.LSTM(3, 5, num_layers=2, bidirectional=True, proj_size=2, rng=0)


def drawn(ax):
    """Draw the axes' figure with nothing but memory to draw on."""
    ax.get_figure(root=True).savefig(io.BytesIO(), format="png")
    return ax


class TestTrace:
    def test_panels_hold_the_arrays(self):
        trace = lstm.trace(x)
        axes = plot.trace(trace, layer=1, direction=1)
        assert list(axes) == ["i", "f", "g", "o", "c", "h"]
        drawn(axes["i"])
        for name, ax in axes.items():
            (image,) = ax.images
            array = getattr(trace[1, 1], name)
            assert np.array_equal(image.get_array(), array.T)
            assert ax.get_ylim() == (array.shape[1] - 0.5, -0.5)
            high = 1 if name in "ifo" else np.abs(array).max()
            assert image.get_clim() == pytest.approx((0 if name in "ifo" else -high, high))
            assert ax.get_title(loc="left").startswith(f"{name}: ")

    def test_rnn_has_one_panel(self):
        axes = plot.trace(fastlstm.RNN(3, 5, rng=0).trace(x))
        assert list(axes) == ["h"]

    def test_slstm_has_its_own_states(self):
        axes = plot.trace(fastlstm.SLSTM(3, 5, rng=0).trace(x))
        titles = {name: ax.get_title("left") for name, ax in axes.items()}
        assert titles["n"] == "n: normaliser"
        assert titles["z"] == "z: candidate"
        assert set(titles) == {"i", "f", "z", "o", "s", "c", "n", "m", "h"}

    @pytest.mark.parametrize(("reset_after", "last"), [(True, "n_h"), (False, "rh")])
    def test_gru_has_its_own_gates(self, reset_after, last):
        axes = plot.trace(fastlstm.GRU(3, 5, reset_after=reset_after, rng=0).trace(x))
        assert list(axes) == ["h", "n", "r", "z", last]
        assert drawn(axes["z"]).images[0].get_clim() == (0, 1)
        assert len(axes["h"].get_figure().axes) == 2 * len(axes)  # each with its bar of colours

    def test_labels_under_each_step(self):
        axes = plot.trace(lstm.trace(x), labels="letters")
        drawn(axes["i"])
        for ax in axes.values():
            assert [text.get_text() for text in ax.get_xticklabels()] == list("letters")

    def test_on_a_given_figure(self):
        left, right = Figure(figsize=(12, 6), layout="constrained").subfigures(1, 2)
        trace = lstm.trace(x)
        for layer, figure in enumerate((left, right)):
            axes = plot.trace(trace, layer, figure=figure)
            assert all(ax.get_figure(root=False) is figure for ax in axes.values())

    def test_zeros(self):
        steps = fastlstm.RNN(3, 5, bias=False, rng=0).trace(np.zeros((4, 3)))
        assert drawn(plot.trace(steps)["h"]).images[0].get_clim() == (-1, 1)

    @pytest.mark.parametrize(
        ("call", "sentence"),
        [
            (
                lambda: plot.trace(lstm.trace(x[:, None])),
                "trace: expected that of one sequence, trace.sequence(b), got a batch of 1",
            ),
            (lambda: plot.trace(lstm.trace(x[:0])), "trace: expected at least one step, got none"),
            (lambda: plot.trace(lstm.trace(x), 2), "layer, direction: expected one of (0, 0), (0, 1)"),
            (
                lambda: plot.trace(lstm.trace(x), labels="ab"),
                "labels: expected one for each of 7 steps, got 2",
            ),
        ],
    )
    def test_refusals(self, call, sentence):
        with pytest.raises(ValueError, match=re.escape(sentence)):
            call()

    @pytest.mark.parametrize(
        ("call", "sentence"),
        [
            (lambda: plot.trace(None), "trace: expected a Trace, as model.trace(x) returns it, got NoneType"),
            (lambda: plot.trace(lstm.trace(x), labels=3), "labels: expected a sequence of strings, got int"),
            (lambda: plot.trace(lstm.trace(x), figure=3), "figure: expected a matplotlib figure, got int"),
        ],
    )
    def test_refusals_of_a_kind(self, call, sentence):
        with pytest.raises(TypeError, match=re.escape(sentence)):
            call()


def test_reach():
    models = {"RNN": fastlstm.RNN(3, 5, rng=0), "LSTM": fastlstm.LSTM(3, 5, rng=0)}
    curves = {name: gradient_reach(model, x) for name, model in models.items()}
    ax = drawn(plot.reach(curves))
    assert ax.get_yscale() == "log"
    assert [line.get_label() for line in ax.lines] == ["RNN", "LSTM"]
    for line, curve in zip(ax.lines, curves.values(), strict=True):
        assert np.array_equal(line.get_xdata(), np.arange(7))
        assert np.array_equal(line.get_ydata(), curve)


def test_reach_that_ends():
    ax = drawn(plot.reach({"short": np.array([1.0, 0.1, 0.0])}))
    assert np.array_equal(ax.lines[0].get_ydata(), [1.0, 0.1, np.nan], equal_nan=True)


def test_history():
    numbers = {"loss": [3.0, 2.0], "accuracy": [0.1, 0.4], "val_loss": [4.0, 3.5]}
    ax = drawn(plot.history(numbers))
    lines = {line.get_label(): line for line in ax.lines}
    assert {name: list(line.get_ydata()) for name, line in lines.items()} == numbers
    assert list(lines["loss"].get_xdata()) == [1, 2]
    assert lines["loss"].get_color() == lines["val_loss"].get_color() != lines["accuracy"].get_color()
    assert lines["val_loss"].get_linestyle() == "--"


@pytest.mark.parametrize("function", [plot.reach, plot.history])
def test_curves_on_given_axes(function):
    ax = Figure().subplots()
    assert function({"loss": [1.0, 2.0]}, ax=ax) is ax
    with pytest.raises(ValueError, match=re.escape("'loss': expected a vector, got shape (1, 1)")):
        function({"loss": [[1.0]]})
    with pytest.raises(TypeError, match="'loss': expected an array of floats"):
        function({"loss": ["high"]})
    assert not drawn(function({})).lines
    for wrong in (None, [], "loss"):
        with pytest.raises(TypeError, match=r"(curves|history): expected a mapping of .+, got "):
            function(wrong)
    with pytest.raises(TypeError, match="ax: expected axes of matplotlib, got str"):
        function({}, ax="here")


GATES = ["forget", "input", "candidate"]


@pytest.mark.parametrize(
    ("function", "layers", "operations"),
    [
        (plot.rnn_module, ["new state"], ""),
        (plot.lstm_module, [*GATES, "output"], "+ × × × tanh"),
        (plot.peepholes_module, [*GATES, "output"], "+ × × × tanh"),
        (plot.input_forget_module, [*GATES[1:], "output"], "+ 1- × × × tanh"),
        (plot.layer_norm_module, ["of h", "of x", "norm", "norm", "norm"], "+ + × × × tanh tanh σ σ σ"),
        (plot.gru_module, ["of h", "reset", "candidate", "update"], "+ 1- × × ×"),
        (plot.slstm_module, [*GATES, "output"], "+ + × × × × ÷"),
    ],
)
def test_modules(function, layers, operations):
    ax = Figure(figsize=(9, 4)).subplots()
    assert function(ax) is ax
    texts = [text.get_text() for text in drawn(ax).texts]
    assert [text for text in texts if text.isascii() and text.replace(" ", "").isalpha()] == layers
    circles = [patch for patch in ax.patches if isinstance(patch, mpl.patches.Circle)]
    at = {tuple(text.get_position()): text.get_text().strip("$") for text in ax.texts}
    signs = {r"\times": "×", r"\div": "÷", r"\tanh": "tanh", r"\sigma": "σ"}
    symbols = [at[circle.center] for circle in circles]
    assert sorted(signs.get(symbol, symbol) for symbol in symbols) == sorted(operations.split())
    for name in ("$x_t$", "$h_{t-1}$", "$h_t$"):
        assert name in texts


def test_every_module_is_handed_out():
    assert set(diagrams.__all__) <= set(plot.__all__)
    with pytest.raises(TypeError, match="ax: expected axes of matplotlib, got str"):
        plot.gru_module("here")


def test_nothing_global_changes():
    before = dict(mpl.rcParams)
    pyplot_loaded = "matplotlib.pyplot" in sys.modules
    plot.trace(lstm.trace(x))
    plot.reach({"loss": [1.0]})
    plot.lstm_module(Figure().subplots())
    assert dict(mpl.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == pyplot_loaded


def test_without_matplotlib(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "fastlstm.plot")
    with pytest.raises(ImportError, match=re.escape("pip install 'fastlstm[plot]'")):
        importlib.import_module("fastlstm.plot")
