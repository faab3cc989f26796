"""Promise 1: a sequence's result does not depend on how the work was cut, to the last bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastlstm
from fastlstm import _core
from fastlstm._reference import Reference

MODELS = {
    "lstm": lambda dtype: fastlstm.LSTM(5, 19, num_layers=2, dtype=dtype, rng=0),
    "projected": lambda dtype: fastlstm.LSTM(5, 19, proj_size=7, dtype=dtype, rng=0),
    "tanh": lambda dtype: fastlstm.RNN(5, 19, dtype=dtype, rng=0),
    "relu": lambda dtype: fastlstm.RNN(5, 70, nonlinearity="relu", dtype=dtype, rng=0),
    "gru": lambda dtype: fastlstm.GRU(5, 70, num_layers=2, dtype=dtype, rng=0),
    "gru, reset first": lambda dtype: fastlstm.GRU(
        5, 37, num_layers=2, reset_after=False, dtype=dtype, rng=0
    ),
}

models = st.builds(
    lambda name, dtype: MODELS[name](dtype),
    st.sampled_from(sorted(MODELS)),
    st.sampled_from(["float32", "float64"]),
)
seeds = st.integers(0, 2**32 - 1)


def random(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def same(a, b):
    return a.tobytes() == b.tobytes()


@given(model=models, T=st.integers(1, 9), B=st.integers(1, 20), place=st.integers(0, 19), seed=seeds)
def test_alone_and_in_a_batch(model, T, B, place, seed):
    x, place = random(seed, T, B, 5), place % B
    y, state = model(x)
    alone, alone_state = model(x[:, place])
    assert same(np.ascontiguousarray(y[:, place]), alone)
    for whole, single in zip(parts(state), parts(alone_state), strict=True):
        assert same(np.ascontiguousarray(whole[:, place]), single)


@given(model=models, lengths=st.lists(st.integers(0, 9), min_size=1, max_size=12), seed=seeds)
def test_ragged_and_one_by_one(model, lengths, seed):
    x = random(seed, 9, len(lengths), 5)
    y, state = model(x, lengths=lengths)
    for b, length in enumerate(lengths):
        alone, alone_state = model(x[:length, b])
        assert same(np.ascontiguousarray(y[:length, b]), alone)
        assert not y[length:, b].any()
        for whole, single in zip(parts(state), parts(alone_state), strict=True):
            assert same(np.ascontiguousarray(whole[:, b]), single)


@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=12), seed=seeds)
def test_ragged_bidirectional_and_one_by_one(lengths, seed):
    model = fastlstm.LSTM(5, 19, num_layers=2, bidirectional=True, rng=0)
    x = random(seed, 9, len(lengths), 5)
    y, state = model(x, lengths=lengths)
    for b, length in enumerate(lengths):
        alone, alone_state = model(x[:length, b])
        assert same(np.ascontiguousarray(y[:length, b]), alone)
        assert all(same(np.ascontiguousarray(w[:, b]), s) for w, s in zip(state, alone_state, strict=True))


@given(model=models, pieces=st.lists(st.integers(0, 5), min_size=1, max_size=6), seed=seeds)
def test_whole_and_in_pieces(model, pieces, seed):
    x = random(seed, sum(pieces), 3, 5)
    y, state = model(x)
    at, carried = 0, None
    for piece in pieces:
        y_piece, carried = model(x[at : at + piece], carried)
        assert same(y_piece, y[at : at + piece])
        at += piece
    assert all(same(a, b) for a, b in zip(parts(state), parts(carried), strict=True))


@given(model=models, T=st.integers(1, 9), batch_size=st.one_of(st.none(), st.integers(1, 7)), seed=seeds)
def test_whole_and_step_by_step(model, T, batch_size, seed):
    x = random(seed, T, 5) if batch_size is None else random(seed, T, batch_size, 5)
    y, state = model(x)
    stream = model.stream(batch_size)
    for t in range(T):
        assert same(stream.step(x[t]), y[t])
    assert all(same(a, b) for a, b in zip(parts(state), parts(stream.state), strict=True))


@given(
    kind=st.sampled_from([fastlstm.LSTM, fastlstm.RNN, fastlstm.GRU]),
    sizes=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    T=st.integers(15, 60),
    reverse=st.booleans(),
    seed=seeds,
)
def test_rows_projected_beside_the_steps(kind, sizes, T, reverse, seed):
    """A long sequence alone goes another way than one in a batch, of sequences or of directions."""
    model = kind(*sizes, bidirectional=reverse, rng=0)
    x = random(seed, T, 2, sizes[0]).astype(np.float32)
    y, state = model(x)
    alone, alone_state = model(x[:, 1])
    assert same(np.ascontiguousarray(y[:, 1]), alone)
    for whole, single in zip(parts(state), parts(alone_state), strict=True):
        assert same(np.ascontiguousarray(whole[:, 1]), single)


@pytest.mark.parametrize("H", [17, 64, 100, 330])
@pytest.mark.parametrize(
    "options", [{}, {"bidirectional": True}, {"num_layers": 3}, {"proj_size": 9}], ids=repr
)
def test_one_sequence_on_any_number_of_threads(threads, H, options):
    model = fastlstm.LSTM(40, H, rng=0, **options)
    x = random(0, 61, 40).astype(np.float32)
    results = set()
    for count in (1, 2, 3, 7):
        _core.set_num_threads(count)
        y, (h_n, c_n) = model(x)
        kept = model.forward(x)[0]
        results |= {
            y.tobytes() + h_n.tobytes() + c_n.tobytes(),
            kept.tobytes() + h_n.tobytes() + c_n.tobytes(),
        }
    assert len(results) == 1


@pytest.mark.parametrize("ragged", [False, True])
def test_any_number_of_threads(threads, ragged):
    model = fastlstm.LSTM(40, 100, bidirectional=True, rng=0)
    x = random(0, 30, 37, 40)
    lengths = np.random.default_rng(0).integers(0, 31, 37) if ragged else None
    results = set()
    for count in (1, 2, 3, 7):
        _core.set_num_threads(count)
        y, (h_n, c_n) = model(x, lengths=lengths)
        results.add(y.tobytes() + h_n.tobytes() + c_n.tobytes())
    assert len(results) == 1


def test_training_and_evaluation_forward_are_the_same():
    model = fastlstm.LSTM(5, 19, num_layers=2, bidirectional=True, rng=0)
    x = random(0, 9, 8, 5)
    assert same(model(x)[0], model.forward(x)[0])


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"bidirectional": True, "num_layers": 2},
        {"num_layers": 3},
        {"num_layers": 2, "proj_size": 30},
        {"num_layers": 4, "dropout": 0.3},
    ],
    ids=repr,
)
def test_passes_side_by_side(threads, options, ragged):
    """Directions, and layers some steps apart, run on threads of their own where they are long enough."""
    T, B = 60, 3
    x = random(0, T, B, 50).astype(np.float32)
    lengths = [T, 17, 41] if ragged else None
    results = set()
    for count in (1, 2, 3):
        _core.set_num_threads(count)
        model = fastlstm.LSTM(50, 64, rng=0, **options)
        y, state = model(x, lengths=lengths)
        y_kept, state_kept, tape = model.forward(x, lengths=lengths)
        gradients = tape.backward(np.ones_like(y))
        arrays = (y, *state, y_kept, *state_kept, gradients.input, *gradients.parameters.values())
        results.add(b"".join(array.tobytes() for array in arrays))
    assert len(results) == 1


@pytest.mark.parametrize(
    "model",
    [
        fastlstm.LSTM(40, 330, rng=0),
        fastlstm.LSTM(9, 500, proj_size=210, rng=0),
        fastlstm.RNN(3, 701, rng=0),
        fastlstm.GRU(3, 401, rng=0),
        fastlstm.GRU(3, 401, reset_after=False, rng=0),
    ],
    ids=repr,
)
def test_weights_too_large_for_a_cache(threads, model):
    """They are gone over in both orders, some units at a time."""
    x = random(0, 7, 3, model.input_size).astype(np.float32)
    fastlstm.set_num_threads(1)
    expected, _ = model(x)
    h_0, c_0 = np.zeros((1, 3, model.output_size)), np.zeros((1, 3, model.hidden_size))
    reference = Reference(model.cell, model.parameters).forward(x, h_0, c_0, [7, 7, 7])[0]
    np.testing.assert_allclose(expected, reference, rtol=1e-4, atol=1e-6)
    for count in (1, 2, 3, 7):
        _core.set_num_threads(count)
        stream = model.stream(3)
        assert same(np.stack([stream.step(x_t) for x_t in x]), expected)
        assert same(model(x)[0], expected)
        y, _, tape = model.forward(x, lengths=[5, 7, 2])
        assert same(y[:5, 0], np.ascontiguousarray(expected[:5, 0]))
        if count == 1:
            gradient = tape.backward(np.ones_like(y)).input
        else:
            assert same(tape.backward(np.ones_like(y)).input, gradient)
