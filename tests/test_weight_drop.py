"""Recurrent weights that fall out for a pass."""

import re

import numpy as np
import pytest

from fastlstm import GRU, LSTM, RNN, Sequential, fit
from fastlstm.model.masks import drop_mask
from fastlstm.training import mean_squared_error

MODELS = {
    "lstm": lambda **more: LSTM(3, 5, 2, bidirectional=True, proj_size=2, dtype="float64", rng=0, **more),
    "gru": lambda **more: GRU(3, 5, 2, dtype="float64", rng=0, **more),
    "rnn": lambda **more: RNN(3, 5, reverse=True, dtype="float64", rng=0, **more),
    "merged": lambda **more: GRU(3, 5, 2, bidirectional=True, merge="sum", dtype="float64", rng=0, **more),
}
x = np.random.default_rng(0).standard_normal((6, 4, 3))


@pytest.mark.parametrize("lengths", [None, [6, 0, 3, 5]])
@pytest.mark.parametrize("name", MODELS)
def test_as_a_model_of_the_weights_that_stay(name, lengths):
    model, plain = MODELS[name](weight_drop=0.5), MODELS[name]()
    y, _, tape = model.forward(x, lengths=lengths)
    masks = tape._kept.weight_masks
    assert masks.keys() == {name for name in model.parameters if "weight_hh" in name}
    assert all(set(np.unique(mask)) == {0, 2} for mask in masks.values())
    plain.update({name: plain.parameters[name] * mask for name, mask in masks.items()})
    expected_y, _, expected_tape = plain.forward(x, lengths=lengths)
    assert np.array_equal(y, expected_y)
    gradients, expected = tape.backward(y), expected_tape.backward(y)
    assert np.array_equal(gradients.input, expected.input)
    for name, gradient in gradients.parameters.items():
        assert np.array_equal(gradient, expected.parameters[name] * masks.get(name, 1))


def test_other_weights_in_every_pass_and_none_in_evaluation():
    model, plain = MODELS["lstm"](weight_drop=0.3), MODELS["lstm"]()
    assert not np.array_equal(model.forward(x)[0], model.forward(x)[0])
    assert np.array_equal(model(x)[0], plain(x)[0])
    assert np.array_equal(model.trace(x).y, plain(x)[0])
    assert repr(model).endswith("weight_drop=0.3)")


def test_the_models_generator_draws():
    one, other = (MODELS["lstm"](weight_drop=0.3) for _ in range(2))
    for _ in range(2):
        assert np.array_equal(one.forward(x)[0], other.forward(x)[0])
    (generator,) = one.generators
    state = generator.bit_generator.state
    y, _, _ = one.forward(x)
    generator.bit_generator.state = state
    assert np.array_equal(one.forward(x)[0], y)


def test_what_is_refused_draws_nothing():
    model = MODELS["lstm"](weight_drop=0.3)
    (generator,) = model.generators
    state = generator.bit_generator.state
    with pytest.raises(ValueError, match="state h: expected shape"):
        model.forward(x, (np.ones(3), np.ones(3)))
    assert generator.bit_generator.state == state


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_shares(p):
    mask = drop_mask(np.random.default_rng(0), p, (500, 401), np.dtype("f"))
    values, counts = np.unique(mask, return_counts=True)
    np.testing.assert_allclose(values, [0, 1 / (1 - p)], rtol=1e-3)
    assert abs(counts[0] / mask.size - p) < 0.005
    assert abs(np.corrcoef(mask[:, :-1].ravel(), mask[:, 1:].ravel())[0, 1]) < 0.01


def test_all_or_none():
    assert not drop_mask(np.random.default_rng(0), 1.0, (5, 3), np.dtype("f")).any()
    assert np.all(drop_mask(np.random.default_rng(0), 0.0, (5, 3), np.dtype("f")) == 1)
    model = RNN(3, 5, weight_drop=1.0, rng=0)
    _, _, tape = model.forward(x)
    assert not tape.backward(np.ones((6, 4, 5))).parameters["weight_hh_l0"].any()


def test_it_is_trained():
    model = Sequential(LSTM(3, 3, rng=0, weight_drop=0.2))
    data = np.random.default_rng(0).standard_normal((16, 6, 3)).astype("f")
    history = fit(model, (data, np.tanh(data)), mean_squared_error, epochs=20, batch_size=8, rng=0)
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize(("p", "error"), [(1.5, ValueError), (-0.1, ValueError), ("half", TypeError)])
def test_refusals(p, error):
    with pytest.raises(error, match=re.escape(f"weight_drop: expected a number in [0, 1], got {p!r}")):
        LSTM(3, 5, weight_drop=p)
