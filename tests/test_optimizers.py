"""Optimisers: what they reach, remember and refuse; against PyTorch in test_optimizers_torch.py."""

import re
from functools import partial

import numpy as np
import pytest

from fastlstm import LSTM, Linear, Sequential, Tanh
from fastlstm.training import SGD, Adagrad, Adam, AdamW, RMSprop, optimizers

ALL = {
    "sgd": partial(SGD, lr=0.1),
    "momentum": partial(SGD, lr=0.05, momentum=0.8, weight_decay=1e-6),
    "nesterov": partial(SGD, lr=0.05, momentum=0.8, nesterov=True),
    "adam": partial(Adam, lr=0.05),
    "adamw": partial(AdamW, lr=0.05, weight_decay=1e-6),
    "rmsprop": partial(RMSprop, lr=0.005),
    "rmsprop with all": partial(RMSprop, lr=0.001, momentum=0.8, centered=True),
    "adagrad": partial(Adagrad, lr=0.5, lr_decay=1e-6, initial_accumulator_value=0.1),
}
each = pytest.mark.parametrize("make", ALL.values(), ids=ALL.keys())

MODELS = [Linear(1, 1, rng=0)]


def random_gradients(model, rng):
    return {name: rng.standard_normal(array.shape) for name, array in model.parameters.items()}


