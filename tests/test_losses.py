"""Losses: values, gradients, masks, refusals; against PyTorch in test_losses_torch.py."""

import re
import tracemalloc
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import central_differences

from fastlstm import Linear
from fastlstm.training import (
    binary_cross_entropy_with_logits,
    huber_loss,
    linear_softmax_cross_entropy,
    losses,
    mean_squared_error,
    quantile_loss,
    softmax_cross_entropy,
)

WEIGHT = np.array([0.5, 0.0, 2.0, 1.0])
QUANTILES = [0.1, 0.5, 0.7, 0.9]
LINEAR = Linear(2, 4, dtype="float64", rng=0)


def linear_loss(x, *arguments, **options):
    value, gradients = linear_softmax_cross_entropy(LINEAR, x, *arguments, **options)
    return value, gradients.input


def two_steps(x, *arguments, **options):
    """What `linear_loss` does in one."""
    y, tape = LINEAR.forward(x)
    value, dy = softmax_cross_entropy(y, *arguments, **options)
    return value, tape.backward(dy).input


def class_targets(rng, shape):
    return rng.integers(0, 4, shape[:-1])


def real_targets(rng, shape):
    return rng.standard_normal(shape)


LOSSES = {
    "cross-entropy": (softmax_cross_entropy, 4, class_targets),
    "weighted": (partial(softmax_cross_entropy, weight=WEIGHT), 4, class_targets),
    "linear": (linear_loss, 2, class_targets),
    "linear, weighted": (partial(linear_loss, weight=WEIGHT), 2, class_targets),
    "binary": (binary_cross_entropy_with_logits, 4, lambda rng, shape: rng.random(shape)),
    "squared": (mean_squared_error, 4, real_targets),
    "huber": (partial(huber_loss, delta=0.7), 4, real_targets),
    "quantile": (
        partial(quantile_loss, quantiles=QUANTILES),
        4,
        lambda rng, shape: rng.standard_normal(shape[:-1]),
    ),
}


@given(
    st.sampled_from(sorted(LOSSES)),
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, 1, 2]),
    st.integers(0, 99),
)
def test_values_and_gradients(name, T, B, ragged, batch_first, mask_axes, seed):
    """A loss with lengths and mask is the loss of what they leave, whatever stands elsewhere."""
    rng = np.random.default_rng(seed)
    loss, size, targets = LOSSES[name]
    shape = (B, T, size) if batch_first else (T, B, size)
    output, target = rng.standard_normal(shape), targets(rng, shape)
    real = np.ones(shape[:2], bool)
    options = {"batch_first": batch_first}
    if ragged:
        options["lengths"] = rng.integers(0, T + 1, B)
        real &= (
            (np.arange(T) < options["lengths"][:, None])
            if batch_first
            else (np.arange(T)[:, None] < options["lengths"])
        )
    if mask_axes is not None:
        options["mask"] = rng.random(shape[:mask_axes]) < 0.6
        real &= options["mask"].reshape(options["mask"].shape + (1,) * (2 - mask_axes))
    value, gradient = loss(output, target, **options)
    expected, expected_rows = loss(output[real], target[real])
    assert value == pytest.approx(expected, rel=1e-12, abs=1e-14)
    assert not gradient[~real].any()
    np.testing.assert_allclose(gradient[real], expected_rows, atol=1e-14)
    numeric = central_differences(lambda: loss(output, target, **options)[0], output)
    np.testing.assert_allclose(gradient, numeric, atol=1e-6)
    output[~real] = np.nan
    target[~real] = -100
    assert loss(output, target, **options)[0] == value
    assert np.array_equal(loss(output, target, **options)[1], gradient)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_weight_of_two_counts_twice(name):
    loss, size, targets = LOSSES[name]
    rng = np.random.default_rng(0)
    output = rng.standard_normal((4, 3, size))
    target, times = targets(rng, output.shape), np.array([2, 0, 3])
    weights = times.astype(float).reshape((1, 3) + (1,) * (target.ndim - 2))
    value, gradient = loss(output, target, [4, 1, 2], sample_weight=weights)
    repeated = [np.repeat(array, times, axis=1) for array in (output, target)]
    expected, expected_gradient = loss(*repeated, np.repeat([4, 1, 2], times))
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient[:, 0], 2 * expected_gradient[:, 0], atol=1e-14)
    assert not gradient[:, 1].any()


def test_nothing_has_weight():
    value, gradient = mean_squared_error(np.ones((4, 3)), np.zeros((4, 3)), sample_weight=np.zeros(3))
    assert value == 0
    assert not gradient.any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_dtypes(name, dtype):
    loss, size, targets = LOSSES[name]
    rng = np.random.default_rng(0)
    output = rng.standard_normal((5, size)).astype(dtype)
    before = output.copy()
    value, gradient = loss(output, targets(rng, output.shape))
    assert type(value) is float
    assert gradient.dtype == output.dtype
    assert np.array_equal(output, before)


def test_cross_entropy_by_hand():
    rng = np.random.default_rng(0)
    logits, target = rng.standard_normal((4, 2, 5)), rng.integers(0, 5, (4, 2))
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    expected = -np.log(np.take_along_axis(p, target[..., None], -1)).mean()
    assert softmax_cross_entropy(logits, target)[0] == pytest.approx(expected)


def test_mask_of_single_numbers():
    output, mask = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[True, False], [True, True]])
    value, gradient = mean_squared_error(output, np.zeros((2, 2)), mask=mask)
    assert value == pytest.approx((1 + 9 + 16) / 3)
    assert gradient.tolist() == [[2 / 3, 0], [2, 8 / 3]]
    value, _ = mean_squared_error(output[..., None], np.zeros((2, 2, 1)), [1, 2], mask=mask[..., None])
    assert value == pytest.approx((1 + 16) / 2)


