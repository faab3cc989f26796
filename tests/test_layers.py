"""The layers around an LSTM on their own; against PyTorch in test_layers_torch.py."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from support import central_differences

from fastlstm import (
    ELU,
    GELU,
    Dropout,
    Embedding,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
    _core,
)

LAYERS = [
    Tanh,
    Sigmoid,
    ReLU,
    Softmax,
    LogSoftmax,
    lambda: LeakyReLU(0.3),
    lambda: ELU(0.7),
    GELU,
    SiLU,
    lambda: GELU("tanh"),
    lambda: LayerNorm(3, dtype="float64"),
    lambda: Linear(3, 5, dtype="float64", rng=0),
    lambda: Linear(3, 5, bias=False, dtype="float64", rng=0),
]
SHAPES = array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=4).map(lambda shape: (*shape, 3))


@given(st.sampled_from(LAYERS), SHAPES, st.integers(0, 99))
def test_gradients(make, shape, seed):
    rng, layer = np.random.default_rng(seed), make()
    x = rng.standard_normal(shape)
    before = x.copy()
    y, _ = layer.forward(x)
    dy = rng.standard_normal(y.shape)
    assert np.array_equal(y, layer(x))
    weights = {name: array + rng.standard_normal(array.shape) for name, array in layer.state_dict().items()}
    gradients = layer.load_state_dict(weights).forward(x)[1].backward(dy)

    def loss():
        return (layer.load_state_dict(weights)(x) * dy).sum()

    np.testing.assert_allclose(gradients.input, central_differences(loss, x), atol=1e-6, rtol=1e-6)
    assert gradients.parameters.keys() == weights.keys()
    for name, gradient in gradients.parameters.items():
        np.testing.assert_allclose(gradient, central_differences(loss, weights[name]), atol=1e-6, rtol=1e-6)
    assert np.array_equal(x, before)


@pytest.mark.parametrize("shape", [(), (6,), (3, 2), (0,)])
@pytest.mark.parametrize("padding_idx", [None, 2])
def test_embedding(shape, padding_idx):
    rng = np.random.default_rng(0)
    embedding = Embedding(4, 3, padding_idx, dtype="float64", rng=0)
    x, dy = rng.integers(0, 4, shape), rng.standard_normal((*shape, 3))
    y, tape = embedding.forward(x)
    assert np.array_equal(y, embedding(x))
    weights = embedding.state_dict()

    def loss():
        return (embedding.load_state_dict(weights)(x) * dy).sum()

    gradients = tape.backward(dy)
    assert gradients.input is None
    expected = central_differences(loss, weights["weight"])
    if padding_idx is not None:
        expected[padding_idx] = 0
    np.testing.assert_allclose(gradients.parameters["weight"], expected, atol=1e-8)


def test_padding_row_is_zero_at_first():
    padded, plain = (Embedding(4, 3, padding_idx, rng=0).parameters["weight"] for padding_idx in (2, None))
    assert not padded[2].any()
    assert np.array_equal(np.delete(padded, 2, axis=0), np.delete(plain, 2, axis=0))


def test_dropout():
    x = np.random.default_rng(0).standard_normal((40, 50)) + 10
    dropout = Dropout(0.2, rng=0)
    assert np.array_equal(dropout(x), x)
    y, tape = dropout.forward(x)
    dropped = y == 0
    assert 0.15 < dropped.mean() < 0.25
    np.testing.assert_allclose(y[~dropped], x[~dropped] / 0.8, rtol=1e-12)
    np.testing.assert_allclose(tape.backward(x).input, y, rtol=1e-12)
    assert not np.array_equal(dropout.forward(x)[0] == 0, dropped)
    assert np.array_equal(Dropout(0.2, rng=0).forward(x)[0], y)
    assert not Dropout(1.0).forward(x)[0].any()
    assert np.array_equal(Dropout(0).forward(x)[0], x)


def test_none_counts_as_zeros():
    _, tape = Linear(3, 5, rng=0).forward(np.ones((2, 3)))
    gradients = tape.backward(None)
    assert not gradients.input.any()
    assert not gradients.parameters["weight"].any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble"])
@pytest.mark.parametrize(
    "make", [Tanh, Sigmoid, ReLU, Softmax, LogSoftmax, Dropout, LeakyReLU, ELU, lambda: Linear(3, 5)]
)
def test_dtypes(make, dtype):
    layer = make()
    y, tape = layer.forward(np.ones((2, 3), dtype))
    gradients = tape.backward(np.ones(y.shape))
    assert gradients.input.dtype == np.dtype(dtype)
    assert y.dtype == (np.float32 if isinstance(layer, Linear) else np.dtype(dtype))
    assert all(array.dtype == np.float32 for array in gradients.parameters.values())


def test_large_numbers():
    x = np.array([[1e4, -1e4]], np.float32)
    assert Sigmoid()(x).tolist() == Softmax()(x).tolist() == [[1.0, 0.0]]
    assert LogSoftmax()(x).tolist() == [[0.0, -2e4]]


def test_layer_norm_of_equal_numbers():
    y, tape = LayerNorm(3).forward(np.full((2, 3), 7.0))
    assert not y.any()
    assert np.isfinite(tape.backward(np.ones_like(y)).input).all()


@pytest.mark.parametrize(
    ("layer", "shown"),
    [
        (Embedding(4, 3, padding_idx=1), "Embedding(4, 3, padding_idx=1)"),
        (Linear(3, 2, bias=False), "Linear(3, 2, bias=False)"),
        (LayerNorm(3), "LayerNorm(3)"),
        (LayerNorm(3, 1e-3), "LayerNorm(3, eps=0.001)"),
        (Dropout(0.3), "Dropout(0.3)"),
        (Tanh(), "Tanh()"),
        (LeakyReLU(), "LeakyReLU()"),
        (ELU(0.5), "ELU(0.5)"),
        (GELU("tanh"), "GELU('tanh')"),
    ],
)
def test_repr(layer, shown):
    assert repr(layer) == shown


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: Embedding(4, 3)([4]), ValueError, "x: expected indices from 0 to 3, got 4"),
        (lambda: Embedding(4, 3)([-1]), ValueError, "x: expected indices from 0 to 3, got -1"),
        (lambda: Embedding(4, 3)([0.5]), TypeError, "x: expected an array of integers, got dtype float64"),
        (lambda: Embedding(0, 3), ValueError, "num_embeddings: expected an integer of at least 1, got 0"),
        (lambda: Embedding(4, 3, 4), ValueError, "padding_idx: expected an index from 0 to 3, got 4"),
        (lambda: Embedding(4, 3, -1), ValueError, "padding_idx: expected an integer of at least 0, got -1"),
        (lambda: Linear(3, 0), ValueError, "out_features: expected an integer of at least 1, got 0"),
        (lambda: Linear(3, 2)(np.ones((2, 4))), ValueError, "x: expected shape (..., 3), got (2, 4)"),
        (lambda: Linear(3, 2)([1, 2, 3]), TypeError, "x: expected an array of floats, got dtype int64"),
        (lambda: Linear(3, 2)(1.0), ValueError, "x: expected shape (..., 3), got ()"),
        (
            lambda: Linear(3, 2).forward(np.ones((2, 3)))[1].backward(np.ones(2)),
            ValueError,
            "dy: expected shape (2, 2), got (2,)",
        ),
        (lambda: LayerNorm(3, 0), ValueError, "eps: expected a number above 0, got 0"),
        (lambda: LayerNorm(3)(np.ones(2)), ValueError, "x: expected shape (..., 3), got (2,)"),
        (lambda: Dropout(1.5), ValueError, "p: expected a number in [0, 1], got 1.5"),
        (lambda: Dropout("half"), TypeError, "p: expected a number in [0, 1], got 'half'"),
        (lambda: Dropout()([1]), TypeError, "x: expected an array of floats, got dtype int64"),
        (lambda: Softmax()(1.0), ValueError, "x: expected shape (..., n), got ()"),
        (lambda: LeakyReLU(-1), ValueError, "negative_slope: expected a number of at least 0, got -1"),
        (lambda: ELU("much"), TypeError, "alpha: expected a number of at least 0, got 'much'"),
        (lambda: GELU("erf"), ValueError, "approximate: expected 'none' or 'tanh', got 'erf'"),
        (lambda: Tanh()([1]), TypeError, "x: expected an array of floats, got dtype int64"),
    ],
)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("K", "M"), [(1, 1), (5, 3), (64, 200), (130, 65)])
def test_linear_gives_the_same_bits(threads, K, M, dtype):
    """Alone or among others, on one thread or several; and so do its gradients on any number."""
    linear = Linear(K, M, dtype=dtype, rng=0)
    x = np.random.default_rng(0).standard_normal((700, K)).astype(dtype)
    results = set()
    for count in (1, 2, 3):
        _core.set_num_threads(count)
        y, tape = linear.forward(x)
        gradients = tape.backward(np.cos(y))
        arrays = (y, gradients.input, gradients.parameters["weight"], gradients.parameters["bias"])
        results.add(b"".join(array.tobytes() for array in arrays))
    assert len(results) == 1
    assert linear(x[41]).tobytes() == y[41].tobytes()
    assert linear(x[600:].reshape(4, 25, K)).tobytes() == y[600:].tobytes()
    wide = x.astype(np.float64)
    np.testing.assert_allclose(
        y, wide @ linear.parameters["weight"].T + linear.parameters["bias"], rtol=1e-3, atol=1e-5
    )
    np.testing.assert_allclose(gradients.parameters["weight"], np.cos(y).T @ wide, rtol=1e-3, atol=1e-3)
