"""Pools: each stream as if it were alone, and whoever names a wrong one is told."""

import os
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support_processes import wait
from support_streams import frames, stack

import fastlstm

CAPACITY = 5
MODELS = {
    "lstm": lambda: fastlstm.LSTM(2, 5, 2, proj_size=3, rng=0),
    "float64 rnn, batch first": lambda: fastlstm.RNN(2, 3, batch_first=True, dtype="float64", rng=0),
    "gru": lambda: fastlstm.GRU(2, 5, 2, rng=0),
    "gru, reset first": lambda: fastlstm.GRU(2, 5, 2, reset_after=False, rng=0),
    "slstm": lambda: fastlstm.SLSTM(2, 5, 2, rng=0),
    "stack": stack,
}


def ragged(model, lengths):
    """Frames for a chunk, laid out as the model has them; past a chunk's end anything."""
    T = max(lengths, default=0)
    return frames(model, len(lengths), T) if model.batch_first else frames(model, T, len(lengths))


class PoolBesideStreams(RuleBasedStateMachine):
    """Whatever is done to a pool is done to lone streams as well."""

    @initialize(name=st.sampled_from(sorted(MODELS)))
    def begin(self, name):
        self.model = MODELS[name]()
        self.pool = fastlstm.StreamPool(self.model, CAPACITY)
        self.alone, self.closed, self.saved = {}, [], []

    def some(self, data):
        return data.draw(st.lists(st.sampled_from(sorted(self.alone)), unique=True))

    @rule()
    def open(self):
        if len(self.alone) == CAPACITY:
            with pytest.raises(RuntimeError, match="open: expected fewer than 5 open streams"):
                self.pool.open()
            return
        id = self.pool.open()
        assert id not in self.alone
        assert id not in self.closed
        self.alone[id] = self.model.stream()

    @precondition(lambda self: self.alone)
    @rule(data=st.data())
    def close(self, data):
        id = data.draw(st.sampled_from(sorted(self.alone)))
        self.pool.close(id)
        del self.alone[id]
        self.closed.append(id)

    @precondition(lambda self: self.alone)
    @rule(data=st.data())
    def step(self, data):
        ids = self.some(data)
        x = frames(self.model, len(ids))
        y = self.pool.step(ids, x)
        for id, x_b, y_b in zip(ids, x, y, strict=True):
            assert self.alone[id].step(x_b).tobytes() == y_b.tobytes()

    @precondition(lambda self: self.alone)
    @rule(data=st.data(), lengths=st.lists(st.integers(0, 4), min_size=CAPACITY, max_size=CAPACITY))
    def feed(self, data, lengths):
        ids = self.some(data)
        lengths = lengths[: len(ids)]
        x = ragged(self.model, lengths)
        y = self.pool.feed(ids, x, lengths)
        axis = 0 if self.model.batch_first else 1
        for b, (id, length) in enumerate(zip(ids, lengths, strict=True)):
            x_b, y_b = np.take(x, b, axis), np.take(y, b, axis)
            assert self.alone[id].feed(x_b[:length]).tobytes() == y_b[:length].tobytes()
            assert not y_b[length:].any()

    @precondition(lambda self: self.alone)
    @rule(data=st.data())
    def save(self, data):
        id = data.draw(st.sampled_from(sorted(self.alone)))
        self.saved.append((self.pool.state(id), self.alone[id].state))

    @precondition(lambda self: self.alone and self.saved)
    @rule(data=st.data())
    def restore(self, data):
        id, (state, alone) = (
            data.draw(st.sampled_from(choice)) for choice in (sorted(self.alone), self.saved)
        )
        self.pool.restore(id, state)
        self.alone[id].state = alone

    @precondition(lambda self: self.closed)
    @rule(data=st.data())
    def name_a_closed_one(self, data):
        id = data.draw(st.sampled_from(self.closed))
        ids = [*sorted(self.alone), id]
        for call in (
            lambda: self.pool.step(ids, frames(self.model, len(ids))),
            lambda: self.pool.close(id),
            lambda: self.pool.state(id),
        ):
            with pytest.raises(KeyError, match="expected"):
                call()

    @invariant()
    def counts(self):
        if hasattr(self, "pool"):
            assert len(self.pool) == len(self.alone)
            assert all(id in self.pool for id in self.alone)
            assert not any(id in self.pool for id in self.closed)


TestPoolBesideStreams = PoolBesideStreams.TestCase
TestPoolBesideStreams.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.fixture
def pool():
    return fastlstm.StreamPool(fastlstm.LSTM(2, 3, rng=0), 4)


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"ids": [0, 1, 1]}, ValueError, "ids: expected each only once, got 1 again"),
        ({"ids": [0, 1, 3]}, KeyError, "ids: expected those of open streams, got 3"),
        ({"ids": [0, 1, -1]}, KeyError, "ids: expected those of open streams, got -1"),
        ({"ids": [0, 1]}, ValueError, "ids: expected shape"),
        ({"ids": [0.0, 1.0, 2.0]}, TypeError, "ids: expected an array of integers"),
        ({"x": np.zeros((3, 5))}, ValueError, "x: expected shape"),
        ({"x": np.zeros((3, 2), int)}, TypeError, "x: expected an array of floats"),
        ({"out": np.zeros((3, 2), np.float32)}, ValueError, "out: expected shape"),
        ({"out": np.zeros((3, 3))}, TypeError, "out: expected an array of float32"),
    ],
)
def test_wrong_input_moves_nothing(pool, change, error, sentence):
    for _ in range(3):
        pool.open()
    good = {"ids": [2, 0, 1], "x": np.ones((3, 2))}
    pool.step(**good)
    before = [pool.state(id) for id in range(3)]
    with pytest.raises(error, match=sentence):
        pool.step(**(good | change))
    for id in range(3):
        assert all(np.array_equal(a, b) for a, b in zip(pool.state(id), before[id], strict=True))


