"""A model that runs from last step to first is half of a bidirectional one, whatever is asked of it."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm import GRU, LSTM, RNN, LastStep, Linear, Sequential, StreamPool, fit
from fastlstm.inspection import gradient_reach
from fastlstm.serve import Batcher
from fastlstm.training import mean_squared_error


def both_and_half(kind, dtype, batch_first=False, **options):
    """Return a bidirectional model of one layer, and one that is its reverse direction."""
    both = kind(3, 5, bidirectional=True, dtype=dtype, batch_first=batch_first, rng=0, **options)
    half = kind(3, 5, reverse=True, dtype=dtype, batch_first=batch_first, rng=0, **options)
    half.load_state_dict(
        {name.removesuffix("_reverse"): array for name, array in both.parameters.items() if "reverse" in name}
    )
    return both, half


@given(
    kind=st.sampled_from([LSTM, RNN, GRU]),
    dtype=st.sampled_from(["float32", "float64"]),
    T=st.integers(0, 6),
    B=st.integers(0, 5),
    ragged=st.booleans(),
    batch_first=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_same_bits_as_half_of_both(kind, dtype, T, B, ragged, batch_first, seed):
    both, half = both_and_half(kind, dtype, batch_first)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((B, T, 3) if batch_first else (T, B, 3)).astype(dtype)
    lengths = rng.integers(0, T + 1, B) if ragged else None
    (y_both, _, tape_both), (y, _, tape) = (model.forward(x, lengths=lengths) for model in (both, half))
    assert np.array_equal(y, y_both[..., 5:])
    assert np.array_equal(half(x, lengths=lengths)[0], y)
    dy = rng.standard_normal(y.shape).astype(dtype)
    expected = tape_both.backward(np.concatenate([np.zeros_like(dy), dy], axis=-1))
    gradients = tape.backward(dy)
    assert np.array_equal(gradients.input, expected.input)
    for name, gradient in gradients.parameters.items():
        assert np.array_equal(gradient, expected.parameters[f"{name}_reverse"])
    (trace_both, trace) = (model.trace(x, lengths=lengths) for model in (both, half))
    for name, array in trace[0, 0].by_name().items():
        assert np.array_equal(array, trace_both[0, 1].by_name()[name])


@pytest.mark.parametrize("kind", [LSTM, RNN, GRU])
def test_layers_run_backward_one_upon_the_other(kind):
    model = kind(3, 5, 3, reverse=True, rng=0)
    plain = kind(3, 5, 3, rng=0)
    x = np.random.default_rng(0).standard_normal((7, 2, 3)).astype("f")
    (y, state), (y_plain, state_plain) = model(x), plain(x[::-1])
    assert np.array_equal(y, y_plain[::-1])
    assert np.array_equal(state, state_plain)


@pytest.mark.parametrize("kind", [LSTM, RNN, GRU])
def test_streams_refuse_it(kind):
    model = kind(3, 5, reverse=True, rng=0)
    assert not model.is_causal
    for of in (model, Sequential(kind(3, 3, rng=0), model)):
        assert not of.is_causal
        for make in (lambda of=of: of.stream(), lambda of=of: StreamPool(of, 2)):
            with pytest.raises(ValueError, match="model: expected one that runs forward in time"):
                make()
    with pytest.raises(ValueError, match="model: expected one that runs forward in time"):
        gradient_reach(model, np.ones((3, 3)))


def test_one_direction_or_both():
    with pytest.raises(ValueError, match="reverse: expected False with bidirectional=True"):
        LSTM(3, 5, bidirectional=True, reverse=True)
    with pytest.raises(TypeError, match="reverse: expected True or False, got 1"):
        LSTM(3, 5, reverse=1)


def test_trained_served_and_copied():
    model = Sequential(GRU(3, 5, reverse=True, rng=0), LastStep(), Linear(5, 1, rng=0))
    rng = np.random.default_rng(0)
    x = [rng.standard_normal((length, 3)).astype("f") for length in (4, 2, 6, 3)]
    target = np.array([sequence[0, :1] for sequence in x])
    history = fit(model, (x, target), mean_squared_error, epochs=20, batch_size=4, rng=0)
    assert history["loss"][-1] < history["loss"][0]
    expected = model(x[0])
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert repr(other) == repr(model)
        assert np.array_equal(other(x[0]), expected)
    with Batcher(model) as batcher:
        assert np.array_equal(batcher.submit(x[0]).result(), expected)
