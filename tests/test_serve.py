"""The batcher: right results for everyone, and nobody's trouble for anybody else."""

import asyncio
import gc
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastlstm
from fastlstm import LSTM, RNN, Embedding, LastStep, Linear, Sequential
from fastlstm.serve import Batcher, Histogram, QueueFull, worker

MODELS = {
    "lstm": LSTM(3, 5, rng=0),
    "rnn": RNN(3, 5, batch_first=True, bidirectional=True, rng=0),
    "stack": Sequential(LSTM(3, 5, rng=0), Linear(5, 2, rng=0)),
    "readout": Sequential(LSTM(3, 5, bidirectional=True, rng=0), LastStep(), Linear(10, 2, rng=0)),
    "indices": Sequential(Embedding(9, 4, rng=0), LSTM(4, 5, batch_first=True, rng=0)),
}


def sequence(name, length, rng):
    return rng.integers(0, 9, length) if name == "indices" else rng.standard_normal((length, 3))


def alone(model, x):
    y = model(x)
    return y if isinstance(model, Sequential) else y[0]


class Gate:
    """A model whose passes wait until they are let through."""

    def __init__(self, monkeypatch, line):
        self.open = threading.Event()
        self.entered = threading.Event()
        run = line._run

        def held(batch):
            self.entered.set()
            assert self.open.wait(30)
            return run(batch)

        monkeypatch.setattr(line, "_run", held)


# Results


@settings(max_examples=30)
@given(
    st.sampled_from(sorted(MODELS)),
    st.lists(st.integers(0, 9), max_size=20),
    st.integers(1, 9),
    st.integers(0, 9),
)
def test_the_bits_of_each_alone(name, lengths, max_batch, seed):
    rng, model = np.random.default_rng(seed), MODELS[name]
    xs = [sequence(name, length, rng) for length in lengths]
    with Batcher(model, max_batch, max_delay=0.001) as batcher:
        futures = [batcher.submit(x) for x in xs]
        for x, future in zip(xs, futures, strict=True):
            expected = alone(model, x)
            assert future.result(30).shape == expected.shape
            assert future.result().tobytes() == expected.tobytes()
    assert batcher.metrics.answered == len(xs)
    assert (
        max((size for size, count in enumerate(batcher.metrics.batch_sizes.counts) if count), default=0) <= 4
    )


def test_many_threads():
    model, rng = MODELS["stack"], np.random.default_rng(0)
    xs = [rng.standard_normal((length, 3)) for length in rng.integers(1, 30, 400)]
    with Batcher(model) as batcher, ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda x: batcher.submit(x).result(30), xs))
    assert all(y.tobytes() == model(x).tobytes() for x, y in zip(xs, results, strict=True))
    assert sum(batcher.metrics.batch_sizes.counts) < 400


def test_asyncio():
    model, rng = MODELS["readout"], np.random.default_rng(0)
    xs = [rng.standard_normal((length, 3)) for length in range(50)]

    async def main():
        async with Batcher(model) as batcher:
            return await asyncio.gather(*(batcher(x) for x in xs))

    assert all(y.tobytes() == model(x).tobytes() for x, y in zip(xs, asyncio.run(main()), strict=True))


def test_results_are_ones_own():
    x = np.ones((4, 3))
    with Batcher(MODELS["lstm"], max_batch=2, max_delay=1.0) as batcher:
        one, other = batcher.submit(x), batcher.submit(x)
        x[...] = 9
        one.result()[...] = 0
        assert other.result().any()
        assert other.result().base is None
        assert other.result().tobytes() == MODELS["lstm"](np.ones((4, 3)))[0].tobytes()


def test_dtypes_do_not_mix():
    """float64 into layers that compute in what they are given."""
    model = Sequential(fastlstm.LayerNorm(3, dtype="float64"), LSTM(3, 5, rng=0))
    x = np.random.default_rng(0).standard_normal((4, 3))
    with Batcher(model, max_batch=4, max_delay=0.05) as batcher:
        futures = [batcher.submit(x.astype(dtype)) for dtype in ("f4", "f8", "f4", "f8")]
        for future, dtype in zip(futures, ("f4", "f8", "f4", "f8"), strict=True):
            assert future.result().tobytes() == model(x.astype(dtype)).tobytes()


def test_padding_is_bounded(monkeypatch):
    monkeypatch.setattr(worker, "MOST_PADDED", 60)
    with Batcher(MODELS["lstm"], max_batch=4, max_delay=0.05) as batcher:
        futures = [batcher.submit(np.ones((length, 3))) for length in (100, 1, 1, 1)]
        wait(futures, 30)
    assert batcher.metrics.batch_sizes.counts[:3] == [1, 0, 1]


