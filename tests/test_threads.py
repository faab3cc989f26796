"""A good guest: threads, forks and the interpreter lock, for real."""

import importlib
import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support_processes import interpreter, python, wait

import fastlstm
from fastlstm import _core, config

MODEL = fastlstm.LSTM(64, 128, rng=0)
X = np.random.default_rng(0).standard_normal((60, 32, 64)).astype(np.float32)


def digest(_=None):
    y, (h_n, c_n), tape = MODEL.forward(X)
    return y.tobytes() + h_n.tobytes() + c_n.tobytes() + tape.backward(np.ones_like(y)).state[0].tobytes()


def test_nothing_starts_before_it_is_wanted():
    code = """
import numpy as np, fastlstm
from fastlstm import _core
_core.set_num_threads(2)
before = _core.threads_started()
small = fastlstm.LSTM(4, 8, rng=0)
y, _, tape = small.forward(np.zeros((10, 4, 4)))
tape.backward(y)
after_small = _core.threads_started()
fastlstm.LSTM(64, 128, rng=0)(np.zeros((60, 32, 64)))
print(before, after_small, _core.threads_started())
"""
    assert python(code) == "0 0 1"


def test_steps_share_with_workers_that_are_awake():
    """A few steps start nobody; many do, and give the bits of the whole sequence all the same."""
    code = """
import numpy as np, fastlstm
from fastlstm import _core
_core.set_num_threads(2)
model = fastlstm.LSTM(128, 128, rng=0)
stream, x = model.stream(), np.random.default_rng(0).standard_normal((400, 128)).astype(np.float32)
few = [stream.step(x_t) for x_t in x[:60]]
after_few = _core.threads_started()
many = [stream.step(x_t) for x_t in x[60:]]
fastlstm.set_num_threads(1)
print(after_few, _core.threads_started(), np.stack(few + many).tobytes() == model(x)[0].tobytes())
"""
    assert python(code) == "0 1 True"


def test_environment_sets_the_number():
    code = "import fastlstm; print(fastlstm.get_num_threads())"
    cores = str(config.available_cores())
    assert python(code, FASTLSTM_NUM_THREADS="1", OMP_NUM_THREADS=cores) == "1"
    assert python(code, FASTLSTM_NUM_THREADS=cores, OMP_NUM_THREADS="1") == cores
    assert python(code, FASTLSTM_NUM_THREADS="", OMP_NUM_THREADS="") == cores
    assert python(code, FASTLSTM_NUM_THREADS="", OMP_NUM_THREADS="1,4") == "1"
    assert python(code, FASTLSTM_NUM_THREADS="", OMP_NUM_THREADS="1000") == cores


@pytest.mark.parametrize("count", [10**6, 2**31, 2**64])
def test_never_more_threads_than_cores(threads, count):
    fastlstm.set_num_threads(count)
    cores = config.available_cores()
    assert fastlstm.get_num_threads() == cores
    code = "import fastlstm; print(fastlstm.get_num_threads())"
    assert python(code, FASTLSTM_NUM_THREADS=str(count)) == str(cores)
    assert python(code, FASTLSTM_NUM_THREADS="9" * 5000) == str(cores)