def test_large_logits():
    value, gradient = softmax_cross_entropy(np.array([[1e4, -1e4]], np.float32), [1])
    assert value == pytest.approx(2e4)
    assert gradient.tolist() == [[1.0, -1.0]]
    value, gradient = binary_cross_entropy_with_logits(np.array([1e4, -1e4], np.float32), [0.0, 0.0])
    assert value == pytest.approx(5e3)
    assert gradient.tolist() == [0.5, 0.0]


def test_nothing_to_count():
    assert softmax_cross_entropy(np.zeros((0, 3)), np.zeros(0, int))[0] == 0
    assert softmax_cross_entropy(np.zeros((2, 3)), [1, 1], weight=[1.0, 0.0, 1.0])[0] == 0
    assert mean_squared_error(np.ones(2), np.zeros(2), mask=[False, False])[0] == 0


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_linear_loss_is_linear_and_loss(monkeypatch, bias, dtype):
    monkeypatch.setattr(losses.classes, "CHUNK", 7 * 4)
    rng, linear = np.random.default_rng(0), Linear(3, 7, bias=bias, dtype=dtype, rng=0)
    x, target = rng.standard_normal((6, 5, 3)), rng.integers(0, 7, (6, 5))
    options = {"lengths": [6, 0, 3, 1, 5], "weight": rng.random(7)}
    y, tape = linear.forward(x)
    expected_value, dy = softmax_cross_entropy(y, target, **options)
    expected = tape.backward(dy)
    value, gradients = linear_softmax_cross_entropy(linear, x, target, **options)
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    assert value == pytest.approx(expected_value, rel=tolerance)
    np.testing.assert_allclose(gradients.input, expected.input, atol=tolerance)
    assert gradients.input.dtype == x.dtype
    assert gradients.parameters.keys() == linear.parameters.keys()
    for name, gradient in gradients.parameters.items():
        assert gradient.dtype == linear.dtype
        np.testing.assert_allclose(gradient, expected.parameters[name], atol=tolerance)


def test_linear_loss_holds_few_logits():
    linear, x = Linear(4, 20_000, rng=0), np.zeros((400, 4), np.float32)
    tracemalloc.start()
    linear_softmax_cross_entropy(linear, x, np.zeros(400, int))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400 * 20_000 * 4 / 2


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: softmax_cross_entropy(1.0, 0), ValueError, "output: expected shape (..., C), got ()"),
        (
            lambda: softmax_cross_entropy(np.ones((2, 3)), [0, 3]),
            ValueError,
            "target: expected classes from 0 to 2, got 3",
        ),
        (
            lambda: softmax_cross_entropy(np.ones((2, 3)), [0, -1]),
            ValueError,
            "target: expected classes from 0 to 2, got -1",
        ),
        (
            lambda: softmax_cross_entropy(np.ones((2, 3)), [0]),
            ValueError,
            "target: expected shape (2,), got (1,)",
        ),
        (
            lambda: softmax_cross_entropy(np.ones((1, 3)), [0.0]),
            TypeError,
            "target: expected an array of integers",
        ),
        (
            lambda: softmax_cross_entropy(np.ones((1, 3)), [0], weight=[1.0]),
            ValueError,
            "weight: expected shape (3,), got (1,)",
        ),
        (
            lambda: softmax_cross_entropy(np.ones((1, 3)), [0], weight=[1.0, -1.0, 1.0]),
            ValueError,
            "weight: expected finite numbers of at least 0, got -1.0",
        ),
        (
            lambda: softmax_cross_entropy(np.ones((2, 3)), [0, 1], [1]),
            ValueError,
            "lengths: expected None for a target of shape (2,), got lengths",
        ),
        (
            lambda: softmax_cross_entropy(np.ones((2, 1, 3)), [[0], [1]], [3]),
            ValueError,
            "lengths: expected 0 to T=2, got 3",
        ),
        (
            lambda: mean_squared_error(np.ones((2, 3)), np.ones((2, 3)), mask=[True, False, True]),
            ValueError,
            "mask: expected shape (2, 3) or its beginning, got (3,)",
        ),
        (
            lambda: mean_squared_error(np.ones(2), np.ones(2), mask=[1, 0]),
            TypeError,
            "mask: expected an array of booleans, got dtype int64",
        ),
        (
            lambda: mean_squared_error(np.ones((2, 1)), np.ones(2)),
            ValueError,
            "target: expected shape (2, 1), got (2,)",
        ),
        (lambda: huber_loss(np.ones(2), np.ones(2), delta=0), ValueError, "delta: expected a number above 0"),
        (
            lambda: binary_cross_entropy_with_logits(np.ones(2), [0.5, 1.5]),
            ValueError,
            "target: expected numbers from 0 to 1, got 1.5",
        ),
        (
            lambda: quantile_loss(np.ones((2, 1)), np.ones(2), quantiles=[1.0]),
            ValueError,
            "quantiles: expected numbers above 0 and below 1, got [1.0]",
        ),
        (
            lambda: quantile_loss(np.ones(2), np.ones(2)),
            ValueError,
            "output: expected shape (2, 1), got (2,)",
        ),
        (
            lambda: linear_softmax_cross_entropy(LINEAR, np.ones((5, 3)), [0] * 5),
            ValueError,
            "x: expected shape (..., 2), got (5, 3)",
        ),
    ],
)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()
