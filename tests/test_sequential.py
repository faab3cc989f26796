"""Layers joined in a Sequential: names, gradients, state, ragged batches, and nothing seen by halves."""

import copy
import os
import pickle
import re
import signal
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import central_differences

from fastlstm import LSTM, RNN, Embedding, Linear, Sequential


def tagger(**options):
    return Sequential(
        Embedding(6, 3, rng=0, **options),
        LSTM(3, 4, bidirectional=True, rng=1, **options),
        RNN(8, 2, rng=2, **options),
        Linear(2, 3, rng=3, **options),
    )


def test_is_its_layers_one_after_another():
    model, x = tagger(), np.random.default_rng(0).integers(0, 6, (5, 2))
    embedding, lstm, rnn, linear = model.layers
    expected = linear(rnn(lstm(embedding(x))[0])[0])
    assert np.array_equal(model(x), expected)
    y, state, _ = model.forward(x)
    assert np.array_equal(y, expected)
    assert [np.shape(part) for part in (*state[0], state[1])] == [(2, 2, 4), (2, 2, 4), (1, 2, 2)]


def test_names():
    model = tagger()
    names = [f"{place}.{name}" for place, layer in enumerate(model.layers) for name in layer.parameters]
    assert list(model.parameters) == list(model.state_dict()) == names
    assert names[:2] == ["0.weight", "1.weight_ih_l0"]
    assert model.num_parameters == sum(layer.num_parameters for layer in model.layers)


@settings(max_examples=20)
@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
def test_gradients(T, B, ragged, batch_first, seed):
    rng = np.random.default_rng(seed)
    model = Sequential(
        Linear(2, 3, dtype="float64", rng=seed),
        LSTM(3, 2, bidirectional=True, batch_first=batch_first, dtype="float64", rng=seed),
        RNN(4, 2, batch_first=batch_first, dtype="float64", rng=seed),
        Linear(2, 3, dtype="float64", rng=seed),
    )
    leading = (B, T) if batch_first else (T, B)
    x, dy = rng.standard_normal((*leading, 2)), rng.standard_normal((*leading, 3))
    state = tuple(rng.standard_normal((2, B, 2)) for _ in "hc"), rng.standard_normal((1, B, 2))
    dstate = tuple(rng.standard_normal((2, B, 2)) for _ in "hc"), rng.standard_normal((1, B, 2))
    lengths = rng.integers(0, T + 1, B) if ragged else None
    _, _, tape = model.forward(x, state, lengths=lengths)
    gradients = tape.backward(dy, dstate)
    weights = model.state_dict()

    def loss():
        y, ((h, c), h_rnn) = model.load_state_dict(weights).run(x, state, lengths=lengths)
        d_lstm, d_rnn = dstate
        return (y * dy).sum() + (h * d_lstm[0]).sum() + (c * d_lstm[1]).sum() + (h_rnn * d_rnn).sum()

    assert list(gradients.parameters) == list(weights)
    pairs = [(gradients.parameters[name], array) for name, array in weights.items()]
    pairs += [(gradients.input, x), (gradients.state[1], state[1])]
    pairs += list(zip(gradients.state[0], state[0], strict=True))
    for gradient, array in pairs:
        np.testing.assert_allclose(gradient, central_differences(loss, array), atol=1e-7)


@pytest.mark.parametrize("batch_first", [False, True])
def test_what_stands_past_an_end_has_no_influence(batch_first):
    model = Sequential(Linear(2, 3, rng=0), LSTM(3, 4, batch_first=batch_first, rng=1), Linear(4, 3, rng=2))
    rng, lengths = np.random.default_rng(0), np.array([5, 0, 2])
    x, dy = rng.standard_normal((2, 5, 3, 2)), None
    past = np.arange(5)[:, None] >= lengths
    x[1, ~past] = x[0, ~past]
    x[1, past] = np.nan
    if batch_first:
        x, past = x.swapaxes(1, 2), past.T
    results = []
    for given_x, fill in zip(x, (1, np.nan), strict=True):
        before = given_x.copy()
        y, state, tape = model.forward(given_x, lengths=lengths)
        assert np.array_equal(y, model(given_x, lengths=lengths))
        assert not y[past].any()
        dy = np.ones_like(y)
        dy[past] = fill
        gradients = tape.backward(dy)
        assert np.array_equal(given_x, before, equal_nan=True)
        assert np.isnan(dy[past]).all() == np.isnan(fill)
        results.append([y, *state[0], gradients.input, *gradients.parameters.values()])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_indices_past_an_end_may_be_anything():
    model, x = tagger(), np.array([[1, 2], [3, -1], [4, 99]])
    y, _, tape = model.forward(x, lengths=[3, 1])
    assert np.array_equal(y, model([[1, 2], [3, 0], [4, 0]], lengths=[3, 1]))
    gradient = tape.backward(np.ones_like(y)).parameters["0.weight"]
    assert gradient.any(axis=1).tolist() == [False, True, True, True, True, False]


