"""From all steps to one vector: alone, by hand, and behind a recurrent layer."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import central_differences

from fastlstm import (
    LSTM,
    AttentionPool,
    Embedding,
    LastStep,
    Linear,
    MaxOverTime,
    MeanOverTime,
    Sequential,
    Tanh,
    TorchLastStep,
)

READOUTS = [LastStep, TorchLastStep, MeanOverTime, MaxOverTime]


def by_hand(readout, steps, bidirectional):
    """Return what a readout makes of one sequence's real steps."""
    if not len(steps):
        return np.zeros(steps.shape[1])
    if isinstance(readout, MeanOverTime):
        return steps.mean(axis=0)
    if isinstance(readout, MaxOverTime):
        return steps.max(axis=0)
    if isinstance(readout, TorchLastStep):
        return steps[-1]
    half = steps.shape[1] // 2 if bidirectional else steps.shape[1]
    return np.concatenate([steps[-1, :half], steps[0, half:]])


@settings(max_examples=200)
@given(
    st.sampled_from(READOUTS),
    st.integers(0, 4),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
def test_values_and_gradients(make, T, B, ragged, batch_first, bidirectional, seed):
    rng, readout = np.random.default_rng(seed), make()
    lengths = rng.integers(0, T + 1, B) if ragged else None
    ends = [T] * B if lengths is None else lengths
    x, dy = rng.standard_normal((T, B, 4)), rng.standard_normal((B, 4))
    expected = np.array([by_hand(readout, x[:end, b], bidirectional) for b, end in enumerate(ends)])
    options = {"lengths": lengths, "batch_first": batch_first, "bidirectional": bidirectional}
    given_x = x.swapaxes(0, 1).copy() if batch_first else x.copy()
    y, tape = readout.forward(given_x, **options)
    np.testing.assert_allclose(y, expected.reshape(B, 4), atol=1e-14)
    assert np.array_equal(readout(given_x, **options), y)
    gradient = tape.backward(dy).input
    numeric = central_differences(lambda: (readout(given_x, **options) * dy).sum(), given_x)
    np.testing.assert_allclose(gradient, numeric, atol=1e-8)
    for b, end in enumerate(ends):
        (given_x if batch_first else given_x.swapaxes(0, 1))[b, end:] = np.nan
    assert np.array_equal(readout(given_x, **options), y)


@pytest.mark.parametrize("make", READOUTS)
def test_one_sequence(make):
    x = np.random.default_rng(0).standard_normal((3, 4)).astype("f")
    y, tape = make().forward(x)
    assert y.dtype == np.float32
    assert np.array_equal(y, make()(x[:, None])[0])
    assert tape.backward(np.ones(4)).input.shape == x.shape


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("make", READOUTS)
def test_same_bits_in_any_company(make, n, batch_first):
    rng, lengths = np.random.default_rng(0), [200, 3, 0, 150, 77]
    x = rng.standard_normal((5, 200, n)).astype("f")
    y = make()(x if batch_first else x.swapaxes(0, 1).copy(), lengths=lengths, batch_first=batch_first)
    for x_b, y_b, length in zip(x, y, lengths, strict=True):
        assert make()(x_b[:length]).tobytes() == y_b.tobytes()


def test_first_of_several_maxima_has_the_gradient():
    _, tape = MaxOverTime().forward(np.array([[1.0], [2.0], [2.0]]))
    assert tape.backward([1.0]).input.tolist() == [[0], [1], [0]]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
def test_last_step_is_the_last_layers_final_state(ragged, batch_first):
    lstm = LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2, batch_first=batch_first, rng=0)
    x = np.random.default_rng(0).standard_normal((4, 4, 3))
    lengths = [3, 4, 1, 2] if ragged else None
    _, (h_n, _) = lstm(x, lengths=lengths)
    expected = np.concatenate([h_n[2], h_n[3]], axis=1)
    assert np.array_equal(Sequential(lstm, LastStep())(x, lengths=lengths), expected)
    assert np.array_equal(Sequential(lstm, Tanh(), LastStep())(x, lengths=lengths), np.tanh(expected))


def test_behind_a_linear_there_is_one_direction():
    lstm, linear = LSTM(3, 4, bidirectional=True, rng=0), Linear(8, 6, rng=1)
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    assert np.array_equal(Sequential(lstm, linear, LastStep())(x), linear(lstm(x)[0])[-1])