def test_states_are_checked_whole(pool):
    id = pool.open()
    pool.step([id], np.ones((1, 2)))
    before = pool.state(id)
    for state in ((before[0], before[1][:, :2]), (before[0],), None):
        with pytest.raises((ValueError, TypeError), match="state"):
            pool.restore(id, state)
    assert all(np.array_equal(a, b) for a, b in zip(pool.state(id), before, strict=True))


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (fastlstm.LSTM(2, 3, bidirectional=True, rng=0), ValueError),
        (fastlstm.Sequential(fastlstm.LSTM(2, 3, rng=0), fastlstm.LastStep()), ValueError),
        (fastlstm.Linear(2, 3, rng=0), TypeError),
    ],
)
def test_models_that_do_not_stream(model, error):
    with pytest.raises(error, match="model: expected"):
        fastlstm.StreamPool(model, 4)


def test_out_is_written_and_returned(pool):
    ids = [pool.open(), pool.open()]
    out = np.empty((2, 3), np.float32)
    assert pool.step(ids, np.ones((2, 2)), out=out) is out
    assert out.any()


@pytest.mark.parametrize("name", MODELS)
def test_weights_that_change_meanwhile(eager_threads, name):
    """All streams of a call, and each step of a lone one, have the old weights or the new, no mixture."""
    model, other = MODELS[name](), MODELS[name]()
    other.update({name: array + 1 for name, array in other.parameters.items()})
    dicts = [model.state_dict(), other.state_dict()]
    x = frames(model, 4)
    allowed = {net.stream(4).step(x).tobytes() for net in (model, other)}
    assert len(allowed) == 2
    seen, stop = set(), threading.Event()

    def change():
        while not stop.is_set():
            for mapping in dicts:
                model.load_state_dict(mapping)

    pool, lone = fastlstm.StreamPool(model, 4), model.stream(4)
    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(400):
            ids = [pool.open() for _ in range(4)]
            seen.add(pool.step(ids, x).tobytes())
            for id in ids:
                pool.close(id)
            lone.reset()
            seen.add(lone.step(x).tobytes())
    finally:
        stop.set()
        changer.join()
    assert seen <= allowed


def test_many_threads():
    """Each has streams of its own in one pool."""
    model = fastlstm.LSTM(4, 6, rng=0)
    pool = fastlstm.StreamPool(model, 64)
    x = np.random.default_rng(0).standard_normal((40, 4, 4)).astype(np.float32)
    expected = model(x)[0].tobytes()

    def run(_):
        ids = [pool.open() for _ in range(4)]
        y = np.stack([pool.step(ids, x_t) for x_t in x]).tobytes()
        for id in ids:
            pool.close(id)
        return y

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(run, range(64))) == {expected}
    assert len(pool) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_fork_in_the_middle(threads):
    """A parent that steps streams and a pool on several threads forks; both go on."""
    fastlstm.set_num_threads(2)
    model = fastlstm.LSTM(64, 256, rng=0)
    x = np.random.default_rng(0).standard_normal((3, 40, 64)).astype(np.float32)
    expected = model(x)[0]
    pool, stream = fastlstm.StreamPool(model, 40), model.stream(40)
    ids = [pool.open() for _ in range(40)]

    def advance(t):
        return pool.step(ids, x[t]).tobytes() == stream.step(x[t]).tobytes() == expected[t].tobytes()

    assert advance(0)
    child = os.fork()
    if child == 0:
        os._exit(0 if advance(1) and advance(2) else 1)
    assert wait(child) == 0
    assert advance(1)
    assert advance(2)


def test_fork_while_a_call_runs(threads):
    """The pool's lock may be held by a thread that the child does not have."""
    pool = fastlstm.StreamPool(fastlstm.LSTM(8, 64, rng=0), 50)
    ids = [pool.open() for _ in range(50)]
    stop = threading.Event()

    def step_often():
        while not stop.is_set():
            pool.step(ids, np.zeros((50, 8), np.float32))

    stepper = threading.Thread(target=step_often)
    stepper.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                pool.step(ids, np.zeros((50, 8), np.float32))
                os._exit(0)
            assert wait(child) == 0
    finally:
        stop.set()
        stepper.join()


@pytest.mark.parametrize("rounds", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_memory_stays_flat(rounds):
    pool = fastlstm.StreamPool(fastlstm.LSTM(8, 16, rng=0), 100)
    kept = [pool.open() for _ in range(20)]
    x = np.ones((21, 8), np.float32)

    def run(count):
        for _ in range(count):
            id = pool.open()
            pool.step([*kept, id], x)
            pool.close(id)

    run(3000)  # until NumPy and the interpreter keep what they keep for reuse
    tracemalloc.start()
    try:
        run(10)
        before = tracemalloc.get_traced_memory()[0]
        run(rounds)
        assert tracemalloc.get_traced_memory()[0] - before < 5000
    finally:
        tracemalloc.stop()