# When a batch leaves


def test_a_full_batch_leaves_at_once():
    with Batcher(MODELS["lstm"], max_batch=4, max_delay=60) as batcher:
        wait([batcher.submit(np.ones((2, 3))) for _ in range(4)], 30)
        assert batcher.metrics.batch_sizes.counts[2] == 1


def test_the_oldest_waits_no_longer_than_the_delay():
    with Batcher(MODELS["lstm"], max_batch=99, max_delay=0.2) as batcher:
        started = time.monotonic()
        first = batcher.submit(np.ones((2, 3)))
        time.sleep(0.1)
        batcher.submit(np.ones((2, 3)))
        first.result(30)
        assert 0.19 < time.monotonic() - started < 5
        assert batcher.metrics.batch_sizes.counts[1] == 1


def test_what_comes_while_a_batch_runs_is_the_next(monkeypatch):
    with Batcher(MODELS["lstm"], max_delay=0) as batcher:
        gate = Gate(monkeypatch, batcher._line)
        first = batcher.submit(np.ones((2, 3)))
        assert gate.entered.wait(30)
        later = [batcher.submit(np.ones((2, 3))) for _ in range(7)]
        gate.open.set()
        wait([first, *later], 30)
        assert batcher.metrics.batch_sizes.counts[:4] == [1, 0, 0, 1]


# Trouble


def test_full(monkeypatch):
    with Batcher(MODELS["lstm"], max_delay=0, max_queue=2) as batcher:
        gate = Gate(monkeypatch, batcher._line)
        futures = [batcher.submit(np.ones((2, 3)))]
        assert gate.entered.wait(30)
        futures += [batcher.submit(np.ones((2, 3))) for _ in range(2)]
        with pytest.raises(QueueFull, match="2 sequences wait, and the queue holds 2"):
            batcher.submit(np.ones((2, 3)))
        assert batcher.metrics.waiting == 2
        gate.open.set()
        wait(futures, 30)
        batcher.submit(np.ones((2, 3))).result(30)
        assert (batcher.metrics.refused, batcher.metrics.waiting) == (1, 0)


def test_cancelling(monkeypatch):
    with Batcher(MODELS["lstm"], max_delay=0) as batcher:
        gate = Gate(monkeypatch, batcher._line)
        running = batcher.submit(np.ones((2, 3)))
        assert gate.entered.wait(30)
        one, other = batcher.submit(np.ones((2, 3))), batcher.submit(np.ones((2, 3)))
        assert one.cancel()
        assert not running.cancel()
        gate.open.set()
        assert other.result(30).shape == (2, 5)
        assert batcher.metrics.cancelled == 1
        assert batcher.metrics.batch_sizes.counts[0] == 2


def test_a_cancelled_coroutine(monkeypatch):
    async def main():
        async with Batcher(MODELS["lstm"], max_delay=0) as batcher:
            gate = Gate(monkeypatch, batcher._line)
            running = asyncio.ensure_future(batcher(np.ones((2, 3))))
            await asyncio.to_thread(gate.entered.wait, 30)
            waiting = asyncio.ensure_future(batcher(np.ones((2, 3))))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.sleep(0)
            gate.open.set()
            assert (await running).shape == (2, 5)
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert batcher.metrics.cancelled == 1

    asyncio.run(main())


def test_an_exception_is_for_whom_it_belongs_to():
    """An index that the table has not is seen only in the pass."""
    with Batcher(MODELS["indices"], max_batch=3, max_delay=60) as batcher:
        futures = [batcher.submit(x) for x in ([1, 2], [3, 99], [4])]
        assert futures[0].result(30).shape == (2, 5)
        assert futures[2].result(30).shape == (1, 5)
        with pytest.raises(ValueError, match="99"):
            futures[1].result(30)
        assert (batcher.metrics.answered, batcher.metrics.failed) == (2, 1)


