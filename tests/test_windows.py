"""Layers that slide a window over the steps: alone, ragged, in a model and as a stream; PyTorch's beside."""

import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import central_differences, distance

import fastlstm
from fastlstm import GRU, LSTM, AvgPool1d, Conv1d, LastStep, Linear, MaxPool1d, ReLU, Sequential, _core
from fastlstm.training import ctc_loss, mean_squared_error, predict

LAYERS = {
    "plain": lambda dtype="float64": Conv1d(4, 6, 3, dtype=dtype, rng=0),
    "strided": lambda dtype="float64": Conv1d(4, 6, 4, stride=2, padding=3, dtype=dtype, rng=0),
    "apart": lambda dtype="float64": Conv1d(4, 6, 2, stride=3, padding=1, dtype=dtype, rng=0),
    "one step": lambda dtype="float64": Conv1d(4, 6, 1, stride=3, bias=False, dtype=dtype, rng=0),
    "same, dilated": lambda dtype="float64": Conv1d(4, 6, 4, padding="same", dilation=2, dtype=dtype, rng=0),
    "causal": lambda dtype="float64": Conv1d(4, 6, 3, padding="causal", dtype=dtype, rng=0),
    "groups": lambda dtype="float64": Conv1d(4, 6, 3, padding=1, groups=2, dtype=dtype, rng=0),
    "depthwise": lambda dtype="float64": Conv1d(4, 8, 3, stride=2, padding=2, groups=4, dtype=dtype, rng=0),
    "max": lambda dtype="float64": MaxPool1d(3, stride=2, padding=1),
    "max, apart": lambda dtype="float64": MaxPool1d(2, stride=5),
    "mean": lambda dtype="float64": AvgPool1d(4, padding=2),
    "mean, dense": lambda dtype="float64": AvgPool1d(3, stride=1),
}
layers = st.sampled_from(sorted(LAYERS))
few = settings(deadline=None, max_examples=40)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


@few
@given(layers, st.integers(0, 9), st.integers(0, 3), st.booleans(), st.booleans(), st.integers(0, 99))
def test_gradients(name, T, B, ragged, batch_first, seed):
    layer, rng = LAYERS[name](), np.random.default_rng(seed)
    lengths = rng.integers(0, T + 1, B) if ragged else None
    x = rng.standard_normal((B, T, 4) if batch_first else (T, B, 4))
    options = {"lengths": lengths, "batch_first": batch_first}
    y, tape = layer.forward(x, **options)
    assert np.array_equal(layer(x, **options), y)
    assert y.shape[1 if batch_first else 0] == layer.lengths_after([T])[0]
    dy = rng.standard_normal(y.shape)
    gradients, weights = tape.backward(dy), layer.state_dict()

    def loss():
        return (layer.load_state_dict(weights)(x, **options) * dy).sum()

    np.testing.assert_allclose(gradients.input, central_differences(loss, x), atol=1e-7)
    assert gradients.parameters.keys() == weights.keys()
    for parameter, gradient in gradients.parameters.items():
        np.testing.assert_allclose(gradient, central_differences(loss, weights[parameter]), atol=1e-7)


@few
@given(layers, st.sampled_from(["float32", "float64"]), st.lists(st.integers(0, 20), min_size=1, max_size=5))
def test_ragged_and_one_by_one(name, dtype, lengths):
    """What stands past a sequence's end has no influence, on no bit, and y is zero past its own end."""
    layer, x = LAYERS[name](dtype), normal(0, 20, len(lengths), 4).astype(dtype)
    for b, length in enumerate(lengths):
        x[length:, b] = np.nan
    y, after = layer(x, lengths=lengths), layer.lengths_after(lengths)
    assert y.dtype == dtype
    for b, (length, left) in enumerate(zip(lengths, after, strict=True)):
        alone = layer(x[:length, b])
        assert len(alone) == left
        assert np.ascontiguousarray(y[:left, b]).tobytes() == np.ascontiguousarray(alone).tobytes()
        assert not y[left:, b].any()


@pytest.mark.parametrize("name", LAYERS)
def test_same_bits_on_any_number_of_threads(threads, name):
    layer, x, results = LAYERS[name]("float32"), normal(0, 300, 5, 4).astype("f"), set()
    for count in (1, 2, 3):
        _core.set_num_threads(count)
        y, tape = layer.forward(x)
        gradients = tape.backward(np.cos(y))
        arrays = (y, gradients.input, *gradients.parameters.values())
        results.add(b"".join(array.tobytes() for array in arrays))
    assert len(results) == 1


