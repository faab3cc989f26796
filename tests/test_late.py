"""Workers that the system puts aside in the middle of a pass: callers go on alone, to the same bits."""

import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="no way to put a thread aside here"),
    pytest.mark.skipif(
        not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="one core"
    ),
]

# In an interpreter of its own: the only worker runs on one core, and only when nobody else wants that.
# Somebody does, but for a moment now and then, in which the worker begins what it is then late with.
STARVED = '''
import os, subprocess, sys, time, numpy as np, fastlstm
from fastlstm import _core

before = {int(t) for t in os.listdir("/proc/self/task")}
here, there = sorted(os.sched_getaffinity(0))[:2]
rng = np.random.default_rng(0)
_core.set_num_threads(2)
fastlstm.LSTM(64, 128, rng=0)(rng.standard_normal((60, 32, 64)))
(worker,) = {int(t) for t in os.listdir("/proc/self/task")} - before
os.sched_setaffinity(0, {here})
os.sched_setaffinity(worker, {there})
os.sched_setscheduler(worker, os.SCHED_IDLE, os.sched_param(0))
neighbour = subprocess.Popen([sys.executable, "-c", f"""
import os, random, time
os.sched_setaffinity(0, {{{there}}})
while True:
    until = time.perf_counter() + 0.02
    while time.perf_counter() < until:
        pass
    time.sleep(random.uniform(0.0001, 0.001))
"""])

def bits(*arrays):
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)

def parts(state):
    return state if isinstance(state, tuple) else (state,)

def check(call, seconds, times=3):
    """Call until a worker was so many times in a pass that was given up, or for so long; print how often."""
    _core.set_num_threads(1)
    begun = time.perf_counter()
    expected = call()
    usual = time.perf_counter() - begun
    _core.set_num_threads(2)
    longest = late = 0
    while time.perf_counter() - begun < seconds and late < times:
        _core.forget_late()
        began = time.perf_counter()
        assert call() == expected, "other bits"
        longest = max(longest, time.perf_counter() - began)
        late += _core.somebody_late()
    assert longest < 10 * usual + 0.1, (longest, usual)
    neighbour.kill()
    neighbour.wait()
    while _core.somebody_late():
        time.sleep(0.001)
    _core.forget_late()
    assert call() == expected
    print(late)
'''

MODELS = {
    "one sequence": ("LSTM(128, 128, rng=0)", (300, 1, 128)),
    "with a projection": ("LSTM(128, 192, proj_size=96, rng=0)", (200, 1, 128)),
    "two directions": ("LSTM(64, 64, bidirectional=True, rng=0)", (300, 1, 64)),
    "two layers": ("LSTM(64, 64, 2, rng=0)", (300, 1, 64)),
    "a batch": ("LSTM(64, 128, 2, bidirectional=True, rng=0)", (60, 32, 64)),
    "merged directions": ("LSTM(64, 128, 2, bidirectional=True, merge='mul', rng=0)", (60, 32, 64)),
    "a GRU": ("GRU(128, 128, 2, rng=0)", (200, 1, 128)),
    "a GRU, reset first": ("GRU(128, 128, 2, reset_after=False, rng=0)", (60, 8, 128)),
    "an SLSTM": ("SLSTM(128, 128, 2, rng=0)", (200, 1, 128)),
    "a plain RNN": ("RNN(256, 256, rng=0)", (300, 1, 256)),
    "a normed RNN": ("RNN(128, 128, layer_norm=True, rng=0)", (100, 32, 128)),
    "a normed GRU": ("GRU(64, 128, layer_norm=True, rng=0)", (60, 32, 64)),
}
FORWARD = """
def call():
    y, state = model(x)
    return bits(y, *parts(state))
"""
TRAINING = """
def call():
    y, state, tape = model.forward(x)
    d = tape.backward(np.ones_like(y), state)
    return bits(y, d.input, *parts(d.state), *d.parameters.values())
"""
KEPT = """
model, x = fastlstm.LSTM(64, 128, 2, bidirectional=True, rng=0), rng.standard_normal((60, 32, 64))
y, state, tape = model.forward(x)
dy = np.ones_like(y)
def call():
    d = tape.backward(dy, state, keep=True)
    return bits(d.input, *parts(d.state), *d.parameters.values())
"""
STREAM = """
model, x = fastlstm.LSTM(192, 192, 2, rng=0), rng.standard_normal((400, 192)).astype(np.float32)
def call():
    stream = model.stream()
    return bits(*[stream.step(x_t).copy() for x_t in x], *stream.state)
"""
LINEAR = """
model, x = fastlstm.Linear(300, 500, rng=0), rng.standard_normal((400, 300)).astype(np.float32)
def call():
    y, tape = model.forward(x)
    d = tape.backward(y)
    return bits(y, d.input, *d.parameters.values())
"""
SETUPS = {"a tape that is kept": KEPT, "steps of a stream": STREAM, "a linear layer": LINEAR} | {
    f"{name}, {run}": f"model, x = fastlstm.{model}, rng.standard_normal({shape})" + code
    for name, (model, shape) in MODELS.items()
    for run, code in (("forward", FORWARD), ("training", TRAINING))
}


@pytest.fixture(scope="module")
def times_late():
    """How often a worker was late in each test of this module so far: chance decides about that."""
    counts = []
    yield counts
    assert any(counts)


@pytest.mark.parametrize("name", SETUPS)
def test_nobody_waits_for_a_late_worker(name, times_late):
    seconds = 2 if any(times_late) else 20
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", STARVED + SETUPS[name] + f"\ncheck(call, {seconds})\n"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    times_late.append(int(done.stdout))
