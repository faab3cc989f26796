"""A mask of steps with holes: the state stays, and what was given last is given again."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import central_differences

from fastlstm import (
    GRU,
    LSTM,
    RNN,
    Embedding,
    LastStep,
    Linear,
    MaxOverTime,
    MeanOverTime,
    Sequential,
    Tanh,
)

MERGES = {"sum": np.add, "mean": lambda a, b: (a + b) / 2, "mul": np.multiply}


def shown(mask, backward):
    """Return which of a sequence's steps, counted without the masked ones, each step shows; -1 for none."""
    steps, last, found = range(len(mask)), -1, np.full(len(mask), -1)
    numbers = np.cumsum(mask) - 1
    for t in reversed(steps) if backward else steps:
        last = numbers[t] if mask[t] else last
        found[t] = last
    return found


def spread(y, mask, backward):
    """Return what one direction gives at all steps, from what it gave at those that are not masked."""
    rows = np.concatenate([y, np.zeros((1, y.shape[1]), y.dtype)])
    return rows[shown(mask, backward)]


def by_hand(model, x, mask):
    """Return y and the final states of sequences (T, B, I), each run without its masked steps."""
    ys, finals = [], []
    size = model.output_size
    for b in range(x.shape[1]):
        y, final = model(x[mask[:, b], b])
        if model.bidirectional and model.merge != "concat":
            trace = model.trace(x[mask[:, b], b])
            y = np.concatenate([trace[model.num_layers - 1, k].h for k in range(2)], axis=-1)
        columns = [y[:, k * size :][:, :size] for k in range(model.directions)]
        parts = [spread(part, mask[:, b], model.reverse or k == 1) for k, part in enumerate(columns)]
        together = MERGES.get(model.merge, lambda *both: np.concatenate(both, axis=-1))
        ys.append(together(*parts))
        finals.append(np.concatenate(model._from_state(final, ""), axis=-1))
    shape = (x.shape[0], 0, model._gives)
    return np.stack(ys, axis=1) if ys else np.zeros(shape), finals


models = st.builds(
    lambda kind, directions, **options: kind(
        3,
        5,
        bidirectional=directions in ("both", *MERGES),
        merge=directions if directions in MERGES else "concat",
        reverse=directions == "reverse",
        rng=0,
        **options,
    ),
    kind=st.sampled_from([LSTM, RNN, GRU]),
    directions=st.sampled_from(["one", "reverse", "both", *MERGES]),
    num_layers=st.integers(1, 3),
    batch_first=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
)


@given(
    model=models,
    T=st.integers(0, 7),
    B=st.integers(0, 5),
    share=st.sampled_from([0.0, 0.3, 0.7, 1.0]),
    seed=st.integers(0, 99),
)
def test_as_each_sequence_without_its_masked_steps(model, T, B, share, seed):
    rng = np.random.default_rng(seed)
    x, mask = rng.standard_normal((T, B, 3)).astype(model.dtype), rng.random((T, B)) < share
    expected, finals = by_hand(model, x, mask)
    x[~mask] = np.nan
    time_last = (lambda a: a.swapaxes(0, 1)) if model.batch_first else lambda a: a
    given_x, given_mask = time_last(x), time_last(mask)
    for y, final, *_ in (model(given_x, mask=given_mask), model.forward(given_x, mask=given_mask)):
        assert np.array_equal(time_last(y), expected)
        together = np.concatenate(model._from_state(final, ""), axis=-1)
        assert all(np.array_equal(together[:, b], final) for b, final in enumerate(finals))


