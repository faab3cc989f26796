"""Streams: state, reset, out; that they give the whole sequence's bits stands in test_same_bits.py."""

import itertools
import pickle
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support_streams import frames, stack

import fastlstm
from fastlstm import _core


@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize(
    "model",
    [
        fastlstm.LSTM(2, 5, 2, proj_size=3, rng=0),
        fastlstm.RNN(2, 3, 2, rng=0),
        fastlstm.GRU(2, 3, 2, rng=0),
        fastlstm.SLSTM(2, 3, 2, rng=0),
    ],
)
def test_shapes(model, batch_size):
    stream = model.stream(batch_size)
    n = () if batch_size is None else (batch_size,)
    assert stream.step(np.ones((*n, 2))).shape == (*n, 3)
    shapes = [array.shape for array in (stream.state if isinstance(stream.state, tuple) else (stream.state,))]
    assert shapes == [(2, *n, 3)] + [(2, *n, model.hidden_size)] * (len(shapes) - 1)


def test_out_is_written_and_returned():
    stream, other = (fastlstm.LSTM(2, 5, rng=0).stream() for _ in range(2))
    out = np.zeros(5, np.float32)
    assert stream.step(np.ones(2), out=out) is out
    assert np.array_equal(out, other.step(np.ones(2)))


def test_reset_and_state():
    stream = fastlstm.LSTM(2, 5, rng=0).stream()
    first = stream.step(np.ones(2))
    saved = stream.state
    second = stream.step(np.ones(2))
    stream.state = saved
    assert np.array_equal(stream.step(np.ones(2)), second)
    saved[0][...] = 7  # the state given out is a copy
    stream.reset()
    assert np.array_equal(stream.step(np.ones(2)), first)


def test_streams_of_one_model_are_apart():
    model = fastlstm.LSTM(2, 5, rng=0)
    a, b, alone = model.stream(), model.stream(), model.stream()
    for k in range(4):
        expected = alone.step(np.full(2, k / 4))
        assert np.array_equal(a.step(np.full(2, k / 4)), expected)
        b.step(np.full(2, -1.0))


@pytest.mark.parametrize("threads_used", [1, 2])
@pytest.mark.parametrize("H", [8, 320])
def test_input_as_it_comes(threads, threads_used, H):
    """Strided, of another dtype, unaligned, or the very memory that the result goes to."""
    _core.set_num_threads(threads_used)
    model = fastlstm.LSTM(H, H, rng=0)
    x = np.random.default_rng(0).standard_normal(H).astype(np.float32)
    expected = model.stream().step(x)
    unaligned = np.zeros(4 * H + 1, np.uint8)[1:].view(np.float32)
    unaligned[:] = x
    strided = np.zeros(2 * H, np.float32)[::2]
    strided[:] = x
    for given in (strided, x.astype(np.float64), unaligned, x[None][0]):
        assert np.array_equal(model.stream().step(given), expected)
    buffer = x.copy()
    model.stream().step(buffer, out=buffer)
    assert np.array_equal(buffer, expected)


def test_weights_may_change_on_the_way():
    model = fastlstm.LSTM(3, 4, rng=0)
    stream = model.stream()
    stream.step(np.ones(3))
    state = stream.state
    model.load_state_dict(fastlstm.LSTM(3, 4, rng=1).state_dict())
    expected, _ = model(np.ones((1, 3)), state)
    assert np.array_equal(stream.step(np.ones(3)), expected[0])


