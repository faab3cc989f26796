"""Training on several ranks, started by mpiexec as a user would."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import fastlstm
from fastlstm.training import fit, mean_squared_error

pytest.importorskip("mpi4py", reason="mpi: pip install 'fastlstm[mpi]'")
if shutil.which("mpiexec") is None:
    pytest.skip("mpi: no mpiexec", allow_module_level=True)

RANK = """
import json, os, signal, sys, numpy as np, fastlstm
from mpi4py import MPI
from fastlstm.training import Callback, fit, mean_squared_error

comm = MPI.COMM_WORLD
options = json.loads(sys.argv[2])
die, kill = options.pop("die", None), options.pop("kill", False)

class Death(Callback):
    def on_step(self, progress):
        if comm.rank == 1 and progress.history.steps == die:
            os.kill(os.getpid(), signal.SIGKILL) if kill else 1 / 0

rng = np.random.default_rng(0)
x = [rng.standard_normal((length, 3)) for length in options.pop("lengths")]
y = [rng.standard_normal((len(sequence), 2)) for sequence in x]
model = fastlstm.Sequential(fastlstm.LSTM(3, 5, rng=comm.rank), fastlstm.Linear(5, 2, rng=comm.rank))
options |= dict(validation=(x, y), rng=comm.rank, comm=comm, callbacks=[Death()])
history = fit(model, (x, y), mean_squared_error, **options)
losses = dict(loss=history["loss"], val=history["val_loss"])
np.savez(f"{sys.argv[1]}.{comm.rank}.npz", **model.state_dict(), **losses)
"""

LENGTHS = [4, 7, 2, 7, 1, 3, 5, 6, 4]


def run(ranks, path, **options):
    """Run a training on so many ranks; return what it printed and whether it ended well."""
    script = path.with_suffix(".py")
    script.write_text(RANK)
    command = ["mpiexec", "-n", str(ranks), sys.executable, str(script), str(path)]
    return subprocess.run(
        [*command, json.dumps({"lengths": LENGTHS, "epochs": 3} | options)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def results(ranks, path, **options):
    finished = run(ranks, path, **options)
    assert finished.returncode == 0, finished.stderr
    return [dict(np.load(f"{path}.{rank}.npz")) for rank in range(ranks)]


def alone(**options):
    rng = np.random.default_rng(0)
    x = [rng.standard_normal((length, 3)) for length in LENGTHS]
    y = [rng.standard_normal((len(sequence), 2)) for sequence in x]
    model = fastlstm.Sequential(fastlstm.LSTM(3, 5, rng=0), fastlstm.Linear(5, 2, rng=0))
    history = fit(model, (x, y), mean_squared_error, validation=(x, y), rng=0, epochs=3, **options)
    return model.state_dict() | {"loss": history["loss"], "val": history["val_loss"]}


def test_one_rank_is_none(tmp_path):
    (one,) = results(1, tmp_path / "one", batch_size=4)
    expected = alone(batch_size=4)
    assert all(np.array_equal(one[name], expected[name]) for name in expected)


@pytest.mark.parametrize("bptt", [None, 2])
def test_two_ranks_are_one_with_twice_the_batch(tmp_path, bptt):
    """Nine sequences by four: the last batch has one, so one rank has nothing to do."""
    one, two = results(2, tmp_path / "two", batch_size=2, bptt=bptt)
    assert all(np.array_equal(one[name], two[name]) for name in one)
    for name, expected in alone(batch_size=4, bptt=bptt).items():
        np.testing.assert_allclose(one[name], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kill", [False, True])
def test_a_rank_that_dies_ends_the_job(tmp_path, kill):
    options = {"batch_size": 2, "checkpoint": str(tmp_path / "run"), "epochs": 4}
    died = run(2, tmp_path / "died", die=7, kill=kill, **options)
    assert died.returncode != 0
    if kill:
        assert "TERMINATED" in (died.stdout + died.stderr).upper()
    else:
        assert "rank 1 of 2" in died.stderr
        assert "ZeroDivisionError" in died.stderr
    resumed = results(2, tmp_path / "resumed", **options)
    unbroken = results(2, tmp_path / "unbroken", **options | {"checkpoint": None})
    for one, other in zip(resumed, unbroken, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)
