"""Averages of weights; against PyTorch in test_optimizers_torch.py."""

import re

import numpy as np
import pytest

from fastlstm import LSTM, Linear, Sequential
from fastlstm.training import EqualAverage, ExponentialAverage


def walk(model, rng):
    model.load_state_dict(
        {name: rng.standard_normal(array.shape) for name, array in model.parameters.items()}
    )


@pytest.mark.parametrize("make", [EqualAverage, ExponentialAverage])
def test_model_has_its_own_weights_back(make):
    model, rng = Sequential(LSTM(3, 4, rng=0), Linear(4, 2, rng=1)), np.random.default_rng(0)
    average = make(model)
    for _ in range(3):
        walk(model, rng)
        average.update()
    own = model.state_dict()

    def fail_inside():
        with average.applied():
            state = average.state_dict()
            assert all(np.array_equal(array, state[name]) for name, array in model.parameters.items())
            assert not any(np.array_equal(array, own[name]) for name, array in model.parameters.items())
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert all(np.array_equal(array, own[name]) for name, array in model.parameters.items())


@pytest.mark.parametrize("make", [EqualAverage, ExponentialAverage])
def test_resumes_to_the_bit(make):
    model, rng = Linear(3, 2, rng=0), np.random.default_rng(0)
    average = make(model)
    for _ in range(3):
        walk(model, rng)
        average.update()
    resumed = make(Linear(3, 2, rng=5))
    resumed.load_state_dict(average.state_dict())
    resumed._model.load_state_dict(model.state_dict())
    for one in (average, resumed):
        walk(one._model, np.random.default_rng(1))
        one.update()
    state = resumed.state_dict()
    assert all(np.array_equal(array, state[name]) for name, array in average.state_dict().items())
    assert state["count"] == 4


def test_what_is_applied_before_the_first_update_is_the_model_at_the_beginning():
    model = Linear(3, 2, rng=0)
    average, before = EqualAverage(model), model.state_dict()
    walk(model, np.random.default_rng(0))
    with average.applied():
        assert np.array_equal(model.parameters["weight"], before["weight"])


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda m: ExponentialAverage(m, 1), ValueError, "decay: expected a number in [0, 1), got 1"),
        (
            lambda m: EqualAverage(m).load_state_dict({"count": 1}),
            ValueError,
            "mapping: expected count and the model's names, got count",
        ),
        (
            lambda m: EqualAverage(m).load_state_dict(m.state_dict() | {"count": 1.5}),
            TypeError,
            "count: expected an array of integers, got dtype float64",
        ),
        (
            lambda m: EqualAverage(m).load_state_dict(m.state_dict() | {"count": 1, "bias": np.ones(3)}),
            ValueError,
            "bias: expected shape (2,), got (3,)",
        ),
        (
            lambda m: EqualAverage(m).load_state_dict(m.state_dict() | {"count": -1}),
            ValueError,
            "count: expected an integer of at least 0, got -1",
        ),
    ],
)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call(Linear(3, 2))
