"""The experiment on memory: its tasks, its networks, and what they learn."""

import re

import numpy as np
import pytest

from fastlstm.cli import main
from fastlstm.demos.memory import BLANK, CELLS, SIGNAL, TASKS, Settings, adding, copying, learn, network
from fastlstm.model.recurrent import Recurrent


def test_adding():
    x, y = adding(9, 50, np.random.default_rng(0))
    assert x.shape == (50, 9, 2)
    marks = x[..., 1]
    assert (marks[:, :4].sum(axis=1) == 1).all()
    assert (marks[:, 4:].sum(axis=1) == 1).all()
    np.testing.assert_allclose(y[:, 0], (x[..., 0] * marks).sum(axis=1), rtol=1e-6)
    assert 0.1 < np.mean((y - 1) ** 2) < 0.25


def test_copying():
    x, y = copying(5, 3, np.random.default_rng(0))
    assert x.shape == y.shape == (3, 25)
    assert np.array_equal(y[:, -10:], x[:, :10])
    assert (y[:, :-10] == BLANK).all()
    assert (x[:, 14] == SIGNAL).all()
    assert (x[:, 10:14] == BLANK).all()
    assert x[:, :10].max() < BLANK


def recurrent(model):
    """Return the place and the layer of a network that carries a state."""
    return next((k, layer) for k, layer in enumerate(model.layers) if isinstance(layer, Recurrent))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("task", sorted(TASKS))
def test_networks_are_as_large(task, cell):
    lstm, other = (network(TASKS[task], CELLS[name], 20, seed=0) for name in ("LSTM", cell))
    assert 1 <= other.num_parameters / lstm.num_parameters < 1.1
    assert recurrent(lstm)[1].hidden_size == 20


def test_the_gates_that_begin_open():
    lstm, plain = (network(TASKS["adding"], CELLS[name], 20, seed=0) for name in ("LSTM", "LSTM-plain"))
    name = f"{recurrent(lstm)[0]}.bias_ih_l0"
    assert (lstm.parameters[name][20:40] == 1).all()
    assert (plain.parameters[name][20:40] < 0.5).all()
    assert np.array_equal(lstm.parameters[name][40:], plain.parameters[name][40:])


def test_an_lstm_remembers_what_an_rnn_forgets():
    settings = Settings(steps=1500, hidden=24, lr=5e-3)
    lstm, rnn = (learn(TASKS["adding"], CELLS[name], 40, settings) for name in ("LSTM", "RNN"))
    assert lstm.steps is not None
    assert lstm.curve[-1] < 0.01
    assert rnn.steps is None
    assert min(rnn.curve) > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_adding_over_200_steps(seed):
    """Of ten seeds nine have to be there within 6,000 steps; each by itself is let off nothing here."""
    assert learn(TASKS["adding"], CELLS["LSTM"], 200, Settings(seed=seed)).steps is not None


def test_command(tmp_path, capsys):
    picture = tmp_path / "curves.svg"
    arguments = ["--task", "copying", "--gaps", "3", "5", "--steps", "200", "--hidden", "8"]
    assert main(["demo", "memory", *arguments, "--picture", str(picture)]) == 0
    shown = capsys.readouterr().out
    assert len(re.findall(r"^ +[35] +(?:LSTM|RNN) +0\.\d{4} +not learned$", shown, re.MULTILINE)) == 4
    assert "remembering nothing has 0.125" in shown
    drawn = picture.read_text(encoding="utf-8")
    assert all(text in drawn for text in ("LSTM", "RNN", "gap of 3", "gap of 5"))


def test_cells_are_chosen_by_name(capsys):
    arguments = ["--cell", "gru", "LSTM", "lstm-plain", "--gaps", "3", "--steps", "100", "--hidden", "8"]
    assert main(["demo", "memory", *arguments]) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"^ +3 +(\S+) ", shown, re.MULTILINE) == ["GRU", "LSTM", "LSTM-plain"]
    with pytest.raises(SystemExit):
        main(["demo", "memory", "--cell", "transformer"])
    assert "invalid choice: 'transformer' (choose from" in capsys.readouterr().err


def test_a_gap_needs_two_steps(capsys):
    assert main(["demo", "memory", "--gaps", "50", "1"]) == 2
    assert "gaps: expected at least 2 steps, got 1" in capsys.readouterr().err