@pytest.mark.parametrize("directions", ["one", "reverse", "both", *MERGES])
@pytest.mark.parametrize("kind", [LSTM, RNN, GRU])
def test_gradients(kind, directions):
    rng = np.random.default_rng(0)
    model = kind(
        2,
        3,
        2,
        bidirectional=directions in ("both", *MERGES),
        merge=directions if directions in MERGES else "concat",
        reverse=directions == "reverse",
        dtype="float64",
        rng=0,
    )
    x, mask = rng.standard_normal((5, 4, 2)), rng.random((5, 4)) < 0.5
    mask[:, 1] = False
    y, final, tape = model.forward(x, mask=mask)
    dy = rng.standard_normal(y.shape)
    dfinal = model._to_state([rng.standard_normal(part.shape) for part in model._from_state(final, "")])
    gradients = tape.backward(dy, dfinal)

    def loss(**changed):
        model.update(changed)
        y, final = model(x, mask=mask)
        parts = zip(model._from_state(final, ""), model._from_state(dfinal, ""), strict=True)
        return (y * dy).sum() + sum((part * dpart).sum() for part, dpart in parts)

    np.testing.assert_allclose(gradients.input, central_differences(loss, x), atol=1e-7)
    assert not gradients.input[~mask].any()
    for name in ("weight_hh_l0", "bias_ih_l1"):
        array = model.parameters[name].copy()
        numeric = central_differences(lambda name=name, array=array: loss(**{name: array}), array)
        np.testing.assert_allclose(gradients.parameters[name], numeric, atol=1e-7)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_mask_of_lengths(bidirectional):
    model = LSTM(3, 5, 2, bidirectional=bidirectional, rng=0)
    x, lengths = np.random.default_rng(0).standard_normal((6, 4, 3)), np.array([6, 2, 0, 5])
    mask = np.arange(6)[:, None] < lengths
    (y, state), (expected, expected_state) = model(x, mask=mask), model(x, lengths=lengths)
    assert np.array_equal(y[mask], expected[mask])
    assert np.array_equal(y[5, 1, :5], expected[1, 1, :5])  # repeated, where lengths give zeros
    assert all(np.array_equal(a, b) for a, b in zip(state, expected_state, strict=True))


def test_a_mask_that_masks_nothing_costs_nothing():
    model, x = GRU(3, 5, batch_first=True, rng=0), np.random.default_rng(0).standard_normal((4, 6, 3))
    assert np.array_equal(model(x, mask=np.ones((4, 6), bool))[0], model(x)[0])
    _, _, tape = model.forward(x, mask=np.ones((4, 6), bool))
    assert tape._kept.arrangement.dense


@pytest.mark.parametrize("batch_first", [False, True])
def test_one_sequence(batch_first):
    model = LSTM(3, 5, 2, bidirectional=True, batch_first=batch_first, rng=0)
    x, mask = (
        np.random.default_rng(0).standard_normal((6, 3)),
        np.array([False, True, False, True, True, False]),
    )
    expected, (final,) = by_hand(model, x[:, None], mask[:, None])
    y, state, tape = model.forward(x, mask=mask)
    assert np.array_equal(y, expected[:, 0])
    assert np.array_equal(np.concatenate(state, axis=-1), final)
    assert tape.backward(np.ones_like(y)).input.shape == x.shape
    vector = Sequential(Linear(3, 3, rng=0), model, LastStep())(x, mask=mask)
    assert vector.shape == (10,)


def test_a_trace_has_zeros_where_nothing_ran():
    model = LSTM(3, 5, 2, rng=0)
    x, mask = (
        np.random.default_rng(0).standard_normal((6, 2, 3)),
        np.random.default_rng(1).random((6, 2)) < 0.5,
    )
    trace = model.trace(x, mask=mask)
    y, _ = model(x, mask=mask)
    assert np.array_equal(trace.y, y)
    for place in (trace[0, 0], trace[1, 0]):
        for array in place.by_name().values():
            assert not array[~mask].any()
            assert array[mask].all()
    assert np.array_equal(trace[1, 0].h[mask], y[mask])
    assert trace.sequence(1).y.shape == (6, 5)


x = np.random.default_rng(0).standard_normal((6, 4, 3))
MASK = np.random.default_rng(3).random((6, 4)) < 0.6
MASK[:, 2] = False


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("directions", [{}, {"bidirectional": True}, {"reverse": True}])
def test_the_last_step_is_the_final_state(directions, batch_first):
    lstm = LSTM(3, 5, 2, batch_first=batch_first, rng=0, **directions)
    given = (x.swapaxes(0, 1), MASK.T) if batch_first else (x, MASK)
    _, (h_n, _) = lstm(given[0], mask=given[1])
    expected = np.concatenate(h_n[-lstm.directions :], axis=-1)
    assert np.array_equal(Sequential(lstm, LastStep())(given[0], mask=given[1]), expected)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("directions", [{}, {"bidirectional": True}, {"reverse": True}])