def test_state_is_carried():
    model = Sequential(Embedding(6, 3, rng=0), LSTM(3, 4, rng=1), RNN(4, 2, rng=2))
    x = np.random.default_rng(0).integers(0, 6, (7, 2))
    whole, end = model.run(x)
    first, state, _ = model.forward(x[:4])
    second, state = model.run(x[4:], state)
    assert np.array_equal(np.concatenate([first, second]), whole)
    assert all(np.array_equal(a, b) for a, b in zip((*state[0], state[1]), (*end[0], end[1]), strict=True))
    assert np.array_equal(model.run(x, (None, None))[0], whole)


def test_one_sequence():
    model, x = tagger(), np.array([1, 2, 3])
    y, state, tape = model.forward(x)
    assert y.shape == (3, 3)
    assert state[1].shape == (1, 2)
    np.testing.assert_allclose(y, model(x[:, None])[:, 0], atol=1e-6)
    assert tape.backward(y).parameters["0.weight"].shape == (6, 3)


def test_without_a_recurrent_layer():
    model, x = Sequential(Linear(3, 4, rng=0), Linear(4, 2, rng=1)), np.ones((5, 1, 2, 3))
    y, state, tape = model.forward(x)
    assert state == ()
    assert not model.batch_first
    assert np.array_equal(y, model.layers[1](model.layers[0](x)))
    assert tape.backward(y).input.shape == x.shape
    assert not model(x[:, 0], lengths=[0, 5])[:, 0].any()


def test_none_counts_as_zeros():
    model = tagger()
    _, _, tape = model.forward(np.zeros((2, 2), int))
    gradients = tape.backward()
    assert gradients.input is None
    assert not any(array.any() for array in gradients.parameters.values())


def test_changes_of_a_layer_are_the_models():
    model, x = tagger(), np.zeros((2, 2), int)
    before = model(x)
    model.layers[3].update({"bias": np.zeros(3)})
    assert not np.array_equal(model(x), before)
    model.update({"3.bias": np.ones(3)})
    assert (model.layers[3].parameters["bias"] == 1).all()


def test_layers_that_did_not_change_stay_packed():
    model = tagger()
    model(np.zeros((2, 2), int))
    packed = model.layers[1]._weights.derived
    model.update({"3.bias": np.ones(3)})
    assert packed is not None
    assert model.layers[1]._weights.derived is packed


def test_a_refused_change_changes_nothing():
    model = tagger()
    before = model.state_dict()
    wrong = {name: array + 1 for name, array in before.items()} | {"3.bias": np.ones(4)}
    with pytest.raises(ValueError, match=re.escape("3.bias: expected shape (3,), got (4,)")):
        model.load_state_dict(wrong)
    del wrong["3.bias"]
    with pytest.raises(ValueError, match=re.escape("missing 3.bias")):
        model.load_state_dict(wrong)
    with pytest.raises(ValueError, match=re.escape("surplus 4.bias")):
        model.update({"4.bias": np.ones(4)})
    assert all(np.array_equal(array, before[name]) for name, array in model.parameters.items())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies(copied):
    model, x = tagger(), np.zeros((2, 2), int)
    twin = copied(model)
    assert np.array_equal(twin(x), model(x))
    model.update({"3.bias": np.ones(3)})
    assert not np.array_equal(twin(x), model(x))
    assert repr(twin) == repr(model)


def test_readers_never_see_half_of_a_change(eager_threads):
    models = [Sequential(*(Linear(2, 2, rng=seed) for _ in range(9))) for seed in range(2)]
    dicts = [model.state_dict() for model in models]
    x = np.ones((1, 2))
    allowed = {model(x).tobytes() for model in models}
    kept = [{name: array.tobytes() for name, array in mapping.items()} for mapping in dicts]
    shared, wrong, stop = copy.deepcopy(models[0]), [], threading.Event()

    def change():
        while not stop.is_set():
            for mapping in dicts:
                shared.load_state_dict(mapping)

    changer = threading.Thread(target=change)
    changer.start()
    for _ in range(1500):
        if shared(x).tobytes() not in allowed:
            wrong.append("a pass with a mixture")
        if {name: array.tobytes() for name, array in shared.parameters.items()} not in kept:
            wrong.append("a mixture of parameters")
    stop.set()
    changer.join()
    assert not wrong


