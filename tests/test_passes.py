"""What may be asked of a pass: nothing dropped, a tape that is kept, weights that are borrowed."""

import re

import numpy as np
import pytest

from fastlstm import (
    GRU,
    LSTM,
    RNN,
    Dropout,
    LastStep,
    LayerNorm,
    Linear,
    MaxOverTime,
    MeanOverTime,
    Sequential,
    Tanh,
)
from fastlstm.model.batch import Sequences

x = np.random.default_rng(0).standard_normal((6, 4, 3))
LENGTHS = [6, 0, 3, 5]
MODELS = {
    "lstm": lambda: LSTM(
        3, 5, 2, bidirectional=True, proj_size=2, dropout=0.5, weight_drop=0.5, learn_state=True, rng=0
    ),
    "gru": lambda: GRU(3, 5, 2, bidirectional=True, merge="mul", dropout=0.5, dtype="float64", rng=0),
    "rnn": lambda: RNN(3, 5, nonlinearity="relu", reverse=True, weight_drop=0.5, rng=0),
    "stack": lambda: Sequential(
        Linear(3, 4, rng=0),
        Dropout(0.5, rng=0),
        LSTM(4, 5, 2, dropout=0.5, rng=0),
        Tanh(),
        LayerNorm(5),
        MeanOverTime(),
        Dropout(0.5, rng=0),
    ),
    "last": lambda: Sequential(GRU(3, 5, rng=0), Dropout(0.5, rng=0), LastStep()),
    "largest": lambda: Sequential(RNN(3, 5, rng=0), Dropout(0.5, rng=0), MaxOverTime(), Linear(5, 2, rng=0)),
}


def flat(value):
    """Return the bits of gradients or states, whatever they are made of."""
    if isinstance(value, (tuple, list)):
        return [bits for part in value for bits in flat(part)]
    return [np.asarray(value).tobytes()]


def bits(gradients):
    return flat([gradients.input, gradients.state, *gradients.parameters.values()])


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("name", MODELS)
def test_forward_without_dropping_has_the_bits_of_the_call(name, lengths):
    model = MODELS[name]()
    states = [generator.bit_generator.state for generator in model.generators]
    y, final, tape = model.forward(x, lengths=lengths, drop=False)
    called_y, called = model.run(x, lengths=lengths)
    assert flat([y, final]) == flat([called_y, called])
    assert [generator.bit_generator.state for generator in model.generators] == states
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype)
    gradients = tape.backward(dy)
    step = 1e-3 * np.random.default_rng(2).standard_normal(x.shape)
    low, high = ((model.run(x + sign * step, lengths=lengths)[0] * dy).sum() for sign in (-1.0, 1.0))
    np.testing.assert_allclose((gradients.input * step).sum(), (high - low) / 2, rtol=0.02, atol=1e-4)
    if model.generators and any("Drop" in repr(layer) or "drop" in repr(layer) for layer in [model]):
        assert not np.array_equal(model.forward(x, lengths=lengths)[0], y)


def test_drop_is_true_or_false():
    for model in (MODELS["lstm"](), MODELS["stack"]()):
        with pytest.raises(TypeError, match="drop: expected True or False, got 0"):
            model.forward(x, drop=0)


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("name", MODELS)
def test_a_tape_that_is_kept(name, lengths):
    model = MODELS[name]()
    y, final, tape = model.forward(x, lengths=lengths)
    rng = np.random.default_rng(1)
    dy, other_dy = (rng.standard_normal(y.shape).astype(y.dtype) for _ in range(2))
    first = bits(tape.backward(dy, final, keep=True))
    other = bits(tape.backward(other_dy, input_gradient=True, keep=True))
    model.forward(x, lengths=lengths)[2].backward(dy)  # takes memory that the first has given back
    assert bits(tape.backward(dy, final, keep=True)) == first
    assert bits(tape.backward(other_dy)) == other
    with pytest.raises(RuntimeError, match=re.escape("with keep=True")):
        tape.backward(dy)


@pytest.mark.parametrize("size", [5, 80])
def test_keeping_takes_no_more_memory_each_time(size):
    model = LSTM(3, size, rng=0)
    long = np.ones((50, 40, 3), np.float32)
    y, _, tape = model.forward(long)
    before = tape.nbytes
    for _ in range(3):
        tape.backward(y, keep=True)
        assert tape.nbytes == before
        assert len(tape._kept.workspace._used) <= 4
    tape.backward(y)
    assert tape.nbytes == 0


def test_what_a_refused_backward_leaves():
    model = MODELS["lstm"]()
    y, _, tape = model.forward(x)
    with pytest.raises(TypeError, match="keep: expected True or False, got 1"):
        tape.backward(y, keep=1)
    with pytest.raises(ValueError, match="dy: expected shape"):
        tape.backward(y[:1], keep=True)
    assert bits(tape.backward(y, keep=True)) == bits(tape.backward(y))


def others(model, seed=1):
    """Return weights for a model that are not its own."""
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(-0.5, 0.5, array.shape) for name, array in model.parameters.items()}


@pytest.mark.parametrize("name", MODELS)
def test_borrowed_weights_are_those_of_one_pass(name):
    model, other = MODELS[name](), MODELS[name]()
    before = flat(model.run(x))
    lent = others(model)
    other.load_state_dict(lent)
    expected = flat(other.run(x, lengths=LENGTHS))
    for weights in (lent, lent, other.parameters, {key: np.asfortranarray(a) for key, a in lent.items()}):
        assert flat(model.run(x, lengths=LENGTHS, weights=weights)) == expected
    assert flat(model.run(x)) == before


