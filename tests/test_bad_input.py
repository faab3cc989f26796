"""Every refusal names the argument, what was expected and what came; and nothing has changed then."""

import re
import tracemalloc
from collections import namedtuple

import numpy as np
import pytest

import fastlstm
from fastlstm.training import (
    Adam,
    EqualAverage,
    ctc_loss,
    mean_squared_error,
    predict,
    softmax_cross_entropy,
)

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
        ({"bidirectional": "False"}, TypeError, "bidirectional: expected True or False, got 'False'"),
        ({"batch_first": 1}, TypeError, "batch_first: expected True or False, got 1"),
        ({"bias": None}, TypeError, "bias: expected True or False, got None"),
        ({"num_layers": True}, TypeError, "num_layers: expected an integer, got True"),
        ({"num_layers": 10**9}, ValueError, "num_layers: expected an integer of at most 10000"),
        ({"rng": "a"}, TypeError, "rng: expected a numpy.random.Generator, a seed or None, got 'a'"),
        ({"rng": -1}, ValueError, "rng: expected a numpy.random.Generator, a seed or None, got -1"),
        (
            {"input_size": 10**9, "hidden_size": 10**9},
            ValueError,
            "sizes: expected parameters that memory can hold, got 8000000008000000000 numbers",
        ),
        ({"hidden_size": 10**30}, ValueError, "hidden_size: expected an integer of at most 92233720368"),
    ],
)
def test_constructor(options, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        fastlstm.LSTM(**({"input_size": 3, "hidden_size": 5} | options))


@pytest.mark.parametrize(
    "make",
    [
        lambda: fastlstm.LSTM(10**6, 10**6),
        lambda: fastlstm.Linear(10**7, 10**7),
        lambda: fastlstm.Embedding(10**7, 10**7),
    ],
)
def test_parameters_that_no_system_gives(make):
    with pytest.raises(MemoryError, match=r"sizes: expected memory for [0-9]+ parameters, got none"):
        make()


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
        (
            np.ma.masked_less(np.arange(24.0).reshape(4, 2, 3), 5),
            TypeError,
            "x: expected an array without masked numbers, got a masked array",
        ),
        (
            [np.ma.masked_less(np.arange(3.0), 1)] * 4,
            TypeError,
            "x: expected an array without masked numbers",
        ),
    ],
)
def test_input(bad, error, sentence):
    for run in (lstm(), lstm().forward):
        with pytest.raises(error, match=re.escape(sentence)):
            run(bad)


def test_a_mask_that_hides_nothing():
    assert np.array_equal(lstm()(np.ma.masked_array(x))[0], lstm()(x)[0])


PackedSequence = namedtuple("PackedSequence", "data batch_sizes sorted_indices unsorted_indices")
packed = PackedSequence(np.ones((5, 3)), np.array([2, 2, 1]), None, None)


@pytest.mark.parametrize(
    ("run", "name"),
    [
        (lambda: lstm()(packed), "x"),
        (lambda: lstm().forward(packed), "x"),
        (lambda: lstm().stream().feed(packed), "x"),
        (lambda: fastlstm.fit(lstm(), (packed, x), mean_squared_error), "data x"),
        (lambda: predict(lstm(), packed), "data x"),
    ],
)
def test_a_packed_sequence_is_told_what_to_be(run, name):
    sentence = (
        f"{name}: expected padded sequences and their lengths, got a PackedSequence: torch.nn.utils.rnn"
    )
    with pytest.raises(TypeError, match=re.escape(sentence)):
        run()