@pytest.mark.parametrize("make", [LastStep, MeanOverTime, MaxOverTime])
def test_readouts_read_what_is_not_masked(make, directions, batch_first):
    readout = make()
    given = (x.swapaxes(0, 1).copy(), MASK.T) if batch_first else (x.copy(), MASK)
    options = {"mask": given[1], "batch_first": batch_first} | directions
    if directions.get("bidirectional"):
        given = (np.concatenate([given[0], given[0]], axis=-1), given[1])
    y, tape = readout.forward(given[0], **options)
    by_sequence = given[0] if batch_first else given[0].swapaxes(0, 1)
    for vector, steps, mask in zip(y, by_sequence, MASK.T, strict=True):
        np.testing.assert_allclose(vector, readout(steps[mask], **directions), atol=1e-14)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    numeric = central_differences(lambda: (readout(given[0], **options) * dy).sum(), given[0])
    np.testing.assert_allclose(tape.backward(dy).input, numeric, atol=1e-8)


@pytest.mark.parametrize("readout", [[], [LastStep()], [MeanOverTime()], [MaxOverTime()]], ids=repr)
def test_through_a_stack(readout):
    """What stands at masked steps has no influence on results or gradients."""
    model = Sequential(
        Linear(3, 4, dtype="float64", rng=0),
        LSTM(4, 5, bidirectional=True, dtype="float64", rng=0),
        Tanh(),
        GRU(10, 3, dtype="float64", rng=0),
        *readout,
    )
    hidden = x.copy()
    hidden[~MASK] = np.nan
    y, state, tape = model.forward(hidden, mask=MASK)
    assert np.isfinite(y).all()
    assert np.array_equal(model(x, mask=MASK), y)
    assert np.array_equal(model.run(hidden, mask=MASK)[1][1], state[1])
    dy = np.random.default_rng(1).standard_normal(y.shape)
    gradients = tape.backward(dy)
    assert not gradients.input[~MASK].any()
    inputs = x.copy()
    numeric = central_differences(lambda: (model(inputs, mask=MASK) * dy).sum(), inputs)
    np.testing.assert_allclose(gradients.input, numeric, atol=1e-7)
    weight = model.parameters["0.weight"].copy()

    def loss():
        model.update({"0.weight": weight})
        return (model(x, mask=MASK) * dy).sum()

    numeric = central_differences(loss, weight)
    np.testing.assert_allclose(gradients.parameters["0.weight"], numeric, atol=1e-7)


def test_of_indices():
    model = Sequential(Embedding(7, 3, rng=0), GRU(3, 5, rng=0), LastStep())
    indices = np.random.default_rng(0).integers(0, 7, (6, 4))
    other = np.where(MASK, indices, 99)  # no index at all
    assert np.array_equal(model(other, mask=MASK), model(indices, mask=MASK))


def test_the_mask_is_read_at_once():
    model, mask = LSTM(3, 5, rng=0), MASK.copy()
    y, _, tape = model.forward(x, mask=mask)
    expected = model.forward(x, mask=MASK)[2].backward(y)
    mask[...] = True
    assert np.array_equal(tape.backward(y).input, expected.input)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"mask": MASK.astype(int)}, TypeError, "mask: expected an array of booleans, got dtype int64"),
        ({"mask": MASK.T}, ValueError, "mask: expected shape (6, 4), got (4, 6)"),
        ({"mask": MASK[..., None]}, ValueError, "mask: expected shape (6, 4), got (6, 4, 1)"),
        ({"mask": MASK, "lengths": [6] * 4}, ValueError, "mask: expected None with lengths, got a mask"),
    ],
)
def test_refusals(options, error, sentence):
    lstm = LSTM(3, 5, rng=0)
    calls = (lstm, lstm.run, lstm.forward, lstm.trace, Sequential(lstm), Sequential(lstm).forward, LastStep())
    for call in calls:
        with pytest.raises(error, match=re.escape(sentence)):
            call(x, **options)
    with pytest.raises(ValueError, match=re.escape("mask: expected shape (6,), got (6, 4)")):
        lstm(x[:, 0], mask=MASK)
