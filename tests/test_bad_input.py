"""Every refusal names the argument, what was expected and what came; and nothing has changed then."""

import re

import numpy as np
import pytest

import fastlstm

x = np.zeros((4, 2, 3), np.float32)


def lstm(**options):
    return fastlstm.LSTM(3, 5, rng=0, **options)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"input_size": 0}, ValueError, "input_size: expected an integer of at least 1, got 0"),
        ({"hidden_size": 0}, ValueError, "hidden_size: expected an integer of at least 1, got 0"),
        ({"hidden_size": 2.5}, TypeError, "hidden_size: expected an integer, got 2.5"),
        ({"num_layers": 0}, ValueError, "num_layers: expected an integer of at least 1, got 0"),
        ({"proj_size": 5}, ValueError, "proj_size: expected less than hidden_size 5, got 5"),
        ({"proj_size": -1}, ValueError, "proj_size: expected an integer of at least 0, got -1"),
        ({"dropout": 1.5}, ValueError, "dropout: expected a number in [0, 1], got 1.5"),
        ({"dropout": -0.1}, ValueError, "dropout: expected a number in [0, 1], got -0.1"),
        ({"dropout": float("nan")}, ValueError, "dropout: expected a number in [0, 1], got nan"),
        ({"dropout": "half"}, TypeError, "dropout: expected a number in [0, 1], got 'half'"),
        ({"dtype": "float16"}, TypeError, "dtype: expected float32 or float64, got 'float16'"),
        ({"dtype": "int32"}, TypeError, "dtype: expected float32 or float64, got 'int32'"),
        ({"dtype": "floaty"}, TypeError, "dtype: expected float32 or float64, got 'floaty'"),
        ({"dtype": None}, TypeError, "dtype: expected float32 or float64, got None"),
    ],
)
def test_constructor(options, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        fastlstm.LSTM(**({"input_size": 3, "hidden_size": 5} | options))


def test_nonlinearity():
    with pytest.raises(ValueError, match="nonlinearity: expected 'tanh' or 'relu', got 'sigmoid'"):
        fastlstm.RNN(3, 5, nonlinearity="sigmoid")


def test_dropout_without_a_layer_to_fall_on():
    with pytest.warns(UserWarning, match="dropout: falls between layers"):
        lstm(dropout=0.5)


@pytest.mark.parametrize(
    ("bad", "error", "sentence"),
    [
        (np.zeros(3), ValueError, "x: expected shape (T, B, I) or (T, I) with I=3, got (3,)"),
        (np.zeros((4, 2, 4)), ValueError, "x: expected shape (T, B, I) or (T, I) with I=3, got (4, 2, 4)"),
        (np.zeros((1, 4, 2, 3)), ValueError, "with I=3, got (1, 4, 2, 3)"),
        (np.float64(1), ValueError, "with I=3, got ()"),
        (np.zeros((4, 2, 3), int), TypeError, "x: expected an array of floats, got dtype int64"),
        (np.zeros((4, 2, 3), bool), TypeError, "x: expected an array of floats, got dtype bool"),
        (np.zeros((4, 2, 3), complex), TypeError, "x: expected an array of floats, got dtype complex128"),
        ("hello", TypeError, "x: expected an array of floats, got dtype <U5"),
        (None, TypeError, "x: expected an array of floats, got dtype object"),
        ([[1.0], [1.0, 2.0]], TypeError, "x: expected an array, got list"),
    ],
)
def test_input(bad, error, sentence):
    for run in (lstm(), lstm().forward):
        with pytest.raises(error, match=re.escape(sentence)):
            run(bad)


def test_batch_first_names_its_layout():
    with pytest.raises(ValueError, match=re.escape("x: expected shape (B, T, I) or (T, I)")):
        lstm(batch_first=True)(np.zeros((2, 4, 5)))


def pair(h, c):
    return np.zeros(h), np.zeros(c)


@pytest.mark.parametrize(
    ("state", "error", "sentence"),
    [
        (pair((1, 2, 4), (1, 2, 5)), ValueError, "state h: expected shape (1, 2, 5), got (1, 2, 4)"),
        (pair((1, 2, 5), (2, 2, 5)), ValueError, "state c: expected shape (1, 2, 5), got (2, 2, 5)"),
        (pair((2, 5), (2, 5)), ValueError, "state h: expected shape (1, 2, 5), got (2, 5)"),
        ((np.zeros((1, 2, 5)),), ValueError, "state: expected a pair (h, c), got 1 items"),
        (np.zeros((1, 2, 5)), TypeError, "state: expected a pair (h, c), got ndarray"),
        ((np.zeros((1, 2, 5), int), np.zeros((1, 2, 5))), TypeError, "state h: expected an array of floats"),
    ],
)
def test_state(state, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        lstm()(x, state)
    _, _, tape = lstm().forward(x)
    with pytest.raises(error, match=re.escape("d" + sentence)):
        tape.backward(None, state)


@pytest.mark.parametrize(
    ("lengths", "error", "sentence"),
    [
        ([4, -1], ValueError, "lengths: expected 0 to T=4, got -1"),
        ([5, 1], ValueError, "lengths: expected 0 to T=4, got 5"),
        ([4], ValueError, "lengths: expected shape (2,), got (1,)"),
        ([[4, 4]], ValueError, "lengths: expected shape (2,), got (1, 2)"),
        ([4.0, 2.0], TypeError, "lengths: expected an array of integers, got dtype float64"),
    ],
)
def test_lengths(lengths, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        lstm()(x, lengths=lengths)


def test_lengths_of_one_sequence():
    with pytest.raises(ValueError, match="lengths: expected None for one sequence"):
        lstm()(x[:, 0], lengths=[4])


def test_tape():
    _, _, tape = lstm().forward(x)
    with pytest.raises(ValueError, match=re.escape("dy: expected shape (4, 2, 5), got (4, 2, 4)")):
        tape.backward(np.zeros((4, 2, 4)))
    with pytest.raises(TypeError, match="dy: expected an array of floats"):
        tape.backward(np.zeros((4, 2, 5), int))
    tape.backward(np.zeros((4, 2, 5)))  # a refused call has not used the tape up
    with pytest.raises(RuntimeError, match="tape: expected one backward for each forward"):
        tape.backward(np.zeros((4, 2, 5)))


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"weight_ih_l0": None}, TypeError, "weight_ih_l0: expected an array of floats, got dtype object"),
        (
            {"weight_ih_l0": np.zeros((20, 4))},
            ValueError,
            "weight_ih_l0: expected shape (20, 3), got (20, 4)",
        ),
        ({"weight_hh_l0": np.zeros((20, 5), int)}, TypeError, "weight_hh_l0: expected an array of floats"),
        ({"weight_hr_l0": np.zeros((2, 5))}, ValueError, "surplus weight_hr_l0"),
    ],
)
def test_load_state_dict(change, error, sentence):
    model = lstm()
    before = model.state_dict()
    y = model(np.ones((4, 3)))[0]
    with pytest.raises(error, match=re.escape(sentence)):
        model.load_state_dict({name: array + 1 for name, array in before.items()} | change)
    assert all(np.array_equal(before[name], array) for name, array in model.parameters.items())
    assert np.array_equal(model(np.ones((4, 3)))[0], y)