def chunks(stream, x, cuts, batch_first=False):
    """Return what a stream gives for x in chunks, each of one step by `step`, one after another."""
    time = 1 if batch_first else 0
    outputs = []
    for chunk in np.split(x, cuts, axis=time):
        if chunk.shape[time] != 1:
            outputs.append(stream.feed(chunk))
        elif (y := stream.step(chunk.squeeze(time))) is not None:
            outputs.append(np.expand_dims(y, time))
    return np.concatenate([*outputs, stream.finish()], axis=time)


@few
@given(
    layers,
    st.integers(1, 24),
    st.lists(st.integers(0, 24), max_size=8).map(sorted),
    st.sampled_from([None, 1, 3]),
    st.booleans(),
)
def test_a_stream_gives_what_the_whole_gives(name, T, cuts, batch_size, batch_first):
    first = LAYERS[name]("float32")
    size = first._gives or 4
    model = Sequential(
        first, ReLU(), GRU(size, 3, batch_first=batch_first, rng=0), MaxPool1d(2), Linear(3, 2, rng=1)
    )
    axes = () if batch_size is None else (batch_size,)
    batch_first = batch_first and batch_size is not None
    x = normal(0, *((*axes, T) if batch_first else (T, *axes)), 4).astype("f")
    stream, whole = model.stream(batch_size), model(x)
    for _ in range(2):  # `finish` begins anew
        assert np.array_equal(chunks(stream, x, cuts, batch_first), whole)


def test_streams_are_copied_pickled_and_restored():
    model, x = Sequential(Conv1d(2, 4, 5, padding=2, rng=0), LSTM(4, 3, rng=0)), normal(0, 9, 2)
    stream = model.stream()
    before = stream.feed(x[:4])
    copies = [stream.copy(), pickle.loads(pickle.dumps(stream)), model.stream()]
    copies[2].state = stream.state
    rest = [np.concatenate([each.feed(x[4:]), each.finish()]) for each in (stream, *copies)]
    for each in rest:
        assert np.array_equal(np.concatenate([before, each]), model(x))
    with pytest.raises(ValueError, match=re.escape("state steps: expected shape (1, fewer than 5, 2), got")):
        stream.state = ((np.zeros((1, 5, 2)), 0), stream.state[1])
    with pytest.raises(ValueError, match="state: expected steps and a number, got str"):
        stream.state = ("tail", stream.state[1])


def test_a_stream_without_a_step_gives_nothing():
    model = Sequential(Conv1d(2, 4, 1, padding=3, rng=0))
    assert model.stream().finish().shape == (0, 4) == model(np.zeros((0, 2))).shape


def test_lengths_are_led_through_a_model():
    model = Sequential(
        Conv1d(3, 5, 4, stride=2, rng=0),
        MaxPool1d(2),
        LSTM(5, 4, bidirectional=True, rng=0),
        Linear(8, 2, rng=0),
    )
    x, lengths = normal(0, 30, 4, 3).astype("f"), np.array([30, 3, 12, 21])
    y, _, tape = model.forward(x, lengths=lengths)
    after = model.lengths_after(lengths)
    assert after.tolist() == [7, 0, 2, 4]
    gradient = tape.backward(np.ones_like(y)).input
    by_sequence = predict(model, [x[:length, b] for b, length in enumerate(lengths)])
    for b, (length, left) in enumerate(zip(lengths, after, strict=True)):
        assert np.array_equal(y[:left, b], model(x[:length, b]))
        assert np.array_equal(by_sequence[b], y[:left, b])
        assert not gradient[length:, b].any()


def test_gradients_through_a_model():
    model = Sequential(
        Conv1d(2, 3, 3, stride=2, padding=1, dtype="float64", rng=0),
        LSTM(3, 2, bidirectional=True, dtype="float64", rng=1),
        AvgPool1d(2, stride=1),
        LastStep(),
        Linear(4, 2, dtype="float64", rng=2),
    )
    x, lengths, dy = normal(0, 8, 3, 2), [8, 5, 0], normal(1, 3, 2)
    tape = model.forward(x, lengths=lengths)[2]
    gradients, weights = tape.backward(dy), model.state_dict()

    def loss():
        return (model.load_state_dict(weights)(x, lengths=lengths) * dy).sum()

    np.testing.assert_allclose(gradients.input, central_differences(loss, x), atol=1e-7)
    for name, array in weights.items():
        np.testing.assert_allclose(gradients.parameters[name], central_differences(loss, array), atol=1e-7)


