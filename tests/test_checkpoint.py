"""Checkpoints: gone on with to the bit, refused where they belong to another run, whole after kill -9."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from support_fit import StopAfter, sequences, step_targets, steps_model, weights

import fastlstm
from fastlstm import LSTM, Dropout, Linear, Sequential
from fastlstm.training import (
    SGD,
    Averaging,
    CosineSchedule,
    EqualAverage,
    fit,
    mean_squared_error,
)
from fastlstm.training.checkpoint import Saved


def long_run(path=None, callbacks=(), epochs=4, bptt=None):
    """A run with all that has a state: dropout, order, schedule, momentum, an average, carried state."""
    x = sequences(np.random.default_rng(5).integers(1, 9, 14).tolist())
    model = Sequential(
        LSTM(3, 5, num_layers=2, dropout=0.3, rng=0),
        Dropout(0.2, rng=np.random.Generator(np.random.MT19937(0))),
        Linear(5, 2, rng=1),
    )
    average = EqualAverage(model)
    history = fit(
        model,
        (x, step_targets(x)),
        mean_squared_error,
        schedule=lambda optimizer, total: CosineSchedule(optimizer, 40),
        epochs=epochs,
        batch_size=3,
        validation=(x, step_targets(x, 2)),
        patience=3,
        bptt=bptt,
        callbacks=[Averaging(average), *callbacks],
        checkpoint=path,
        rng=np.random.Generator(np.random.Philox(3)),
    )
    curves = {name: history.get(name, []) for name in ("loss", "val_loss", "lr")}
    return weights(model), curves, average.state_dict()


@pytest.mark.parametrize("bptt", [None, 2])
@pytest.mark.parametrize("steps", [1, 5, 6, 11, 17])
def test_resumed_is_unbroken_to_the_bit(tmp_path, steps, bptt):
    path = tmp_path / "run"
    unbroken = long_run(callbacks=[StopAfter(0)], bptt=bptt)
    broken = long_run(path, callbacks=[StopAfter(steps)], bptt=bptt)
    assert len(broken[1]["loss"]) < 4
    resumed = long_run(path, callbacks=[StopAfter(0)], bptt=bptt)
    assert resumed[:2] == unbroken[:2]
    assert all(np.array_equal(resumed[2][name], array) for name, array in unbroken[2].items())


def test_a_finished_run_goes_on_with_more_epochs(tmp_path):
    path = tmp_path / "run"
    short = long_run(path, epochs=2)
    assert long_run(path, epochs=2)[:2] == short[:2]
    assert long_run(path, epochs=4)[:2] == long_run(epochs=4)[:2]


def test_another_runs_checkpoint_is_refused(tmp_path):
    x = sequences([3] * 4)
    data, path = (x, step_targets(x)), tmp_path / "run"
    fit(steps_model(), data, mean_squared_error, epochs=1, checkpoint=path)
    before = path.read_bytes()
    for model, options, sentence in (
        (LSTM(3, 2), {}, "run with model"),
        (steps_model(), {"batch_size": 3}, "run with batch_size 3, got one with 32"),
        (steps_model(), {"optimizer": SGD}, "run with optimizer 'SGD', got one with 'Adam'"),
    ):
        state = weights(model)
        with pytest.raises(ValueError, match=sentence):
            fit(model, data, mean_squared_error, checkpoint=path, **options)
        assert weights(model) == state
    assert path.read_bytes() == before
    path.write_bytes(before[:-3])
    with pytest.raises(ValueError, match="checkpoint: expected a checkpoint that this fastlstm's fit wrote"):
        fit(steps_model(), data, mean_squared_error, checkpoint=path)
    fastlstm.save(steps_model(), path)
    with pytest.raises(ValueError, match="format: expected 'fastlstm checkpoint', got 'fastlstm'"):
        fit(steps_model(), data, mean_squared_error, checkpoint=path)


KILLED = """
import sys, numpy as np, fastlstm
from fastlstm.training import mean_squared_error
x = np.random.default_rng(0).standard_normal((40, 5, 3))
model = fastlstm.LSTM(3, 200, proj_size=2, rng=0)
print("ready", flush=True)
data, path, epochs = (x, x[..., :2]), sys.argv[1], int(sys.argv[2])
options = dict(epochs=epochs, batch_size=4, checkpoint=path, checkpoint_every=0.0, rng=0)
fastlstm.fit(model, data, mean_squared_error, **options)
print(hash(tuple(array.tobytes() for array in model.parameters.values())))
"""


def killed_run(path, epochs):
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    command = [sys.executable, "-c", KILLED, str(path), str(epochs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_kill_at_any_moment_leaves_the_last_good_checkpoint(tmp_path):
    unbroken = killed_run(tmp_path / "unbroken", 4)
    expected = unbroken.communicate()[0]
    path, rng = tmp_path / "run", np.random.default_rng(0)
    for _ in range(4):
        run = killed_run(path, 10**6)
        run.stdout.readline()
        deadline = time.monotonic() + 30
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.02))
        run.kill()
        run.communicate()
        assert Saved.read(path).numbers["step"] >= 1
    path.unlink()
    run = killed_run(path, 4)
    run.stdout.readline()
    while not path.exists():
        time.sleep(0.001)
    run.kill()
    run.communicate()
    resumed = killed_run(path, 4)
    assert resumed.communicate()[0] == expected