@pytest.mark.parametrize(
    ("name", "x", "error", "sentence"),
    [
        ("lstm", np.ones(3), ValueError, "x: expected one sequence (T, I), got shape (3,)"),
        ("lstm", np.ones((2, 1, 3)), ValueError, "x: expected one sequence (T, I), got shape (2, 1, 3)"),
        ("lstm", np.ones((2, 4)), ValueError, "x: expected shape (T, B, I) or (T, I) with I=3, got (0, 4)"),
        ("lstm", np.ones((2, 3), int), TypeError, "x: expected an array of floats, got dtype int64"),
        ("lstm", np.ones((11, 3)), ValueError, "x: expected at most 10 steps, got 11"),
        ("indices", [[1]], ValueError, "x: expected one sequence (T,), got shape (1, 1)"),
        ("indices", [1.5], TypeError, "x: expected an array of integers, got dtype float64"),
    ],
)
def test_bad_input_is_refused_at_the_door(name, x, error, sentence):
    with Batcher(MODELS[name], max_steps=10) as batcher:
        with pytest.raises(error, match=re.escape(sentence)):
            batcher.submit(x)
        assert batcher.metrics.waiting == 0


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ((Linear(2, 1),), TypeError, "model: expected LSTM, RNN or Sequential, got Linear"),
        ((MODELS["lstm"], 0), ValueError, "max_batch: expected an integer of at least 1, got 0"),
        ((MODELS["lstm"], 1, -1), ValueError, "max_delay: expected a number of at least 0, got -1"),
    ],
)
def test_refusals(arguments, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        Batcher(*arguments)


# The end


def test_closing_answers_what_was_accepted():
    batcher = Batcher(MODELS["lstm"], max_batch=3, max_delay=60)
    futures = [batcher.submit(np.ones((2, 3))) for _ in range(8)]
    batcher.close()
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError, match="submit: expected an open batcher, this one was closed"):
        batcher.submit(np.ones((2, 3)))
    batcher.close()


def test_closing_without_waiting(monkeypatch):
    batcher = Batcher(MODELS["lstm"], max_delay=0)
    gate = Gate(monkeypatch, batcher._line)
    future = batcher.submit(np.ones((2, 3)))
    batcher.close(wait=False)
    assert not future.done()
    gate.open.set()
    assert future.result(30).shape == (2, 5)


def test_closing_from_a_result():
    batcher = Batcher(MODELS["lstm"], max_delay=0)
    closed = threading.Event()
    batcher.submit(np.ones((2, 3))).add_done_callback(lambda future: (batcher.close(), closed.set()))
    assert closed.wait(30)


def batcher_threads():
    return [thread for thread in threading.enumerate() if thread.name == "fastlstm-batcher"]


def test_no_thread_before_the_first_sequence_and_none_after_the_last_reference():
    before = len(batcher_threads())
    batcher = Batcher(MODELS["lstm"], max_delay=0.05)
    assert len(batcher_threads()) == before
    future = batcher.submit(np.ones((2, 3)))
    assert len(batcher_threads()) == before + 1
    del batcher
    gc.collect()
    assert future.result(30).shape == (2, 5)
    deadline = time.monotonic() + 30
    while len(batcher_threads()) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(batcher_threads()) == before


def test_the_interpreters_end_answers_what_was_accepted():
    code = """
import numpy as np, fastlstm
from fastlstm.serve import Batcher
batcher = Batcher(fastlstm.LSTM(3, 5), max_delay=0.3)
batcher.submit(np.ones((2, 3))).add_done_callback(lambda future: print(future.result().shape))
"""
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert finished.stdout == "(2, 5)\n"
    assert finished.stderr == ""


def test_fork_in_mid_use(monkeypatch):
    """As gunicorn's preload: the parent loads, and may serve; so do the children."""
    model = MODELS["stack"]
    with Batcher(model, max_delay=0) as batcher:
        gate = Gate(monkeypatch, batcher._line)
        parents = batcher.submit(np.ones((2, 3)))
        assert gate.entered.wait(30)
        child = os.fork()
        if child == 0:
            result = batcher.submit(np.ones((4, 3))).result(20)
            good = result.tobytes() == model(np.ones((4, 3))).tobytes() and batcher.metrics.answered == 1
            batcher.close()
            os._exit(0 if good else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        gate.open.set()
        assert parents.result(30).shape == (2, 2)


def test_weights_that_change_meanwhile():
    """Each result is from the weights before or after, never from a mixture."""
    model, x = Sequential(LSTM(3, 5, rng=0), Linear(5, 2, rng=0)), np.ones((4, 3))
    versions = [model.state_dict(), Sequential(LSTM(3, 5, rng=1), Linear(5, 2, rng=1)).state_dict()]
    expected = {model.load_state_dict(version)(x).tobytes() for version in versions}
    stop = threading.Event()

    def change():
        while not stop.is_set():
            for version in versions:
                model.load_state_dict(version)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        with Batcher(model, max_delay=0) as batcher:
            results = [batcher.submit(x).result(30).tobytes() for _ in range(300)]
    finally:
        stop.set()
        changer.join()
    assert set(results) <= expected


def test_histogram():
    histogram = Histogram([1.0, 2.0])
    for value in (0.0, 1.0, 1.5, 3.0):
        histogram.add(value)
    assert histogram.counts == [2, 1, 1]
    assert [histogram.quantile(q) for q in (0.5, 0.75, 1.0)] == [1.0, 2.0, float("inf")]
