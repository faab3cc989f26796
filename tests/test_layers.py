"""Embedding, Linear, the loss and the optimiser on their own; against PyTorch in test_layers_torch.py."""

import re

import numpy as np
import pytest
from support import central_differences

from fastlstm import Embedding, Linear
from fastlstm.training import Adam, clip_gradient_norm, softmax_cross_entropy


@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 2, 3), (0, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape, bias):
    rng = np.random.default_rng(0)
    linear = Linear(3, 5, bias=bias, dtype="float64", rng=0)
    x, dy = rng.standard_normal(shape), rng.standard_normal((*shape[:-1], 5))
    y, tape = linear.forward(x)
    assert np.array_equal(y, linear(x))
    gradients = tape.backward(dy)
    weights = linear.state_dict()

    def loss():
        return (linear.load_state_dict(weights)(x) * dy).sum()

    np.testing.assert_allclose(gradients.input, central_differences(loss, x), atol=1e-8)
    assert gradients.parameters.keys() == weights.keys()
    for name, gradient in gradients.parameters.items():
        np.testing.assert_allclose(gradient, central_differences(loss, weights[name]), atol=1e-8)


@pytest.mark.parametrize("shape", [(), (6,), (3, 2), (0,)])
def test_embedding(shape):
    rng = np.random.default_rng(0)
    embedding = Embedding(4, 3, dtype="float64", rng=0)
    x, dy = rng.integers(0, 4, shape), rng.standard_normal((*shape, 3))
    y, tape = embedding.forward(x)
    assert np.array_equal(y, embedding(x))
    weights = embedding.state_dict()

    def loss():
        return (embedding.load_state_dict(weights)(x) * dy).sum()

    gradients = tape.backward(dy)
    assert gradients.input is None
    np.testing.assert_allclose(
        gradients.parameters["weight"], central_differences(loss, weights["weight"]), atol=1e-8
    )


def test_none_counts_as_zeros():
    _, tape = Linear(3, 5, rng=0).forward(np.ones((2, 3)))
    gradients = tape.backward(None)
    assert not gradients.input.any()
    assert not gradients.parameters["weight"].any()


def test_gradients_take_their_dtypes():
    y, tape = Linear(3, 5, rng=0).forward(np.ones((2, 3)))
    gradients = tape.backward(np.ones_like(y))
    assert gradients.input.dtype == np.float64
    assert gradients.parameters["weight"].dtype == np.float32


def test_cross_entropy():
    rng = np.random.default_rng(0)
    logits, targets = rng.standard_normal((4, 2, 5)), rng.integers(0, 5, (4, 2))
    loss, dlogits = softmax_cross_entropy(logits, targets)
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    assert loss == pytest.approx(-np.log(np.take_along_axis(p, targets[..., None], -1)).mean())
    numeric = central_differences(lambda: softmax_cross_entropy(logits, targets)[0], logits)
    np.testing.assert_allclose(dlogits, numeric, atol=1e-8)


def test_cross_entropy_of_large_logits():
    loss, dlogits = softmax_cross_entropy(np.array([[1e4, -1e4]], np.float32), [1])
    assert loss == pytest.approx(2e4)
    assert dlogits.tolist() == [[1.0, -1.0]]
    assert softmax_cross_entropy(np.zeros((0, 3)), [])[0] == 0


def test_adam_minimises():
    """A line through noiseless points is found."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 2))
    target = x @ np.array([[1.5], [-2.0]]) + 0.5
    linear = Linear(2, 1, dtype="float64", rng=0)
    adam = Adam([linear], lr=0.05)
    for _ in range(500):
        y, tape = linear.forward(x)
        adam.step([tape.backward((y - target) / len(x)).parameters])
    np.testing.assert_allclose(linear.parameters["weight"], [[1.5, -2.0]], atol=1e-3)
    np.testing.assert_allclose(linear.parameters["bias"], [0.5], atol=1e-3)


def test_clip_gradient_norm():
    gradients = [{"a": np.array([3.0]), "b": np.array([[4.0]])}, {"c": np.array([12.0])}]
    assert clip_gradient_norm(gradients, 100.0) == pytest.approx(13)
    assert gradients[0]["a"] == 3
    assert clip_gradient_norm(gradients, 1.3) == pytest.approx(13)
    assert gradients[0]["a"] == pytest.approx(0.3)
    assert clip_gradient_norm([], 1.0) == 0


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: Embedding(4, 3)([4]), ValueError, "x: expected indices from 0 to 3, got 4"),
        (lambda: Embedding(4, 3)([-1]), ValueError, "x: expected indices from 0 to 3, got -1"),
        (lambda: Embedding(4, 3)([0.5]), TypeError, "x: expected an array of integers, got dtype float64"),
        (lambda: Embedding(0, 3), ValueError, "num_embeddings: expected an integer of at least 1, got 0"),
        (lambda: Linear(3, 0), ValueError, "out_features: expected an integer of at least 1, got 0"),
        (lambda: Linear(3, 2)(np.ones((2, 4))), ValueError, "x: expected shape (..., 3), got (2, 4)"),
        (lambda: Linear(3, 2)([1, 2, 3]), TypeError, "x: expected an array of floats, got dtype int64"),
        (lambda: Linear(3, 2)(1.0), ValueError, "x: expected shape (..., 3), got ()"),
        (
            lambda: Linear(3, 2).forward(np.ones((2, 3)))[1].backward(np.ones(2)),
            ValueError,
            "dy: expected shape (2, 2), got (2,)",
        ),
        (lambda: softmax_cross_entropy(1.0, 0), ValueError, "logits: expected shape (..., C), got ()"),
        (
            lambda: softmax_cross_entropy(np.ones((2, 3)), [0, 3]),
            ValueError,
            "targets: expected classes from 0 to 2, got 3",
        ),
        (
            lambda: softmax_cross_entropy(np.ones((2, 3)), [0]),
            ValueError,
            "targets: expected shape (2,), got (1,)",
        ),
        (
            lambda: softmax_cross_entropy(np.ones((1, 3)), [0.0]),
            TypeError,
            "targets: expected an array of integers",
        ),
        (lambda: Adam([], lr=0), ValueError, "lr: expected a number above 0, got 0"),
        (lambda: Adam([], betas=(1, 0)), ValueError, "betas: expected numbers in [0, 1), got (1, 0)"),
        (lambda: Adam([], eps=0), ValueError, "eps: expected a number above 0, got 0"),
        (
            lambda: Adam([]).step([{}]),
            ValueError,
            "gradients: expected a mapping for each of 0 models, got 1",
        ),
        (lambda: clip_gradient_norm([], 0), ValueError, "max_norm: expected a number above 0, got 0"),
    ],
)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()


def test_refused_gradient_leaves_adam_as_it_was():
    linear = Linear(3, 2, rng=0)
    adam = Adam([linear])
    with pytest.raises(ValueError, match=re.escape("weight: expected shape (2, 3), got (3, 2)")):
        adam.step([{"weight": np.ones((3, 2))}])
    with pytest.raises(ValueError, match="gradients: expected names of"):
        adam.step([{"wait": np.ones((2, 3))}])
    assert np.array_equal(linear.parameters["weight"], Linear(3, 2, rng=0).parameters["weight"])
