"""Passes beside PyTorch run on its threads, where these spin: same bits, none of ours, safe after a fork."""

import pytest
from support_processes import python

from fastlstm import config

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")
pytestmark = pytest.mark.skipif(config.available_cores() < 2, reason="needs two cores")

BEGIN = """
import os, sys
import numpy as np, torch, fastlstm
from fastlstm import _core
import fastlstm.interop.torch
_core.be_patient(True)
_core.set_num_threads(2)
torch.set_num_threads(2)
model = fastlstm.LSTM(64, 128, rng=0)
x = np.random.default_rng(0).standard_normal((60, 32, 64)).astype(np.float32)
def digest():
    y, (h_n, c_n), tape = model.forward(x)
    return y.tobytes() + c_n.tobytes() + tape.backward(np.ones_like(y)).state[0].tobytes()
def threads():
    return len(os.listdir("/proc/self/task"))
"""

needs_proc = pytest.mark.skipif("not __import__('os').path.exists('/proc/self/task')", reason="needs /proc")


@pytest.fixture
def spinning(monkeypatch):
    """PyTorch's threads as they are by default."""
    monkeypatch.delenv("OMP_WAIT_POLICY")


@needs_proc
def test_a_pass_runs_on_the_threads_of_pytorch(spinning):
    code = """
before = threads()
digest()
print(_core.threads_started(), threads() - before, fastlstm.show_config("dicts")["threads of"])
"""
    assert python(BEGIN + code) == "0 1 another library's OpenMP"


def test_the_bits_are_the_same(spinning):
    code = """
shared = [digest() for _ in range(20)]
stream, steps = model.stream(), []
for x_t in x[:, 0]:
    model(x)  # PyTorch's threads are awake
    steps.append(stream.step(x_t))
_core.set_num_threads(1)
print({digest()} == set(shared), np.stack(steps).tobytes() == model(x[:, 0])[0].tobytes())
"""
    assert python(BEGIN + code) == "True True"


def test_one_thread_of_pytorch_leaves_ours(spinning):
    assert python(BEGIN + "torch.set_num_threads(1); digest(); print(_core.threads_started())") == "1"


def test_threads_that_sleep_are_left_alone():
    assert python(BEGIN + "digest(); print(_core.threads_started())", OMP_WAIT_POLICY="passive") == "1"


def test_a_forked_child_has_threads_of_its_own(spinning):
    """OpenMP would wait for threads that the child does not have."""
    code = """
expected = digest()
child = os.fork()
if not child:
    os._exit(0 if digest() == expected and _core.threads_started() == 1 else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), _core.threads_borrowed(), digest() == expected)
"""
    assert python(BEGIN + code) == "0 True True"


def test_many_calling_threads_agree(spinning):
    code = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    print(set(pool.map(lambda _: digest(), range(64))) == {digest()})
"""
    assert python(BEGIN + code) == "True"
