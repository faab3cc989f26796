"""The values that a model begins with: how they are drawn, and the states that are learned."""

import copy
import pickle
import re

import numpy as np
import pytest
from support import central_differences

from fastlstm import GRU, LSTM, RNN, Linear, Sequential, StreamPool, fit, load, save
from fastlstm.serve import Batcher
from fastlstm.training import mean_squared_error

CELLS = [LSTM, RNN, GRU]


def gates(array, H=16):
    """Return the blocks of a parameter's rows that belong to each gate."""
    return array.reshape(-1, H, *array.shape[1:]).astype(np.float64)


@pytest.mark.parametrize("cell", CELLS)
def test_uniform_draws_as_ever(cell):
    rng, model = np.random.default_rng(7), cell(3, 16, 2, bidirectional=True, rng=7, dtype="float64")
    for array in model.parameters.values():
        assert np.array_equal(array, rng.uniform(-0.25, 0.25, array.shape))


@pytest.mark.parametrize("cell", CELLS)
def test_each_gates_recurrent_weights_are_orthogonal(cell):
    model = cell(3, 16, 2, bidirectional=True, rng=0, dtype="float64", init="orthogonal")
    seen = []
    for name, array in model.parameters.items():
        if name.startswith("weight_hh"):
            seen += list(gates(array))
        else:
            assert 0.2 < np.abs(array).max() <= 0.25
    for gate in seen:
        np.testing.assert_allclose(gate.T @ gate, np.eye(16), atol=1e-12)
    assert len({gate.tobytes() for gate in seen}) == len(seen)


def test_orthogonal_with_a_projection():
    for gate in gates(LSTM(3, 16, proj_size=5, rng=0, init="orthogonal").parameters["weight_hh_l0"]):
        np.testing.assert_allclose(gate.T @ gate, np.eye(5), atol=1e-6)


def test_orthogonal_matrices_are_all_alike_likely():
    """A rotation's trace has mean 0 and, whatever the size, variance 1."""
    matrices = (RNN(1, 4, rng=seed, init="orthogonal").parameters["weight_hh_l0"] for seed in range(2000))
    traces = np.array([np.trace(matrix) for matrix in matrices])
    assert abs(traces.mean()) < 0.1
    assert abs(traces.var() - 1) < 0.15


@pytest.mark.parametrize("cell", CELLS)
def test_glorot_is_keras_default_but_for_the_forget_gate(cell):
    parameters = cell(40, 16, rng=0, dtype="float64", init="glorot").parameters
    rows = len(parameters["weight_ih_l0"])
    bound = np.sqrt(6 / (40 + rows))
    assert 0.95 * bound < np.abs(parameters["weight_ih_l0"]).max() <= bound
    recurrent = parameters["weight_hh_l0"]
    np.testing.assert_allclose(recurrent.T @ recurrent, np.eye(16), atol=1e-12)
    assert not parameters["bias_ih_l0"].any()
    assert not parameters["bias_hh_l0"].any()


def test_keras_default():
    model = LSTM(3, 16, 2, bidirectional=True, rng=0, init="glorot", forget_bias=1.0)
    for name, array in model.parameters.items():
        if name.startswith("bias"):
            expected = np.zeros((4, 16))
            expected[1] = name.startswith("bias_ih")
            assert np.array_equal(gates(array), expected)


@pytest.mark.parametrize("init", ["uniform", "orthogonal"])
def test_forget_bias(init):
    plain, model = (LSTM(3, 16, 2, rng=0, init=init, **more) for more in ({}, {"forget_bias": -0.5}))
    for name, array in model.parameters.items():
        others = gates(plain.parameters[name])
        if name.startswith("bias"):
            others[1] = -0.5 if name.startswith("bias_ih") else 0
        assert np.array_equal(gates(array), others)


def test_chrono_of_an_lstm():
    parameters = LSTM(3, 4096, rng=0, init=("chrono", 100)).parameters
    of_x, of_h = (gates(parameters[f"bias_{name}_l0"], 4096) for name in ("ih", "hh"))
    assert np.array_equal(of_x[0], -of_x[1])
    assert not of_h[:2].any()
    draws = np.exp(of_x[1])
    assert draws.min() >= 1 - 1e-6
    assert draws.max() <= 99 + 1e-3
    assert abs(draws.mean() - 50) < 2
    bound = 1 / 64
    assert np.abs(of_x[2:]).max() <= bound
    assert np.abs(parameters["weight_hh_l0"]).max() <= bound