def test_load_state_dict_with_a_name_missing():
    model = lstm()
    partial = model.state_dict()
    del partial["bias_hh_l0"]
    with pytest.raises(ValueError, match="mapping: expected all parameters, missing bias_hh_l0"):
        model.load_state_dict(partial)
    with pytest.raises(TypeError, match="mapping: expected a mapping of names to arrays, got list"):
        model.load_state_dict([])


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (
            lambda: lstm(bidirectional=True).stream(),
            ValueError,
            "model: expected one that runs forward in time",
        ),
        (lambda: lstm().stream(0), ValueError, "batch_size: expected an integer of at least 1, got 0"),
        (lambda: lstm().stream().step(np.zeros(4)), ValueError, "x_t: expected shape (3,), got (4,)"),
        (lambda: lstm().stream(2).step(np.zeros(3)), ValueError, "x_t: expected shape (2, 3), got (3,)"),
        (lambda: lstm().stream().step(np.zeros(3, int)), TypeError, "x_t: expected an array of floats"),
        (
            lambda: lstm().stream().step(np.zeros(3), out=np.zeros(5)),
            TypeError,
            "out: expected an array of float32",
        ),
        (
            lambda: lstm().stream().step(np.zeros(3), out=[0.0] * 5),
            TypeError,
            "out: expected an array of float32",
        ),
        (
            lambda: lstm().stream().step(np.zeros(3), out=np.zeros(4, "f")),
            ValueError,
            "out: expected shape (5,), got (4,)",
        ),
        (
            lambda: lstm().stream().step(np.zeros(3), out=np.zeros(10, "f")[::2]),
            ValueError,
            "out: expected a writable C-contiguous array",
        ),
        (lambda: fastlstm.set_num_threads(0), ValueError, "n: expected an integer of at least 1, got 0"),
        (lambda: fastlstm.set_num_threads(1.5), TypeError, "n: expected an integer, got 1.5"),
        (lambda: fastlstm.show_config("json"), ValueError, "mode: expected 'print' or 'dicts', got 'json'"),
    ],
)
def test_the_rest(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()


def test_refused_state_of_a_stream():
    stream = lstm().stream()
    stream.step(np.ones(3))
    before = stream.state
    with pytest.raises(ValueError, match=re.escape("state c: expected shape (1, 5), got (5,)")):
        stream.state = (np.ones((1, 5)), np.ones(5))
    assert all(np.array_equal(a, b) for a, b in zip(stream.state, before, strict=True))