@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize(
    "model",
    [
        fastlstm.LSTM(2, 5, 2, proj_size=3, rng=0),
        fastlstm.RNN(2, 3, batch_first=True, rng=0),
        fastlstm.GRU(2, 3, rng=0),
        fastlstm.GRU(2, 3, reset_after=False, rng=0),
        stack(),
    ],
    ids=["lstm", "batch_first rnn", "gru", "gru, reset first", "stack"],
)
class TestEveryModel:
    def test_chunks_copies_and_pickles_give_the_bits_of_steps(self, model, batch_size):
        x = frames(model, 9, *(() if batch_size is None else (batch_size,)))
        steps = model.stream(batch_size)
        expected = np.stack([steps.step(x_t) for x_t in x])
        time = 1 if model.batch_first and batch_size else 0
        stream = model.stream(batch_size)
        fed = stream.feed(np.moveaxis(x[:4], 0, time))
        assert np.ascontiguousarray(np.moveaxis(fed, time, 0)).tobytes() == expected[:4].tobytes()
        assert stream.feed(np.moveaxis(x[:0], 0, time)).size == 0
        copy, pickled = stream.copy(), pickle.loads(pickle.dumps(stream))
        stream.step(x[0])  # where this one goes is nothing to the others
        for other in (copy, pickled):
            out = np.empty_like(expected[4])
            assert other.step(x[4], out=out) is out
            assert out.tobytes() == expected[4].tobytes()
            rest = other.feed(np.moveaxis(x[5:], 0, time))
            assert np.ascontiguousarray(np.moveaxis(rest, time, 0)).tobytes() == expected[5:].tobytes()
        stream.reset()
        assert stream.step(x[0]).tobytes() == expected[0].tobytes()
        assert "stream" in repr(stream)

    def test_wrong_input_moves_nothing(self, model, batch_size):
        n = () if batch_size is None else (batch_size,)
        x = frames(model, *n)
        stream, other = model.stream(batch_size), model.stream(batch_size)
        wrong_axes = x[None] if x.ndim else x[None, None]
        for call in (stream.step, stream.feed):
            with pytest.raises(ValueError, match="x"):
                call(np.concatenate([wrong_axes[None]] * 2))
        with pytest.raises(ValueError, match="out: expected shape"):
            stream.step(x, out=np.empty((7, 7), np.float32))
        if not isinstance(model, fastlstm.Sequential):
            assert stream.step(x).tobytes() == other.step(x).tobytes()
        with pytest.raises((ValueError, TypeError), match="state"):
            stream.state = (np.zeros(7),)


def test_a_stack_that_needs_the_whole_sequence():
    for layers in (
        [fastlstm.LSTM(2, 3, bidirectional=True, rng=0)],
        [fastlstm.LSTM(2, 3, rng=0), fastlstm.LastStep()],
    ):
        with pytest.raises(ValueError, match="model: expected one that runs forward in time"):
            fastlstm.Sequential(*layers).stream()


def test_two_threads_at_one_stream():
    """The second is told; whoever steps gets through."""
    H = 512
    stream = fastlstm.LSTM(H, H, rng=0).stream(16)
    x = np.zeros((16, H), np.float32)
    refused, done = [], []

    def step_often():
        out = np.empty_like(x)
        for _ in range(200):
            try:
                done.append(stream.step(x, out=out) is out)
            except RuntimeError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=step_often) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done
    assert len(done) + len(refused) == 600
    assert set(refused) == {"step: expected one thread at a time, and another is stepping this stream"}


def test_many_threads_with_a_stream_each():
    model = fastlstm.LSTM(16, 40, num_layers=2, rng=0)
    x = np.random.default_rng(0).standard_normal((16, 50, 16)).astype(np.float32)
    expected = [model(x_b)[0].tobytes() for x_b in x]

    def run(b):
        stream = model.stream()
        return np.stack([stream.step(x_t) for x_t in x[b]]).tobytes()

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(run, range(16))) == expected


def test_weights_that_change_meanwhile():
    """Every result is that of the old weights or of the new, never of a mixture."""
    model, other = fastlstm.LSTM(8, 24, num_layers=3, rng=0), fastlstm.LSTM(8, 24, num_layers=3, rng=1)
    sets = [model.state_dict(), other.state_dict()]
    x = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
    allowed = {net(x)[0].tobytes() for net in (model, other)}
    first = {net.stream().step(x[0]).tobytes() for net in (model, other)}
    stop = threading.Event()

    def change():
        for k in itertools.count():
            if stop.is_set():
                return
            model.load_state_dict(sets[k % 2])

    changer = threading.Thread(target=change)
    changer.start()
    try:
        stream = model.stream()
        for _ in range(300):
            assert model(x)[0].tobytes() in allowed
            stream.reset()
            assert stream.step(x[0]).tobytes() in first
    finally:
        stop.set()
        changer.join()


@pytest.mark.parametrize("steps", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_memory_stays_flat(steps):
    stream = fastlstm.LSTM(8, 16, rng=0).stream()
    x, out = np.ones(8, np.float32), np.empty(16, np.float32)
    for _ in range(1000):
        stream.step(x, out=out)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(steps):
            stream.step(x, out=out)
        assert tracemalloc.get_traced_memory()[0] - before < 2000
    finally:
        tracemalloc.stop()
