"""Streams: state, reset, out; that they give the whole sequence's bits stands in test_same_bits.py."""

import numpy as np
import pytest

import fastlstm


@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize("model", [fastlstm.LSTM(2, 5, 2, proj_size=3, rng=0), fastlstm.RNN(2, 3, 2, rng=0)])
def test_shapes(model, batch_size):
    stream = model.stream(batch_size)
    n = () if batch_size is None else (batch_size,)
    assert stream.step(np.ones((*n, 2))).shape == (*n, 3)
    shapes = [array.shape for array in (stream.state if isinstance(stream.state, tuple) else (stream.state,))]
    assert shapes == [(2, *n, 3), (2, *n, 5)][: len(shapes)]


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
    fastlstm.set_num_threads(threads_used)
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
