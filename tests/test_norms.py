"""Norms over a batch, groups of channels and time: values, gradients, ragged, in a model, as a stream."""

import re

import numpy as np
import pytest
from support import central_differences

import fastlstm
from fastlstm import LSTM, BatchNorm1d, Conv1d, GroupNorm, LastStep, Linear, Sequential
from fastlstm.training import mean_squared_error

NORMS = [
    lambda dtype="float64": BatchNorm1d(4, dtype=dtype),
    lambda dtype="float64": BatchNorm1d(4, affine=False, dtype=dtype),
    lambda dtype="float64": GroupNorm(2, 4, dtype=dtype),
    lambda dtype="float64": GroupNorm(4, 4, affine=False, dtype=dtype),
    lambda dtype="float64": GroupNorm(2, 4, over_time=False, dtype=dtype),
]


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def drawn(layer):
    """Return the layer with parameters drawn at random; variances stay positive."""
    return layer.load_state_dict(
        {name: np.abs(normal(7, *array.shape)) + 0.1 for name, array in layer.parameters.items()}
    )


@pytest.mark.parametrize("make", NORMS)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(
    "steps", [{}, {"lengths": [5, 1, 0]}, {"mask": [[1, 1, 0], [0, 1, 1], [1] * 3] + [[0] * 3] * 2}]
)
def test_gradients(make, batch_first, steps):
    layer, x = drawn(make()), normal(0, 5, 3, 4)
    options = {"batch_first": batch_first} | steps
    if "mask" in steps:
        mask = np.array(steps["mask"], bool)
        options["mask"] = mask.T if batch_first else mask
    x = x.swapaxes(0, 1).copy() if batch_first else x
    weights = layer.state_dict()
    y, tape = layer.forward(x, **options)
    dy = normal(1, *y.shape)
    gradients = tape.backward(dy)

    def loss():
        return (layer.load_state_dict(weights).forward(x, **options)[0] * dy).sum()

    np.testing.assert_allclose(gradients.input, central_differences(loss, x), atol=1e-6)
    for name, gradient in gradients.parameters.items():
        np.testing.assert_allclose(gradient, central_differences(loss, weights[name]), atol=1e-6)
    assert gradients.parameters.keys() == weights.keys() - {"running_mean", "running_var"}


def test_batch_norm_in_evaluation_goes_backward_too():
    layer, x, dy = drawn(BatchNorm1d(4, dtype="float64")), normal(0, 5, 4), normal(1, 5, 4)
    model = Sequential(layer)
    y, _, tape = model.forward(x, drop=False)
    assert np.array_equal(y, model(x))
    numeric = central_differences(lambda: (model(x) * dy).sum(), x)
    np.testing.assert_allclose(tape.backward(dy).input, numeric, atol=1e-8)


def test_running_statistics_are_of_real_steps():
    layer, x = BatchNorm1d(4, momentum=0.5, dtype="float64"), normal(0, 5, 2, 4)
    rows = np.concatenate([x[:5, 0], x[:2, 1]])
    x[2:, 1] = np.nan
    y, _ = layer.forward(x, lengths=[5, 2])
    np.testing.assert_allclose(layer.parameters["running_mean"], rows.mean(axis=0) / 2)
    np.testing.assert_allclose(layer.parameters["running_var"], 0.5 + rows.var(axis=0, ddof=1) / 2)
    np.testing.assert_allclose(y[:5, 0].sum(axis=0) + y[:2, 1].sum(axis=0), 0, atol=1e-12)
    assert not y[2:, 1].any()


@pytest.mark.parametrize("make", NORMS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_same_bits_in_any_company(make, batch_first):
    layer, x, lengths = drawn(make("float32")), normal(0, 60, 4, 4).astype("f"), [60, 3, 0, 41]
    for b, length in enumerate(lengths):
        x[length:, b] = np.nan
    given = x.swapaxes(0, 1).copy() if batch_first else x
    y = layer(given, lengths=lengths, batch_first=batch_first)
    y = y.swapaxes(0, 1) if batch_first else y
    for b, length in enumerate(lengths):
        assert layer(x[:length, b]).tobytes() == np.ascontiguousarray(y[:length, b]).tobytes()
        assert not y[length:, b].any()


def test_in_a_model_streamed_and_trained():
    model = Sequential(
        Conv1d(2, 4, 3, padding=1, rng=0),
        BatchNorm1d(4),
        LSTM(4, 4, rng=1),
        GroupNorm(2, 4, over_time=False),
        Linear(4, 1, rng=2),
    )
    x = normal(0, 6, 9, 2).astype("f")
    history = fastlstm.fit(model, (x, x.sum(axis=2, keepdims=True)), mean_squared_error, epochs=20, rng=0)
    assert history["loss"][-1] < history["loss"][0]
    assert model.parameters["1.running_mean"].any()
    stream = model.stream(6)
    steps = x.swapaxes(0, 1)
    assert np.array_equal(
        np.concatenate([stream.feed(steps[:4]), stream.feed(steps[4:]), stream.finish()]), model(steps)
    )


def test_batch_norm_behind_a_readout():
    model = Sequential(LSTM(2, 4, rng=0), LastStep(), BatchNorm1d(4), Linear(4, 1, rng=1))
    y, _, tape = model.forward(normal(0, 5, 6, 2))
    assert tape.backward(np.ones_like(y)).parameters.keys() < model.parameters.keys()


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: BatchNorm1d(4, momentum=2), ValueError, "momentum: expected a number in [0, 1], got 2"),
        (
            lambda: BatchNorm1d(4).forward(np.ones((1, 4))),
            ValueError,
            "x: expected at least two steps in training",
        ),
        (lambda: BatchNorm1d(4)(np.ones(3)), ValueError, "x: expected shape (..., 4), got (3,)"),
        (lambda: GroupNorm(3, 4), ValueError, "num_channels: expected a multiple of num_groups=3, got 4"),
        (lambda: GroupNorm(2, 4)(np.ones(4)), ValueError, "x: expected shape (T, B, 4) or (T, 4), got (4,)"),
        (
            lambda: Sequential(LSTM(2, 4), GroupNorm(2, 4)).stream(),
            ValueError,
            "model: expected one that runs forward in time, without readout",
        ),
        (
            lambda: Sequential(LastStep(), GroupNorm(2, 4)),
            ValueError,
            "layers: expected nothing over time after LastStep(), got GroupNorm(2, 4) at 1",
        ),
    ],
)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()