@pytest.mark.parametrize("make", READOUTS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_gradients_in_a_classifier(make, batch_first):
    rng, lengths = np.random.default_rng(0), np.array([3, 0, 5])
    model = Sequential(
        Embedding(7, 3, dtype="float64", rng=0),
        LSTM(3, 2, bidirectional=True, batch_first=batch_first, dtype="float64", rng=1),
        make(),
        Linear(4, 2, dtype="float64", rng=2),
    )
    x, dy = rng.integers(0, 7, (3, 5) if batch_first else (5, 3)), rng.standard_normal((3, 2))
    y, _, tape = model.forward(x, lengths=lengths)
    assert np.array_equal(y, model(x, lengths=lengths))
    assert np.array_equal(y[1], model.parameters["3.bias"])
    gradients, weights = tape.backward(dy).parameters, model.state_dict()

    def loss():
        return (model.load_state_dict(weights)(x, lengths=lengths) * dy).sum()

    for name, array in weights.items():
        np.testing.assert_allclose(gradients[name], central_differences(loss, array), atol=1e-7)


def test_bag_of_words():
    model = Sequential(Embedding(7, 3, rng=0), MeanOverTime(), Linear(3, 2, rng=1))
    x = np.array([[1, 2], [3, -1]])
    embedding, _, linear = model.layers
    np.testing.assert_allclose(
        model(x, lengths=[2, 1]), linear(np.stack([embedding([1, 3]).mean(axis=0), embedding(2)])), rtol=1e-6
    )
    assert model.forward([1, 2, 3])[0].shape == (2,)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: LastStep()(np.ones(3)), ValueError, "x: expected shape (T, B, n) or (T, n), got (3,)"),
        (
            lambda: LastStep()(np.ones((1, 2, 3, 4)), batch_first=True),
            ValueError,
            "x: expected shape (B, T, n) or (T, n), got (1, 2, 3, 4)",
        ),
        (
            lambda: LastStep()(np.ones((2, 3)), bidirectional=True),
            ValueError,
            "x: expected an even last axis, of two directions, got 3",
        ),
        (lambda: MeanOverTime()(np.ones((2, 3)), lengths=[2]), ValueError, "lengths: expected None for one"),
        (lambda: MaxOverTime()(np.ones((2, 1, 3)), lengths=[3]), ValueError, "lengths: expected 0 to T=2"),
        (
            lambda: Sequential(LSTM(3, 4), LastStep(), LSTM(4, 4)),
            ValueError,
            "layers: expected nothing over time after LastStep(), got LSTM(4, 4) at 2",
        ),
        (
            lambda: Sequential(MeanOverTime(), Tanh(), MaxOverTime()),
            ValueError,
            "layers: expected nothing over time after MeanOverTime(), got MaxOverTime() at 2",
        ),
        (
            lambda: Sequential(Embedding(7, 3), LastStep())(np.ones((1, 2, 3), int)),
            ValueError,
            "x: expected shape (T, B) or (T,), got (1, 2, 3)",
        ),
    ],
)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()


@pytest.mark.parametrize("lengths", [None, [3, 0, 4]])
@pytest.mark.parametrize("between", [[], [Tanh()], [Linear(5, 5, dtype="float64", rng=0)]], ids=repr)
def test_the_last_step_of_a_reverse_model_is_where_it_ends(between, lengths):
    x = np.random.default_rng(0).standard_normal((4, 3, 3))
    lstm = LSTM(3, 5, 2, reverse=True, dtype="float64", rng=0)
    y, (h_n, _) = lstm(x, lengths=lengths)
    assert np.array_equal(LastStep()(y, lengths=lengths, reverse=True), h_n[-1])
    rows = h_n[-1]
    for layer in between:
        rows = layer(rows)
    if lengths:
        rows[1] = 0
    np.testing.assert_allclose(Sequential(lstm, *between, LastStep())(x, lengths=lengths), rows, atol=1e-14)


def test_one_direction_or_both():
    with pytest.raises(ValueError, match="reverse: expected False with bidirectional=True"):
        LastStep()(np.ones((2, 4)), bidirectional=True, reverse=True)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [None, [4, 0, 2]])
def test_attention(lengths, batch_first):
    """By hand, backward, without what stands past a sequence's end, and zero without a step."""
    pool, rng = AttentionPool(5, dtype="float64", rng=0), np.random.default_rng(1)
    x, dy = rng.standard_normal((3, 4, 5) if batch_first else (4, 3, 5)), rng.standard_normal((3, 5))
    options = {"lengths": lengths, "batch_first": batch_first}
    y, tape = pool.forward(x, **options)
    for b, length in enumerate(lengths or [4] * 3):
        steps = (x[b] if batch_first else x[:, b])[:length]
        shares = np.exp(steps @ pool.parameters["weight"][0])
        np.testing.assert_allclose(y[b], shares / max(shares.sum(), 1e-9) @ steps, atol=1e-14)
    gradients, weights = tape.backward(dy), pool.state_dict()

    def loss():
        return (pool.load_state_dict(weights)(x, **options) * dy).sum()

    np.testing.assert_allclose(gradients.input, central_differences(loss, x), atol=1e-8)
    numeric = central_differences(loss, weights["weight"])
    np.testing.assert_allclose(gradients.parameters["weight"], numeric, atol=1e-8)
    for b, length in enumerate(lengths or []):
        (x if batch_first else x.swapaxes(0, 1))[b, length:] = np.nan
    assert np.array_equal(pool.load_state_dict(weights)(x, **options), y)


def test_attention_has_the_same_bits_in_any_company():
    x, lengths = np.random.default_rng(0).standard_normal((90, 4, 3)).astype("f"), [90, 3, 0, 50]
    for size in (1, 3):
        pool = AttentionPool(size, rng=0)
        y = pool(x[..., :size], lengths=lengths)
        for b, length in enumerate(lengths):
            assert pool(x[:length, b, :size]).tobytes() == y[b].tobytes()
    with pytest.raises(ValueError, match=re.escape("x: expected shape (..., 3), got (90, 4, 1)")):
        pool(x[..., :1])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_last_step_as_people_write_it(bidirectional):
    lstm = LSTM(3, 4, bidirectional=bidirectional, rng=0)
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    y = Sequential(lstm, TorchLastStep())(x, lengths=[5, 3])
    assert np.array_equal(y[0], lstm(x)[0][-1, 0])
    assert np.array_equal(y[1], lstm(x[:3, 1])[0][-1])
    assert np.array_equal(y, Sequential(lstm, LastStep())(x, lengths=[5, 3])) != bidirectional