@pytest.mark.parametrize("name", MODELS)
def test_a_tape_over_borrowed_weights_has_their_gradients(name):
    model, other = MODELS[name](), MODELS[name]()
    lent = others(model)
    other.load_state_dict(lent)
    y, _, tape = model.forward(x, lengths=LENGTHS, drop=False, weights=lent)
    expected, _, its = other.forward(x, lengths=LENGTHS, drop=False)
    assert flat(y) == flat(expected)
    assert bits(tape.backward(y)) == bits(its.backward(y))


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_packed_rows_give_what_padded_sequences_give(name):
    model = MODELS[name]()
    steps, padded = np.array([6, 5, 3, 3]), x
    real = np.arange(len(x))[:, None] < steps
    packed = Sequences.of_packed(real.sum(axis=1))
    y, final, tape = model._run_over(padded[real], packed, None, True, model._weights, drop=False)
    expected, state, its = model.forward(padded, lengths=steps, drop=False)
    assert flat((y, final)) == flat((expected[real], state))
    dy = np.random.default_rng(2).standard_normal(expected.shape).astype(y.dtype)
    ours, theirs = tape.backward(dy[real]), its.backward(dy)
    np.testing.assert_array_equal(ours.input, theirs.input[real])
    assert flat(ours.state) == flat(theirs.state)
    assert {k: flat(v) for k, v in ours.parameters.items()} == {
        k: flat(v) for k, v in theirs.parameters.items()
    }


def packed(model):
    """Return what is packed of the weights that a model borrowed last."""
    return model._weights.borrowed.derived


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_borrowed_weights_are_packed_again_only_if_they_differ(dtype):
    model = LSTM(3, 5, 2, rng=0, dtype=dtype)
    lent = others(model)
    model.run(x, weights=lent)
    first = packed(model)
    for same in (lent, {name: array.copy() for name, array in lent.items()}):
        model.run(x, weights=same)
        assert packed(model) is first
    lent["weight_hh_l1"][3, 2] = np.nextafter(lent["weight_hh_l1"][3, 2].astype(dtype), 1)
    changed, _ = model.run(x, weights=lent)
    assert packed(model) is not first
    assert flat(changed) == flat(LSTM(3, 5, 2, dtype=dtype).load_state_dict(lent)(x)[0])
    lent["bias_ih_l0"][0] = 0.0
    model.run(x, weights=lent)
    positive = packed(model)
    lent["bias_ih_l0"][0] = -0.0
    model.run(x, weights=lent)
    assert packed(model) is not positive


def test_parameters_that_cannot_change_are_not_copied():
    model, other = (GRU(3, 5, rng=seed) for seed in range(2))
    model.run(x, weights=other.parameters)
    assert all(model._weights.borrowed.arrays[name] is array for name, array in other.parameters.items())
    first = packed(model)
    model.run(x, weights=other.parameters)
    assert packed(model) is first
    view = other.parameters["weight_ih_l0"].view()  # read-only, too, but so is a view of what may change
    array = np.ones((15, 5))
    view = array.view()
    view.flags.writeable = False
    before = flat(model.run(x, weights={"weight_hh_l0": view})[0])
    array[...] = 2
    assert flat(model.run(x, weights={"weight_hh_l0": view})[0]) != before


def test_the_rest_is_the_models_own():
    model, lent = LSTM(3, 5, rng=0), {"weight_hh_l0": np.full((20, 5), 0.1)}
    twin = LSTM(3, 5, rng=0).update(lent)
    assert flat(model.run(x, weights=lent)) == flat(twin(x))
    for changing in (model, twin):
        changing.update({"bias_ih_l0": np.full(20, 0.3)})
    assert flat(model.run(x, weights=lent)) == flat(twin(x))
    assert flat(model.run(x, weights={})) == flat(model(x))


@pytest.mark.parametrize(
    ("weights", "error", "sentence"),
    [
        ([1.0], TypeError, "weights: expected a mapping of names to arrays, got list"),
        ({"weight": np.ones(3)}, ValueError, "weights: expected only weight_ih_l0, weight_hh_l0"),
        (
            {"bias_ih_l0": np.ones(3)},
            ValueError,
            "weights bias_ih_l0: expected shape (20,), got (3,)",
        ),
        (
            {"bias_ih_l0": np.full(20, np.nan)},
            ValueError,
            "weights bias_ih_l0: expected finite numbers, got nan",
        ),
        (
            {"bias_ih_l0": np.ones(20, int)},
            TypeError,
            "weights bias_ih_l0: expected an array of floats, got dtype int64",
        ),
    ],
)
def test_refused_weights(weights, error, sentence):
    model = LSTM(3, 5, rng=0)
    with pytest.raises(error, match=re.escape(sentence)):
        model.run(x, weights=weights)
    assert model._weights.borrowed is None
    stack = Sequential(LSTM(3, 5, rng=0))
    if isinstance(weights, dict):
        weights = {f"0.{name}": value for name, value in weights.items()}
        sentence = sentence.replace("bias_ih", "0.bias_ih").replace("only weight_ih", "only 0.weight_ih")
        sentence = sentence.removesuffix(", weight_hh_l0")
    with pytest.raises(error, match=re.escape(sentence)):
        stack.run(x, weights=weights)
