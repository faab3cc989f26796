"""The demo classify: its data, its model, its table."""

import dataclasses
import sys

import numpy as np
import pytest
from support import pictures

import fastlstm
from fastlstm.cli import main
from fastlstm.demos import classify
from fastlstm.demos.classify import Runs, Settings
from fastlstm.training import Callback, predict

pytest.importorskip("aeon", reason="needs the extra demo")

QUICK = Settings(seeds=1, epochs=6)


@pytest.fixture(scope="module")
def data():
    return classify.standardised(classify.utterances("train"), classify.utterances("test"))


def test_data(data):
    train, test = data
    assert (len(train), len(test)) == (270, 370)
    assert np.bincount(train.y).tolist() == [30] * 9
    assert set(test.y) == set(range(9))
    lengths = [len(x) for x in train.x + test.x]
    assert (min(lengths), max(lengths)) == (7, 29)
    frames = np.concatenate(train.x)
    assert np.allclose(frames.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(frames.std(axis=0), 1, atol=1e-5)


def test_it_learns(data):
    train, test = data
    model = classify.classifier(QUICK, 0)
    classify.learn(model, train, QUICK, 0)
    assert classify.accuracy(predict(model, test.x), test.y) > 0.9


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_it_learns_in_fewer_bits(data, precision):
    share, _ = classify.ours(*data, dataclasses.replace(QUICK, precision=precision), seed=0)
    assert share > 0.9


@pytest.mark.parametrize("schedule", classify.SCHEDULES)
def test_lesson_is_what_fit_takes(data, schedule, monkeypatch):
    """Another library that follows the lesson trains as fit does."""
    train, _ = data
    settings = Settings(epochs=2, hidden=4, schedule=schedule)
    rates, batches = [], []

    class Rates(Callback):
        def on_step(self, progress):
            rates.append(progress.optimizer.lr)

    taken = classify.Samples.batch
    monkeypatch.setattr(classify.Samples, "batch", lambda self, k: batches.append(k) or taken(self, k))
    fit = classify.fit
    monkeypatch.setattr(classify, "fit", lambda *some, **others: fit(*some, callbacks=[Rates()], **others))
    model = classify.classifier(settings, 0)
    classify.learn(model, train, settings, seed=3)
    steps = list(classify.lesson(model, train, settings, seed=3))
    assert len(steps) == len(batches) == 20
    assert all(np.array_equal(chosen, batch) for (chosen, _), batch in zip(steps, batches, strict=True))
    # A schedule sets the next step's rate before the callback sees it.
    assert [rate for _, rate in steps[1:]] == rates[:-1]


def test_parts_have_as_many_of_each_speaker(data):
    train, _ = data
    part = classify.parts(train.y, np.random.default_rng(0))
    assert (np.histogram2d(train.y, part, bins=(9, 5))[0] == 6).all()


def test_cross_validation_is_better_than_chance():
    accuracies = classify.cross_validate(Settings(epochs=4, hidden=16, lr=1e-2), repeats=1)
    assert accuracies.shape == (1, 5)
    assert accuracies.mean() > 0.5


def test_table_by_hand():
    ours = Runs(np.array([0.97, 0.99]), np.array([1.0, 3.0]))
    theirs = Runs(np.array([0.96, 0.96]), np.array([4.0, 4.0]))
    *_, first, second, difference, share = classify.table({"fastlstm": ours, "PyTorch": theirs}).splitlines()
    assert first.split() == ["fastlstm", "98.00", "1.00", "97.00", "99.00", "1.00", "2.00"]
    assert second.split() == ["PyTorch", "96.00", "0.00", "96.00", "96.00", "4.00", "4.00"]
    assert difference.split() == ["difference", "+2.00", "1.00"]
    assert share.split()[-2:] == ["0.25", "0.50"]


def test_picture():
    script = pictures()
    told, over = script.heard(Settings(epochs=3, hidden=16, lr=1e-2))
    assert told.shape == over.shape == (29,)
    assert told[-1] > told[0] > 0
    assert over[5] == 0 < over[6] < over[-1] == 1
    (ax,) = script.draw_heard(told, over).axes
    assert ax.lines[0].get_ydata() == pytest.approx(100 * told)


def test_command_without_torch(capsys, monkeypatch, threads):
    monkeypatch.setattr(classify, "find_spec", lambda name: None)
    before = fastlstm.get_num_threads()
    assert main(["demo", "classify", "--seeds", "1", "--epochs", "1", "--hidden", "8", "--threads", "1"]) == 0
    shown = capsys.readouterr().out
    assert "270 utterances of 9 men to learn from, 370 held out, 7 to 29 steps each" in shown
    assert "PyTorch       is not installed" in shown
    assert fastlstm.get_num_threads() == before


def test_command_without_aeon(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "aeon.datasets", None)
    assert main(["demo", "classify"]) == 2
    assert "pip install 'fastlstm[demo]'" in capsys.readouterr().err