def repeated(dtype, *shape):
    """Return an array of any size that takes no memory."""
    return np.broadcast_to(np.ones((), dtype), shape)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: lstm()(repeated(np.float16, 2**59, 1, 3)), "x: expected an array that memory can hold"),
        (lambda: lstm()(repeated(np.float16, 1, 2**59, 3)), "x: expected an array that memory can hold"),
        (lambda: lstm().stream().feed(repeated(np.float16, 2**59, 3)), "x: expected an array that memory"),
        (lambda: fastlstm.Linear(3, 2)(repeated(np.float32, 2**59, 3)), "x: expected an array that memory"),
        (lambda: fastlstm.Embedding(3, 2)(repeated(int, 2**59)), "x: expected an array that memory can hold"),
        (
            lambda: lstm()(x, (np.zeros((1, 2, 5)), repeated("f", 2**40, 2, 5))),
            "state c: expected shape",
        ),
        (lambda: lstm()(x, lengths=repeated(np.int8, 2**40)), "lengths: expected shape (2,), got"),
        (lambda: lstm().forward(x)[2].backward(repeated("d", 2**40, 2, 5)), "dy: expected shape (4, 2, 5)"),
        (lambda: lstm().update({"bias_ih_l0": repeated("d", 2**40)}), "bias_ih_l0: expected shape (20,)"),
        (lambda: lstm().stream().step(repeated("d", 2**40)), "x_t: expected shape (3,)"),
        (lambda: setattr(lstm().stream(), "state", [repeated("d", 2**40)] * 2), "state h: expected shape"),
        (lambda: pool().restore(0, [repeated("d", 2**40)] * 2), "state h: expected shape (1, 5)"),
        (lambda: pool().step(repeated(np.int8, 2**40), x[0]), "ids: expected shape (2,)"),
        (lambda: mean_squared_error(x, repeated("f2", 2**40)), "target: expected shape (4, 2, 3)"),
        (
            lambda: mean_squared_error(x, x, sample_weight=repeated("f2", 2**40)),
            "sample_weight: expected a shape that broadcasts to (4, 2, 3)",
        ),
        (lambda: softmax_cross_entropy(x, repeated(np.int8, 2**40)), "target: expected shape (4, 2)"),
        (
            lambda: softmax_cross_entropy(x, np.zeros((4, 2), int), weight=repeated("f2", 2**40)),
            "weight: expected shape (3,)",
        ),
        (
            lambda: ctc_loss(x, [[1], [1]], target_lengths=repeated(np.int8, 2**40)),
            "target_lengths: expected shape (2,)",
        ),
        (lambda: loaded(Adam([lstm()]), "0.bias_ih_l0.mean"), "0.bias_ih_l0.mean: expected shape (20,)"),
        (lambda: loaded(EqualAverage(lstm()), "bias_ih_l0"), "bias_ih_l0: expected shape (20,)"),
    ],
)
def test_a_shape_is_compared_before_a_cast_asks_for_memory(call, sentence):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=re.escape(sentence)):
            call()
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "call",
    [
        lambda: lstm()(repeated("f2", 2**44, 1, 3)),
        lambda: lstm().forward(repeated("f2", 1, 2**44, 3)),
        lambda: fastlstm.RNN(3, 5)(repeated("f", 2**44, 3)),
        lambda: fastlstm.Sequential(lstm()).stream().feed(repeated("f2", 2**44, 3)),
        lambda: fastlstm.Linear(3, 2)(repeated("f2", 2**44, 3)),
        lambda: fastlstm.Embedding(3, 2)(repeated(int, 2**44)),
        lambda: fastlstm.Embedding(3, 2)(repeated(np.uint64, 2**44)),
        lambda: fastlstm.LayerNorm(3)(repeated("f2", 2**44, 3)),
        lambda: fastlstm.MaxOverTime()(repeated("f", 2**44, 1, 3)),
    ],
)
def test_what_no_memory_holds_is_asked_for_before_it_is_gone_through(call):
    with pytest.raises(MemoryError):
        call()


def pool():
    streams = fastlstm.StreamPool(lstm(), 2)
    streams.open()
    return streams


def loaded(thing, name):
    thing.load_state_dict(thing.state_dict() | {name: repeated("d", 2**40)})


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
        (
            np.array([2**63 + 5, 1], np.uint64),
            ValueError,
            "lengths: expected integers below 2**63, got 9223372036854775813",
        ),
        (np.array([2**63 + 5, 1], ">u8"), ValueError, "below 2**63, got 9223372036854775813"),
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
        ({"bias_ih_l0": np.full(20, np.nan)}, ValueError, "bias_ih_l0: expected finite numbers, got nan"),
        ({"bias_ih_l0": np.full(20, 1e300)}, ValueError, "bias_ih_l0: expected finite numbers, got inf"),
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
    with pytest.raises(ValueError, match="missing bias_hh_l0; surplus bias_hh_l7"):
        model.load_state_dict(partial | {"bias_hh_l7": 0})
    for change in (model.load_state_dict, model.update):
        with pytest.raises(TypeError, match="mapping: expected a mapping of names to arrays, got list"):
            change([])


@pytest.mark.parametrize("prefix", ["lstm.", "module.encoder."])
def test_a_prefix_that_all_names_have_is_told(prefix):
    whole = {prefix + name: array for name, array in lstm().state_dict().items()} | {
        "fc.weight": np.ones((2, 5))
    }
    with pytest.raises(
        ValueError, match=f"all of them are there as {prefix}...: take these, and '{prefix}' off"
    ):
        lstm().load_state_dict(whole)


def test_many_missing_names_are_not_all_listed():
    with pytest.raises(ValueError, match="and 388 more"):
        lstm(num_layers=100).load_state_dict({})


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
        (
            lambda: lstm().parameters(),
            TypeError,
            "parameters: expected `parameters`, a mapping of names to arrays, got a call; an optimiser takes",
        ),
        (
            lambda: fastlstm.LastStep()(x, bidirectional="no"),
            TypeError,
            "bidirectional: expected True or False",
        ),
        (
            lambda: mean_squared_error(x, x, batch_first="no"),
            TypeError,
            "batch_first: expected True or False",
        ),
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