def test_threads_that_change_different_parameters_all_succeed(eager_threads):
    model = Sequential(Linear(2, 2, rng=0), Linear(2, 2, rng=1))
    wrong = []

    def change(name):
        for value in range(1500):
            model.update({name: np.full(model.parameters[name].shape, float(value))})
            if model.parameters[name].flat[0] != value:
                wrong.append(name)

    threads = [threading.Thread(target=change, args=(name,)) for name in model.parameters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_fork_while_others_change_weights():
    """The lock that guards a change is free in a child, whoever held it in the parent."""
    model, stop = Sequential(Linear(2, 2, rng=0), Linear(2, 2, rng=1)), threading.Event()
    dicts = [model.state_dict(), {name: array + 1 for name, array in model.state_dict().items()}]

    def change():
        while not stop.is_set():
            for mapping in dicts:
                model.load_state_dict(mapping)

    changers = [threading.Thread(target=change) for _ in range(2)]
    for changer in changers:
        changer.start()
    try:
        for _ in range(30):
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                now = model.parameters
                whole = any(all(np.array_equal(now[n], a) for n, a in mapping.items()) for mapping in dicts)
                model(np.ones((1, 2)))
                os._exit(0 if whole else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        for changer in changers:
            changer.join()


@pytest.mark.parametrize(
    ("layers", "error", "sentence"),
    [
        ((), ValueError, "layers: expected at least one, got none"),
        ((Linear(2, 2), max), TypeError, "got builtin_function_or_method at 1"),
        ((Sequential(Linear(2, 2)),), TypeError, "layers: expected LSTM, RNN, GRU, SLSTM or a layer of"),
        (
            (Linear(2, 3), Linear(4, 2)),
            ValueError,
            "expected one that reads 3 numbers at 1, got Linear(4, 2)",
        ),
        (
            (LSTM(2, 3, bidirectional=True), Linear(3, 2)),
            ValueError,
            "layers: expected one that reads 6 numbers at 1, got Linear(3, 2)",
        ),
        ((Linear(2, 3), Embedding(4, 2)), ValueError, "expected Embedding only as the first, got it at 1"),
        ((2 * (Linear(2, 2),)), ValueError, "layers: expected each only once, got Linear(2, 2) again at 1"),
        (
            (LSTM(2, 3), LSTM(3, 4, batch_first=True)),
            ValueError,
            "layers: expected batch_first=False as before, got LSTM(3, 4, batch_first=True) at 1",
        ),
    ],
)
def test_wrong_layers(layers, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        Sequential(*layers)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda m: m(np.zeros((2, 2, 3))), TypeError, "x: expected an array of integers, got dtype float64"),
        (
            lambda m: m(np.zeros((2, 2, 3), int)),
            ValueError,
            "x: expected shape (T, B) or (T,), got (2, 2, 3)",
        ),
        (lambda m: m([[6]]), ValueError, "x: expected indices from 0 to 5, got 6"),
        (
            lambda m: Sequential(*m.layers[1:])(np.zeros(3)),
            ValueError,
            "x: expected shape (T, B, I) or (T, I), got (3,)",
        ),
        (lambda m: m([[1]], lengths=[2]), ValueError, "lengths: expected 0 to T=1, got 2"),
        (lambda m: m([1], lengths=[1]), ValueError, "lengths: expected None for one sequence"),
        (
            lambda m: m.run([[1]], [None]),
            ValueError,
            "state: expected a state for each of 2 recurrent layers",
        ),
        (lambda m: m.run([[1]], 1.0), TypeError, "state: expected a tuple of states, got float"),
        (
            lambda m: m.run([[1]], (None, np.zeros((1, 2, 2)))),
            ValueError,
            "state[1] h: expected shape (1, 1, 2), got (1, 2, 2)",
        ),
    ],
)
def test_wrong_input(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call(tagger())


def test_a_refused_backward_leaves_the_tape_as_it_was():
    model, x = tagger(), np.zeros((2, 2), int)
    y, _, tape = model.forward(x)
    with pytest.raises(ValueError, match=re.escape("dy: expected shape (2, 2, 3), got (2, 2)")):
        tape.backward(y[..., 0])
    with pytest.raises(ValueError, match=re.escape("dstate[0]: expected a pair (h, c), got 1 items")):
        tape.backward(y, ((y,), None))
    with pytest.raises(ValueError, match=re.escape("dstate[1] h: expected shape (1, 2, 2), got (2, 2, 3)")):
        tape.backward(y, (None, y))
    tape.backward(y)
    with pytest.raises(RuntimeError, match="tape: expected one backward for each forward"):
        tape.backward(y)


def test_an_lstms_own_dropout():
    """It falls in training only, and its gradients are those of the masks that fell."""
    lstm = LSTM(3, 4, num_layers=2, dropout=0.5, dtype="float64", rng=0)
    model, x = Sequential(lstm), np.random.default_rng(0).standard_normal((5, 2, 3))
    assert model(x).tobytes() == lstm(x)[0].tobytes()
    y, _, tape = model.forward(x)
    assert np.abs(y - model(x)).max() > 0.01
    same = LSTM(3, 4, num_layers=2, dropout=0.5, dtype="float64", rng=0)
    y_same, _, tape_same = same.forward(x)
    assert y.tobytes() == y_same.tobytes()
    gradients = tape.backward(np.ones_like(y))
    for name, gradient in tape_same.backward(np.ones_like(y)).parameters.items():
        assert gradients.parameters[f"0.{name}"].tobytes() == gradient.tobytes()