@each
def test_minimises(make):
    """A line through noiseless points is found."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 2))
    target = x @ np.array([[1.5], [-2.0]]) + 0.5
    linear = Linear(2, 1, dtype="float64", rng=0)
    optimizer = make([linear])
    for _ in range(600):
        y, tape = linear.forward(x)
        optimizer.step([tape.backward((y - target) / len(x)).parameters])
    np.testing.assert_allclose(linear.parameters["weight"], [[1.5, -2.0]], atol=0.01)
    np.testing.assert_allclose(linear.parameters["bias"], [0.5], atol=0.01)


@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_resumes_to_the_bit(make, dtype):
    rng = np.random.default_rng(0)
    model = Sequential(LSTM(3, 4, dtype=dtype, rng=0), Linear(4, 2, dtype=dtype, rng=1))
    gradients = [random_gradients(model, rng) for _ in range(7)]
    optimizer = make([model])
    for gradient in gradients[:4]:
        optimizer.step([gradient])
    optimizer.lr /= 3
    weights, state = model.state_dict(), optimizer.state_dict()
    twin = Sequential(LSTM(3, 4, dtype=dtype, rng=5), Linear(4, 2, dtype=dtype, rng=6)).load_state_dict(
        weights
    )
    resumed = make([twin])
    resumed.load_state_dict(state)
    for gradient in gradients[4:]:
        optimizer.step([gradient])
        resumed.step([gradient])
    for name, array in model.parameters.items():
        assert array.tobytes() == twin.parameters[name].tobytes()
    assert np.array_equal(state["lr"], optimizer.lr)
    after = resumed.state_dict()
    assert after.keys() == state.keys()
    assert all(array.tobytes() == optimizer.state_dict()[name].tobytes() for name, array in after.items())


@each
def test_pieces_give_the_same_bits(make, monkeypatch):
    results = []
    for piece in (optimizers.PIECE, 7):
        monkeypatch.setattr(optimizers, "PIECE", piece)
        model, rng = Linear(5, 6, rng=0), np.random.default_rng(0)
        optimizer = make([model])
        for _ in range(3):
            gradients = {name: array.T.copy().T for name, array in random_gradients(model, rng).items()}
            before = {name: array.copy() for name, array in gradients.items()}
            optimizer.step([gradients])
            assert all(np.array_equal(before[name], array) for name, array in gradients.items())
        results.append(model.parameters["weight"].tobytes())
    assert results[0] == results[1]


def test_parameters_without_a_gradient_stay():
    linear = Linear(3, 2, dtype="float64", rng=0)
    adam, alone = Adam([linear], weight_decay=0.1), Linear(3, 2, dtype="float64", rng=0)
    weight = linear.parameters["weight"]
    adam.step([{"bias": np.ones(2)}])
    assert linear.parameters["weight"] is weight
    # Its own first step is then a first step.
    adam.step([{"weight": np.ones((2, 3))}])
    Adam([alone], weight_decay=0.1).step([{"weight": np.ones((2, 3))}])
    assert np.array_equal(linear.parameters["weight"], alone.parameters["weight"])


def test_several_models():
    one, other = Linear(3, 2, rng=0), Linear(2, 1, rng=1)
    optimizer = SGD([one, other], lr=0.5)
    before = one.parameters["bias"], other.parameters["bias"]
    optimizer.step([{"bias": np.ones(2)}, {"bias": np.full(1, 2.0)}])
    np.testing.assert_allclose(one.parameters["bias"], before[0] - 0.5)
    np.testing.assert_allclose(other.parameters["bias"], before[1] - 1)


def test_centred_rmsprop_of_a_constant_gradient():
    """The variance is nothing but rounding, on either side of zero."""
    linear = Linear(40, 40, rng=0)
    rmsprop = RMSprop([linear], centered=True, alpha=0.5)
    gradient = np.random.default_rng(0).standard_normal((40, 40)).astype("f")
    for _ in range(60):
        rmsprop.step([{"weight": gradient}])
    assert np.isfinite(linear.parameters["weight"]).all()


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: Adam([]), ValueError, "models: expected at least one with parameters, got []"),
        (lambda: Adam([Tanh()]), ValueError, "models: expected at least one with parameters, got [Tanh()]"),
        (
            lambda: Adam(MODELS[0].parameters),
            TypeError,
            "models: expected a list of models, got their parameters: write Adam([model])",
        ),
        (lambda: Adam(MODELS[0]), TypeError, "models: expected a list of models, got Linear: write [it]"),
        (lambda: Adam([None]), TypeError, "models: expected layers or models, got NoneType at 0"),
        (
            lambda: Adam(MODELS).step([{}]),
            ValueError,
            "gradients: expected that of at least one parameter, got none",
        ),
        (
            lambda: Adam(MODELS).step({"bias": np.ones(1)}),
            TypeError,
            "gradients: expected a list of a mapping for each of 1 models, got dict: write [it]",
        ),
        (lambda: SGD(MODELS, momentum=0.5, nesterov="no"), TypeError, "nesterov: expected True or False"),
        (lambda: Adam(MODELS, lr=0), ValueError, "lr: expected a number above 0, got 0"),
        (lambda: Adam(MODELS, lr="fast"), TypeError, "lr: expected a number above 0, got 'fast'"),
        (lambda: Adam(MODELS, betas=(1, 0)), ValueError, "betas: expected a number in [0, 1), got 1"),
        (lambda: Adam(MODELS, betas=0.9), ValueError, "betas: expected two numbers in [0, 1), got 0.9"),
        (lambda: Adam(MODELS, eps=0), ValueError, "eps: expected a number above 0, got 0"),
        (lambda: Adam(MODELS, weight_decay=-1), ValueError, "weight_decay: expected a number of at least 0"),
        (
            lambda: setattr(Adam(MODELS), "lr", -1),
            ValueError,
            "lr: expected a number of at least 0, got -1",
        ),
        (lambda: SGD(MODELS, momentum=1), ValueError, "momentum: expected a number in [0, 1), got 1"),
        (lambda: SGD(MODELS, nesterov=True), ValueError, "nesterov: expected a momentum above 0 with it"),
        (lambda: RMSprop(MODELS, alpha=1), ValueError, "alpha: expected a number in [0, 1), got 1"),
        (lambda: RMSprop(MODELS, momentum=-1), ValueError, "momentum: expected a number in [0, 1), got -1"),
        (
            lambda: Adagrad(MODELS, lr_decay=-1),
            ValueError,
            "lr_decay: expected a number of at least 0, got -1",
        ),
        (
            lambda: Adagrad(MODELS, initial_accumulator_value=-1),
            ValueError,
            "initial_accumulator_value: expected a number of at least 0, got -1",
        ),
        (
            lambda: Adam(MODELS).step([]),
            ValueError,
            "gradients: expected a list of a mapping for each of 1 models, got 0",
        ),
    ],
)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()


@pytest.mark.parametrize(
    ("gradients", "error", "sentence"),
    [
        ({"weight": np.ones((3, 2))}, ValueError, "weight: expected shape (2, 3), got (3, 2)"),
        ({"bias": np.ones(2), "weight": None}, TypeError, "weight: expected an array of floats"),
        ({"wait": np.ones((2, 3))}, ValueError, "gradients: expected names of Linear(3, 2)'s parameters"),
    ],
)
def test_refused_gradient_changes_nothing(gradients, error, sentence):
    first, second = Linear(3, 2, rng=0), Linear(3, 2, rng=0)
    adam = Adam([first, second])
    before = adam.state_dict()
    with pytest.raises(error, match=re.escape(sentence)):
        adam.step([{"bias": np.ones(2)}, gradients])
    for linear in (first, second):
        assert np.array_equal(linear.parameters["bias"], Linear(3, 2, rng=0).parameters["bias"])
    assert all(np.array_equal(array, before[name]) for name, array in adam.state_dict().items())


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"0.weight.mean": np.ones(2)}, ValueError, "0.weight.mean: expected shape (2, 3), got (2,)"),
        ({"0.weight.mean": np.ones((2, 3), int)}, TypeError, "0.weight.mean: expected an array of floats"),
        ({"0.weight.steps": 1.5}, TypeError, "0.weight.steps: expected an array of integers"),
        ({"0.wait.mean": np.ones(2)}, ValueError, "missing [], surplus ['0.wait.mean']"),
        ({"0.weight.steps": -1}, ValueError, "0.weight.steps: expected an integer of at least 0, got -1"),
        (
            {"0.bias.square": np.array([1.0, -1.0])},
            ValueError,
            "0.bias.square: expected finite numbers of at",
        ),
        ({"lr": -1.0}, ValueError, "lr: expected a number of at least 0, got -1.0"),
    ],
)
def test_refused_state_changes_nothing(change, error, sentence):
    linear = Linear(3, 2, rng=0)
    adam = Adam([linear])
    adam.step([random_gradients(linear, np.random.default_rng(0))])
    before = adam.state_dict()
    wrong = {name: np.zeros_like(array) for name, array in before.items()} | change
    with pytest.raises(error, match=re.escape(sentence)):
        adam.load_state_dict(wrong)
    assert all(np.array_equal(array, before[name]) for name, array in adam.state_dict().items())