@pytest.mark.parametrize("batch_first", [False, True])
def test_fit_knows_how_many_steps_are_left(batch_first):
    """Of targets for each step of y, and of labels."""
    lstm = LSTM(4, 6, batch_first=batch_first, rng=1)
    model = Sequential(Conv1d(2, 4, 3, stride=2, padding=1, rng=0), lstm, Linear(6, 3, rng=2))
    x = [normal(k, length, 2) for k, length in enumerate((12, 7, 9))]
    left = model.lengths_after([12, 7, 9])
    labels = [[1, 2, 1], [2], [1, 1]]
    before = model.state_dict()
    history = fastlstm.fit(model, (x, labels), ctc_loss, epochs=30, rng=0)
    assert history["loss"][-1] < history["loss"][0]
    model.load_state_dict(before)
    targets = [normal(9, steps, 3) for steps in left]
    history = fastlstm.fit(model, (x, targets), mean_squared_error, epochs=30, rng=0)
    assert history["loss"][-1] < history["loss"][0]
    with pytest.raises(ValueError, match="expected a target for each of 6 steps, got shape"):
        fastlstm.fit(model, (x, [normal(9, len(each), 3) for each in x]), mean_squared_error)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: Conv1d(3, 4, 0), ValueError, "kernel_size: expected an integer of at least 1, got 0"),
        (lambda: Conv1d(3, 4, 2, groups=2), ValueError, "in_channels: expected a multiple of groups=2"),
        (lambda: Conv1d(4, 3, 2, groups=2), ValueError, "out_channels: expected a multiple of groups=2"),
        (lambda: Conv1d(3, 4, 2, padding="valid"), ValueError, "padding: expected an integer, 'same' or"),
        (lambda: Conv1d(3, 4, 2, 2, "same"), ValueError, "padding: expected an integer with stride=2"),
        (lambda: Conv1d(3, 4, 2, padding=-1), ValueError, "padding: expected an integer of at least 0"),
        (lambda: Conv1d(3, 4, 2)(np.ones((5, 2))), ValueError, "x: expected shape (..., 3), got (5, 2)"),
        (lambda: Conv1d(3, 4, 2)(np.ones(3)), ValueError, "x: expected shape (T, B, 3) or (T, 3), got (3,)"),
        (lambda: Conv1d(3, 4, 2)([[1, 2, 3]]), TypeError, "x: expected an array of floats, got dtype int64"),
        (
            lambda: Conv1d(3, 4, 2)(np.ones((2, 3)), mask=[True, False]),
            ValueError,
            "mask: expected lengths, as a window of Conv1d(3, 4, 2) has no holes, got a mask",
        ),
        (lambda: Conv1d(3, 4, 2).lengths_after([0.5]), TypeError, "lengths: expected an array of integers"),
        (lambda: MaxPool1d(3, padding=2), ValueError, "padding: expected an integer of at most 1, got 2"),
        (lambda: AvgPool1d(3, 0), ValueError, "stride: expected an integer of at least 1, got 0"),
        (
            lambda: fastlstm.StreamPool(Sequential(Conv1d(3, 4, 2), LSTM(4, 3)), 2),
            ValueError,
            "model: expected one that runs forward in time, without readout or windows, got Sequential(",
        ),
        (
            lambda: Sequential(LastStep(), Conv1d(3, 4, 2)),
            ValueError,
            "layers: expected nothing over time after LastStep(), got Conv1d(3, 4, 2) at 1",
        ),
        (
            lambda: Sequential(Conv1d(3, 4, 2), LSTM(3, 4)),
            ValueError,
            "layers: expected one that reads 4 numbers at 1, got LSTM(3, 4)",
        ),
    ],
)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()


def test_a_channel_for_each_group_needs_no_matrix():
    """The same numbers as by the product, which all other groups go by."""
    depthwise = Conv1d(4, 8, 3, groups=4, dtype="float64", rng=0)
    dense, weight = Conv1d(4, 8, 3, dtype="float64"), np.zeros((8, 4, 3))
    for channel in range(8):
        weight[channel, channel // 2] = depthwise.parameters["weight"][channel, 0]
    dense.load_state_dict({"weight": weight, "bias": depthwise.parameters["bias"]})
    x = normal(0, 10, 2, 4)
    assert distance(depthwise(x), dense(x)) < 1e-14
