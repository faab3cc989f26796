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
