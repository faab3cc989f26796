"""One sequence by itself in evaluation goes a way of its own: the same bits, and nothing overwritten."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastlstm


@given(
    T=st.integers(0, 12),
    size=st.integers(1, 5),
    stride=st.integers(1, 6),
    padding=st.integers(0, 6),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_convolution(T, size, stride, padding, dilation, groups, dtype):
    layer = fastlstm.Conv1d(4, 6, size, stride, padding, dilation, groups, dtype=dtype, rng=0)
    x = np.random.default_rng(0).standard_normal((T, 4)).astype(np.float32)
    y = layer(x)
    expected = layer.forward(x)[0]
    assert y.dtype == expected.dtype
    assert y.shape == expected.shape
    assert (y == expected).all()
    assert (layer(np.asfortranarray(x)) == y).all()
    assert (layer(x[None], batch_first=True)[0] == y).all()


@pytest.fixture
def model():
    return fastlstm.Sequential(
        fastlstm.ReLU(),
        fastlstm.Conv1d(3, 8, 3, padding=1, dtype="float64", rng=0),
        fastlstm.ReLU(),
        fastlstm.Sigmoid(),
        fastlstm.BatchNorm1d(8),
        fastlstm.ReLU(),
        fastlstm.Linear(8, 4, rng=1),
        fastlstm.Sigmoid(),
    )


def test_chain(model):
    x = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    before, y = x.copy(), model(x)
    assert (x == before).all()
    assert (y == model.run(x)[0]).all()
    assert (y == model(x[:, None], lengths=[20])[:, 0]).all()
    assert (model(x.tolist()) == model(x.astype(np.float64))).all()


def test_chain_refuses(model):
    for x in (np.zeros((20, 4)), np.zeros(3), np.zeros((20, 3), int)):
        with pytest.raises((TypeError, ValueError), match=r"^x: expected"):
            model(x)


def test_stream():
    layers = fastlstm.LSTM(3, 5, rng=0), fastlstm.ReLU(), fastlstm.Linear(5, 2, rng=1), fastlstm.Sigmoid()
    model = fastlstm.Sequential(*layers)
    x = np.random.default_rng(0).standard_normal((9, 3)).astype(np.float32)
    stream, out = model.stream(), np.empty(2, np.float32)
    h = np.array([stream.step(step) for step in x])
    assert (h == model(x)).all()
    stream.reset()
    assert stream.step(x[0], out) is out
    assert (out == h[0]).all()
    # A layer that reads what nobody made may not write there.
    plain = fastlstm.Sequential(fastlstm.ReLU(), fastlstm.Sigmoid()).stream()
    before = x[0].copy()
    plain.step(x[0])
    assert (x[0] == before).all()
