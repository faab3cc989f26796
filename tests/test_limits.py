"""Little memory, and long use: an answer or a MemoryError, and never a process that grows."""

import subprocess
import sys
from pathlib import Path

import pytest

resource = pytest.importorskip("resource", reason="limits as on Unix")
pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc")

LIMITED = """
import os, resource, sys
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np, fastlstm
from fastlstm import LSTM, Linear, Sequential
from fastlstm.training import fit, mean_squared_error
path, more = sys.argv[1], int(sys.argv[2])
x = np.ones((400, 16, 64), np.float32)
fastlstm.set_num_threads(2)

def run():
    model = LSTM(64, 128, 2, rng=0)
    y, _, tape = model.forward(x)
    tape.backward(y)

def train():
    model = Sequential(LSTM(64, 96, rng=0), Linear(96, 8, rng=0))
    fit(model, (x, x[..., :8]), mean_squared_error, epochs=1, batch_size=4, progress=False)

def stream():
    stream = LSTM(64, 256, 3, rng=0).stream(32)
    stream.step(np.ones((32, 64)))
    stream.feed(np.ones((50, 32, 64)))

def pool():
    pool = fastlstm.StreamPool(LSTM(64, 128, rng=0), 4000)
    pool.step([pool.open(), pool.open()], np.ones((2, 64)))

def load():
    fastlstm.load(path)(np.ones((20, 4, 64)))

with open("/proc/self/statm") as statm:
    held = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + more, held + more))
for work in (load, run, train, stream, pool):
    try:
        work()
        print(work.__name__, "done")
    except MemoryError as error:
        print(work.__name__, "MemoryError")
    except (OSError, RuntimeError, ImportError) as error:  # a thread, a file, a library without room
        assert str(error), repr(error)
        print(work.__name__, error)
"""
WORKS = ["load", "run", "train", "stream", "pool"]


def outcomes(path, more):
    """Return what came of each piece of work with so many bytes of address space to spare."""
    command = [sys.executable, "-c", LIMITED, str(path), str(more)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (more, done.returncode, done.stderr[-2000:])
    lines = [line.partition(" ") for line in done.stdout.splitlines()]
    assert [name for name, _, _ in lines] == WORKS, more
    return [outcome for _, _, outcome in lines]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    import fastlstm

    path = tmp_path_factory.mktemp("limits") / "model"
    fastlstm.save(fastlstm.LSTM(64, 256, rng=0), path)
    return path


MEGABYTE = 1 << 20


def test_little_address_space(model_file):
    """Too little for anything, enough for some, enough for all."""
    assert "MemoryError" in outcomes(model_file, MEGABYTE)
    outcomes(model_file, 24 * MEGABYTE)
    assert outcomes(model_file, 2048 * MEGABYTE) == ["done"] * len(WORKS)


@pytest.mark.slow
@pytest.mark.parametrize("more", range(0, 160, 4))
def test_every_address_space(model_file, more):
    outcomes(model_file, more * MEGABYTE + 4096 * more)


SOAK = """
import gc, os, sys, time, pickle
import numpy as np, fastlstm
seconds = float(sys.argv[1])
rng = np.random.default_rng(0)
fastlstm.set_num_threads(2)
models = [
    fastlstm.LSTM(8, 24, 2, proj_size=5, bidirectional=True, rng=0),
    fastlstm.RNN(8, 32, rng=0),
    fastlstm.LSTM(8, 64, dtype="float64", rng=0),
]
pool = fastlstm.StreamPool(models[2], 20)

def resident():
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def everything():
    for model in models:
        T, B = rng.integers(1, 40, 2)
        x = rng.standard_normal((T, B, 8))
        y, _, tape = model.forward(x, lengths=rng.integers(0, T + 1, B))
        tape.backward(y)
        model.update({"weight_hh_l0": model.parameters["weight_hh_l0"] * 1.0})
    stream = models[1].stream(int(rng.integers(1, 9)))
    stream.feed(np.ones((5, len(np.atleast_2d(stream.step(np.ones((stream._batch_size, 8))))), 8)))
    pickle.loads(pickle.dumps(stream)).copy()
    ids = [pool.open() for _ in range(int(rng.integers(1, 20)))]
    pool.feed(ids, np.ones((3, len(ids), 8)))
    for id in ids:
        pool.close(id)
    fastlstm.LSTM(int(rng.integers(1, 50)), int(rng.integers(1, 50)), rng=0)

def use(seconds):
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        everything()
        count += 1
    return count

use(seconds / 4)
before = resident()
count = use(seconds)
print(count, (resident() - before) / 2**20)
"""


@pytest.mark.parametrize("seconds", [4, pytest.param(120, marks=pytest.mark.slow)])
def test_memory_stays_bounded_in_long_use(seconds):
    command = [sys.executable, "-c", SOAK, str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60 + 3 * seconds)
    count, megabytes = map(float, done.stdout.split())
    assert count > 10 * seconds
    assert megabytes < 8
