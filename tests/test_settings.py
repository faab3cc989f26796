"""What a thing was built with stays; what may be set anew is checked, and used."""

import copy
import pickle
import re

import numpy as np
import pytest

import fastlstm
from fastlstm import GRU, LSTM, RNN, Embedding, LastStep, Linear, Sequential
from fastlstm.training import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    CosineSchedule,
    ExponentialAverage,
    OneCycleSchedule,
    PlateauSchedule,
    RMSprop,
    StepSchedule,
)


def models():
    return [
        LSTM(3, 64, 2, rng=0),
        RNN(3, 5, nonlinearity="relu", rng=0),
        GRU(3, 5, rng=0),
        GRU(3, 5, reset_after=False, rng=0),
        Embedding(7, 3, 0, rng=0),
        Linear(3, 2, rng=0),
        fastlstm.LayerNorm(3),
        fastlstm.Dropout(0.5, rng=0),
        fastlstm.Tanh(),
        LastStep(),
        Sequential(Embedding(7, 3, rng=0), LSTM(3, 5, rng=0), LastStep()),
    ]


def schedules():
    optimizer = SGD([Linear(1, 1, rng=0)])
    return [
        CosineSchedule(optimizer, 9),
        StepSchedule(optimizer, 3),
        OneCycleSchedule(optimizer, 1.0, 9),
        PlateauSchedule(optimizer),
    ]


def attributes(thing):
    """Return the public attributes that are neither methods nor parameters."""
    names = {name for name in dir(thing) if not name.startswith("_") and not hasattr(type(thing), name)}
    return names.intersection(vars(thing))


@pytest.mark.parametrize("model", models(), ids=repr)
def test_what_a_model_was_built_with_stays(model, tmp_path):
    before = repr(model)
    fixed = {*attributes(model), *model._fixed}
    for name in fixed:
        sentence = f"{name}: expected to stay as this {type(model).__name__} was built, got 9: build another"
        with pytest.raises(AttributeError, match=re.escape(sentence)):
            setattr(model, name, 9)
        with pytest.raises(AttributeError, match=f"{name}: expected to stay"):
            delattr(model, name)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert repr(other) == before
        for name in fixed:
            with pytest.raises(AttributeError, match=name):
                setattr(other, name, 9)
    fastlstm.save(model, tmp_path / "model")
    assert repr(fastlstm.load(tmp_path / "model")) == before


@pytest.mark.parametrize("name", ["parameters", "num_parameters", "generators"])
def test_what_follows_from_the_parameters_has_no_other_way_in(name):
    with pytest.raises(AttributeError, match=name):
        setattr(LSTM(3, 5), name, {})


def test_a_subclass_has_attributes_of_its_own():
    class Named(LSTM):
        def __init__(self, name):
            super().__init__(3, 5, rng=0)
            self.name = name

    model = Named("one")
    model.name = "two"
    del model.name


@pytest.mark.parametrize("schedule", schedules(), ids=lambda schedule: type(schedule).__name__)
def test_what_a_schedule_was_built_with_stays(schedule):
    for name in attributes(schedule) - {"base_lr", "steps", *schedule._changing}:
        with pytest.raises(AttributeError, match=f"{name}: expected to stay"):
            setattr(schedule, name, 9)


@pytest.mark.parametrize(
    ("thing", "name", "good", "bad"),
    [
        (LSTM(3, 5, 2, rng=0), "dropout", 0.5, 7),
        (fastlstm.Dropout(rng=0), "p", 0.2, -1),
        (SGD([Linear(1, 1)]), "lr", 0.0, -1),
        (SGD([Linear(1, 1)]), "momentum", 0.5, 1),
        (SGD([Linear(1, 1)], momentum=0.5), "nesterov", True, "True"),
        (SGD([Linear(1, 1)]), "weight_decay", 1, -1),
        (Adam([Linear(1, 1)]), "betas", (0.5, 0.5), 0.9),
        (Adam([Linear(1, 1)]), "eps", 1e-3, 0),
        (AdamW([Linear(1, 1)]), "weight_decay", 0.0, None),
        (RMSprop([Linear(1, 1)]), "alpha", 0.5, 1),
        (RMSprop([Linear(1, 1)]), "momentum", 0.5, "fast"),
        (RMSprop([Linear(1, 1)]), "centered", True, 1),
        (Adagrad([Linear(1, 1)]), "lr_decay", 0.5, -1),
        (ExponentialAverage(Linear(1, 1)), "decay", 0.5, 1),
    ],
)
def test_settings_are_checked_and_kept(thing, name, good, bad):
    setattr(thing, name, good)
    with pytest.raises((TypeError, ValueError), match=f"{name}: expected .+, got "):
        setattr(thing, name, bad)
    assert getattr(thing, name) == good
    assert getattr(pickle.loads(pickle.dumps(thing)), name) == good


def test_dropout_that_was_set_is_what_forward_drops_and_save_writes(tmp_path):
    model, x = LSTM(3, 50, 2, rng=0), np.ones((4, 3), np.float32)
    model.dropout = 1.0
    fastlstm.save(model, tmp_path / "model")
    assert fastlstm.load(tmp_path / "model").dropout == 1
    assert "dropout=1.0" in repr(model)
    y, _, tape = model.forward(x)
    assert not tape.backward(np.ones_like(y)).input.any()


def test_momentum_may_be_set_later():
    """An optimiser remembers from then on what it needs, as PyTorch's does."""
    late, early = Linear(3, 2, rng=0), Linear(3, 2, rng=0)
    late_sgd, early_sgd = SGD([late], lr=0.1), SGD([early], lr=0.1, momentum=0.9)
    late_sgd.momentum = 0.9
    for _ in range(3):
        for sgd in (late_sgd, early_sgd):
            sgd.step([{"weight": np.ones((2, 3))}])
    assert np.array_equal(late.parameters["weight"], early.parameters["weight"])
    centred = RMSprop([late], momentum=0.0)
    centred.centered, centred.momentum = True, 0.5
    centred.step([{"weight": np.ones((2, 3))}])
    assert {"0.weight.mean", "0.weight.velocity"} <= set(centred.state_dict())