def test_chrono_of_a_gru():
    parameters = GRU(3, 16, rng=0, init=("chrono", 100)).parameters
    of_x, of_h = (gates(parameters[f"bias_{name}_l0"]) for name in ("ih", "hh"))
    assert of_x[1].min() >= 0
    assert of_x[1].max() > 1
    assert not of_h[1].any()
    assert 0 < np.abs(of_x[[0, 2]]).max() <= 0.25


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (
            lambda: LSTM(3, 5, init="xavier"),
            ValueError,
            "init: expected 'uniform', 'orthogonal', 'glorot' or ('chrono', T_max), got 'xavier'",
        ),
        (lambda: LSTM(3, 5, init="chrono"), ValueError, "or ('chrono', T_max), got 'chrono'"),
        (lambda: LSTM(3, 5, init=None), ValueError, "or ('chrono', T_max), got None"),
        (
            lambda: LSTM(3, 5, init=("chrono", 1)),
            ValueError,
            "init T_max: expected an integer of at least 2, got 1",
        ),
        (
            lambda: LSTM(3, 5, init=("chrono", 9.5)),
            TypeError,
            "init T_max: expected an integer, got 9.5",
        ),
        (
            lambda: LSTM(3, 5, init=("chrono", 9), forget_bias=1.0),
            ValueError,
            "forget_bias: expected None with init=('chrono', 9), got 1.0",
        ),
        (
            lambda: LSTM(3, 5, init=("chrono", 9), bias=False),
            ValueError,
            "init: expected 'uniform', 'orthogonal' or 'glorot' with bias=False, got ('chrono', 9)",
        ),
        (
            lambda: RNN(3, 5, init=("chrono", 9)),
            ValueError,
            "init: expected 'uniform', 'orthogonal' or 'glorot' for RNN, which has no gates, got",
        ),
        (
            lambda: LSTM(3, 5, forget_bias=1.0, bias=False),
            ValueError,
            "forget_bias: expected None with bias=False, got 1.0",
        ),
        (lambda: LSTM(3, 5, forget_bias="1"), TypeError, "forget_bias: expected a finite number, got '1'"),
        (
            lambda: LSTM(3, 5, forget_bias=np.inf),
            ValueError,
            "forget_bias: expected a finite number, got inf",
        ),
        (
            lambda: GRU(3, 5, forget_bias=1.0),
            TypeError,
            "forget_bias: expected one of the options reverse",
        ),
    ],
)
def test_refusals(make, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        make()


def test_a_subclass_has_its_bases_options():
    class Remembering(LSTM):
        pass

    model = Remembering(3, 5, rng=0, forget_bias=2.0)
    assert model.parameters["bias_ih_l0"][5] == 2
    assert repr(model) == "Remembering(3, 5, forget_bias=2.0)"


LEARNED = [
    LSTM(3, 5, 2, bidirectional=True, proj_size=2, dtype="float64", rng=0, learn_state=True),
    GRU(3, 5, 2, bidirectional=True, dtype="float64", rng=0, learn_state=True),
    RNN(3, 5, dtype="float64", rng=0, learn_state=True),
]
x = np.random.default_rng(0).standard_normal((4, 3, 3))
LENGTHS = [2, 4, 0]


def learned(model, seed=1):
    """Return the model with learned states that are not zero, as a state for three sequences."""
    rng = np.random.default_rng(seed)
    states = {name: rng.standard_normal(model.parameters[name].shape) for name in model.parameters}
    states = {name: states[name] for name in ("h_0", "c_0") if name in states}
    model.update(states)
    return model._to_state([np.repeat(state[:, None], 3, axis=1) for state in states.values()])


def test_learned_states_are_parameters():
    model = LSTM(3, 5, 2, bidirectional=True, proj_size=2, rng=0, learn_state=True)
    plain = LSTM(3, 5, 2, bidirectional=True, proj_size=2, rng=0)
    assert list(model.parameters) == [*plain.parameters, "h_0", "c_0"]
    assert {name: model.parameters[name].shape for name in ("h_0", "c_0")} == {"h_0": (4, 2), "c_0": (4, 5)}
    assert not model.parameters["h_0"].any()
    assert np.array_equal(model(x)[0], plain(x)[0])
    assert list(GRU(3, 5, learn_state=True).parameters)[-1] == "h_0"


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("model", LEARNED, ids=repr)
def test_the_learned_state_is_where_all_begin(model, lengths):
    state = learned(model)
    y, final = model(x, state, lengths=lengths)
    for other_y, other, *_ in (
        model(x, lengths=lengths),
        model.forward(x, lengths=lengths),
        (lambda trace: (trace.y, trace.state))(model.trace(x, lengths=lengths)),
    ):
        assert np.array_equal(other_y, y)
        assert np.array_equal(np.concatenate(other, axis=-1), np.concatenate(final, axis=-1))
    assert np.array_equal(model(x[:, 0])[0], model(x[:, :1])[0][:, 0])


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("model", LEARNED, ids=repr)
def test_gradients_of_learned_states(model, lengths):
    learned(model)
    names = [name for name in model.parameters if name.endswith("_0")]
    rng = np.random.default_rng(2)
    y, final, tape = model.forward(x, lengths=lengths)
    dy = rng.standard_normal(y.shape)
    dfinal = model._to_state([rng.standard_normal(part.shape) for part in model._from_state(final, "state")])
    gradients = tape.backward(dy, dfinal)
    assert list(gradients.parameters) == list(model.parameters)

    def loss(**changed):
        model.update(changed)
        y, final = model(x, lengths=lengths)
        parts = zip(model._from_state(final, ""), model._from_state(dfinal, ""), strict=True)
        return (y * dy).sum() + sum((part * dpart).sum() for part, dpart in parts)

    for name in names:
        array = model.parameters[name].copy()
        numeric = central_differences(lambda name=name, array=array: loss(**{name: array}), array)
        np.testing.assert_allclose(gradients.parameters[name], numeric, atol=1e-6)


def test_a_given_state_has_the_gradient_itself():
    model = LEARNED[0]
    h, c = learned(model)
    _, _, tape = model.forward(x, (h, c))
    gradients = tape.backward(np.ones((4, 3, 4)))
    assert not gradients.parameters["h_0"].any()
    assert not gradients.parameters["c_0"].any()
    _, _, tape = model.forward(x, (h, None))
    gradients = tape.backward(np.ones((4, 3, 4)))
    assert not gradients.parameters["h_0"].any()
    np.testing.assert_allclose(gradients.parameters["c_0"], gradients.state[1].sum(axis=1), atol=1e-12)


@pytest.mark.parametrize("kind", [LSTM, RNN, GRU])
def test_streams_begin_with_the_learned_state(kind):
    layer = kind(3, 5, 2, rng=0, learn_state=True)
    model = Sequential(layer, Linear(5, 2, rng=0))
    learned(layer)
    expected = model(x[:, 0])
    stream, pool = model.stream(), StreamPool(model, 2)
    np.testing.assert_array_equal([stream.step(frame) for frame in x[:, 0]], expected)
    stream.reset()
    np.testing.assert_array_equal(stream.feed(x[:, 0]), expected)
    pool.open()
    np.testing.assert_array_equal(pool.feed([pool.open()], x[:, :1])[:, 0], expected)
    learned(layer, seed=3)  # streams go on from where they are, and new ones begin anew
    stream.reset()
    np.testing.assert_array_equal(stream.feed(x[:, 0]), model(x[:, 0]))
    assert not np.array_equal(model(x[:, 0]), expected)


def test_training_moves_the_learned_state(tmp_path):
    rng = np.random.default_rng(0)
    model = Sequential(LSTM(3, 5, rng=0, learn_state=True), Linear(5, 1, rng=0))
    data = rng.standard_normal((8, 6, 3)).astype("f")
    fit(model, (data, data[..., :1]), mean_squared_error, epochs=2, bptt=3, batch_size=4, rng=0)
    assert model.parameters["0.h_0"].any()
    assert model.parameters["0.c_0"].any()
    save(model, tmp_path / "model")
    for other in (load(tmp_path / "model"), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert np.array_equal(other(data), model(data))
    with Batcher(model) as batcher:
        assert np.array_equal(batcher.submit(data[0]).result(), model(data[0]))