def test_fewer_threads_are_told_of(monkeypatch, threads):
    _core.set_num_threads(4)
    assert "threads" not in (fastlstm.show_config("dicts")["falls back"] or "")
    monkeypatch.setattr(_core, "threads_lent", lambda: 3)
    assert "3 of 4 threads for now" in fastlstm.show_config("dicts")["falls back"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity():
    code = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import fastlstm
print(fastlstm.get_num_threads())
"""
    assert python(code, FASTLSTM_NUM_THREADS="", OMP_NUM_THREADS="") == "1"


def test_threadpoolctl(threads):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    importlib.import_module("scipy.optimize")  # has a library whose file has the name of ours
    importlib.import_module("fastlstm.threadpool")
    fastlstm.set_num_threads(2)
    with threadpoolctl.threadpool_limits(1):
        assert fastlstm.get_num_threads() == 1
    assert fastlstm.get_num_threads() == 2
    (ours,) = [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "fastlstm"]
    assert (ours["num_threads"], ours["version"]) == (2, fastlstm.__version__)


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000\n", 4), ("150000 100000\n", 2), ("10000 100000\n", 1)]
)
def test_containers_quota(monkeypatch, tmp_path, quota, cores):
    monkeypatch.setattr(config, "CPU_MAX", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    config.CPU_MAX.write_text(quota)
    assert config.available_cores() == cores


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("FASTLSTM_NUM_THREADS", "many", "expected an integer of at least 1, got 'many'"),
        ("FASTLSTM_ISA", "mmx", "expected one of"),
    ],
)
def test_wrong_environment(name, value, sentence):
    run = interpreter("import fastlstm", {name: value})
    assert run.returncode == 1
    assert sentence in run.stderr


@pytest.mark.parametrize("isa", _core.available_isas())
def test_environment_sets_the_instruction_set(isa):
    assert python("from fastlstm import _core; print(_core.current_isa())", FASTLSTM_ISA=isa) == isa


def test_many_calling_threads(threads):
    _core.set_num_threads(2)
    expected = digest()
    started = _core.threads_started()
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(digest, range(64)))
    assert set(results) == {expected}
    assert _core.threads_started() == started >= 1


def test_lock_is_free_during_a_pass(threads):
    """Another thread runs Python while a pass of many times the switch interval is under way."""
    fastlstm.set_num_threads(1)
    model, x = fastlstm.LSTM(256, 512, rng=0), np.zeros((200, 64, 256), np.float32)
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    try:
        begun = time.perf_counter()
        model(x)
        ended = time.perf_counter()
    finally:
        stop.set()
        ticker.join()
    assert sum(begun < t < ended for t in ticks) > 10


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("used_before", [False, True])
def test_fork(threads, used_before):
    """In an interpreter of its own: the pool is fresh there, and the BLAS of others is not in the way."""
    code = f"""
import os, numpy as np, fastlstm
from fastlstm import _core
_core.set_num_threads(2)
model = fastlstm.LSTM(64, 128, rng=0)
x = np.random.default_rng(0).standard_normal((60, 32, 64)).astype(np.float32)
expected = model(x)[0].tobytes() if {used_before} else None
child = os.fork()
if child == 0:
    first = model(x)[0].tobytes()
    os._exit(0 if (expected is None or first == expected) and _core.threads_started() == 1 else 1)
assert os.waitpid(child, 0)[1] == 0
again = model(x)[0].tobytes()
assert expected is None or again == expected
print("both")
"""
    assert python(code) == "both"


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_fork_while_others_compute(threads):
    """Children forked in the middle of other threads' passes can run passes of their own."""
    _core.set_num_threads(2)
    expected = MODEL(X)[0].tobytes()
    stop = threading.Event()

    def compute():
        while not stop.is_set():
            MODEL(X)

    workers = [threading.Thread(target=compute) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                os._exit(0 if MODEL(X)[0].tobytes() == expected else 1)
            assert wait(child) == 0
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert MODEL(X)[0].tobytes() == expected


def forward_sum(_):
    return float(MODEL(X)[0].sum(dtype=np.float64))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(threads, method):
    _core.set_num_threads(2)
    expected = forward_sum(None)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(forward_sum, range(4)) == [expected] * 4


def test_memory_stays_flat():
    """Ten thousand passes of ever different shapes leave nothing behind."""
    code = """
import gc, resource, numpy as np, fastlstm
def used():
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()
model, rng = fastlstm.LSTM(8, 24, proj_size=5, bidirectional=True, rng=0), np.random.default_rng(0)
def passes(count):
    for _ in range(count):
        T, B = rng.integers(1, 20, 2)
        y, _, tape = model.forward(rng.standard_normal((T, B, 8)), lengths=rng.integers(0, T + 1, B))
        tape.backward(y)
        model.update({"bias_ih_l0": rng.standard_normal(96)})
passes(2000)
before = used()
passes(8000)
print(used() - before < 2_000_000)
"""
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("no /proc here")
    assert python(code) == "True"
