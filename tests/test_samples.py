"""Batches, windows, and what a model says of whole sets of sequences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_fit import LENGTHS, readout_model, sequences, step_targets, steps_model

from fastlstm import LSTM, RNN
from fastlstm.training import (
    SGD,
    clip_gradient_norm,
    evaluate,
    fit,
    mean_squared_error,
    predict,
)
from fastlstm.training.samples import POOL, Samples


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(1, 9), st.booleans(), st.integers(0, 9)
)
def test_each_sequence_once_an_epoch(lengths, batch_size, shuffle, seed):
    samples = Samples((sequences(lengths), None), LSTM(3, 1))
    batches = samples.plan(batch_size, np.random.default_rng(seed) if shuffle else None)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert sum(len(batch) < batch_size for batch in batches) <= 1
    if not shuffle:
        assert np.concatenate(batches).tolist() == list(range(len(lengths)))


def test_batches_are_of_like_lengths_and_new_each_time():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 200, 64 * POOL)
    samples = Samples((sequences(lengths.tolist(), size=1), None), LSTM(1, 1))
    batches = samples.plan(32, rng)
    waste = sum(lengths[batch].max() * len(batch) for batch in batches) / lengths.sum()
    assert waste < 1.2
    assert {tuple(sorted(batch)) for batch in batches}.isdisjoint(
        tuple(sorted(batch)) for batch in samples.plan(32, rng)
    )


@settings(max_examples=30)
@given(st.integers(1, 12), st.booleans(), st.booleans())
def test_windows_are_the_whole(steps, ragged, batch_first):
    x = sequences(LENGTHS if ragged else [6, 6, 6])
    model = steps_model(batch_first=batch_first)
    data = (x, step_targets(x), np.arange(len(x)))
    whole = evaluate(model, data, mean_squared_error)
    assert evaluate(model, data, mean_squared_error, bptt=steps) == pytest.approx(whole, rel=1e-6)


def test_truncated_gradients_stay_in_their_window():
    """With windows of one step and plain descent, an RNN's gradient is that of single steps."""
    x = np.random.default_rng(0).standard_normal((2, 3, 3))
    fitted, by_hand = RNN(3, 2, rng=0, dtype="float64"), RNN(3, 2, rng=0, dtype="float64")
    fit(
        fitted,
        (x, x[..., :2]),
        mean_squared_error,
        optimizer=lambda m: SGD(m, lr=0.1),
        epochs=1,
        bptt=1,
        shuffle=False,
    )
    sgd, state = SGD([by_hand], lr=0.1), None
    for t in range(3):
        y, state, tape = by_hand.forward(x[:, t][None], state)
        _, dy = mean_squared_error(y, x[:, t, :2][None])
        gradients = dict(tape.backward(dy).parameters)
        clip_gradient_norm([gradients], 1.0)
        sgd.step([gradients])
    for name, array in by_hand.parameters.items():
        np.testing.assert_allclose(fitted.parameters[name], array, rtol=1e-12)


@pytest.mark.parametrize("batch_first", [False, True])
def test_predict(batch_first):
    x = sequences()
    model = steps_model(batch_first=batch_first)
    for batch_size in (1, 3, 64):
        outputs = predict(model, x, batch_size=batch_size)
        assert all(
            output.tobytes() == model(sequence).tobytes() for output, sequence in zip(outputs, x, strict=True)
        )
    rows = predict(readout_model(batch_first=batch_first), x)
    assert rows.shape == (7, 2)
    assert rows[3].tobytes() == readout_model()(x[3]).tobytes()
    assert predict(LSTM(3, 2, rng=0), np.ones((4, 5, 3)))[0].shape == (5, 2)
