"""Two directions that give one output, in every layer."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm import GRU, LSTM, RNN, LastStep, Linear, Sequential

MERGES = {"sum": np.add, "mean": lambda a, b: (a + b) / 2, "mul": np.multiply}


def layers_of(model):
    """Return a model of one layer, with both directions side by side, for each layer."""
    layers = []
    for layer in range(model.num_layers):
        mine = {
            re.sub(r"_l\d+", "_l0", name): array
            for name, array in model.parameters.items()
            if f"_l{layer}" in name
        }
        size, projected = mine["weight_ih_l0"].shape[1], {}
        if getattr(model, "proj_size", 0):
            projected["proj_size"] = model.proj_size
        layers.append(
            type(model)(
                size,
                model.hidden_size,
                bidirectional=True,
                batch_first=model.batch_first,
                dtype=model.dtype,
                **projected,
            ).load_state_dict(mine)
        )
    return layers


def composed(model, x, lengths, dy):
    """Return y, and the gradients of x and the parameters, by models of one layer and NumPy."""
    tapes, merge, size = [], MERGES[model.merge], model.output_size
    for layer in layers_of(model):
        both, _, tape = layer.forward(x, lengths=lengths)
        tapes.append((tape, both))
        x = merge(both[..., :size], both[..., size:])
    y, parameters = x, {}
    for k, (tape, both) in reversed(list(enumerate(tapes))):
        halves = {
            "sum": lambda d, a, b: (d, d),
            "mean": lambda d, a, b: (d / 2, d / 2),
            "mul": lambda d, a, b: (d * b, d * a),
        }[model.merge](dy, both[..., :size], both[..., size:])
        gradients = tape.backward(np.concatenate(halves, axis=-1))
        dy = gradients.input
        parameters |= {name.replace("_l0", f"_l{k}"): array for name, array in gradients.parameters.items()}
    return y, dy, parameters


@given(
    kind=st.sampled_from([LSTM, RNN, GRU]),
    merge=st.sampled_from(sorted(MERGES)),
    dtype=st.sampled_from(["float32", "float64"]),
    layers=st.integers(1, 3),
    T=st.integers(0, 6),
    B=st.integers(0, 5),
    ragged=st.booleans(),
    batch_first=st.booleans(),
    projected=st.booleans(),
    seed=st.integers(0, 99),
)
def test_as_composed(kind, merge, dtype, layers, T, B, ragged, batch_first, projected, seed):
    more = {"proj_size": 2} if projected and kind is LSTM else {}
    model = kind(
        3, 5, layers, bidirectional=True, merge=merge, batch_first=batch_first, dtype=dtype, rng=0, **more
    )
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((B, T, 3) if batch_first else (T, B, 3)).astype(dtype)
    lengths = rng.integers(0, T + 1, B) if ragged else None
    dy = rng.standard_normal((*x.shape[:2], model.output_size)).astype(dtype)
    y, dx, parameters = composed(model, x, lengths, dy)
    called, (trained, _, tape) = model(x, lengths=lengths), model.forward(x, lengths=lengths)
    assert np.array_equal(called[0], y)
    assert np.array_equal(trained, y)
    gradients = tape.backward(dy)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(gradients.input, dx, rtol=tolerance, atol=tolerance)
    for name, gradient in gradients.parameters.items():
        np.testing.assert_allclose(gradient, parameters[name], rtol=tolerance, atol=tolerance)
    trace = model.trace(x, lengths=lengths)
    assert np.array_equal(trace.y, y)
    last = layers - 1
    assert np.array_equal(MERGES[merge](trace[last, 0].h, trace[last, 1].h).astype(dtype), y)


@pytest.mark.parametrize("merge", sorted(MERGES))
def test_dropout_falls_on_what_was_merged(merge):
    model = LSTM(3, 8, 2, bidirectional=True, merge=merge, dropout=0.5, dtype="float64", rng=0)
    x = np.random.default_rng(0).standard_normal((5, 4, 3))
    below, above = layers_of(model)
    both, _ = below(x)
    y, _, tape = model.forward(x)
    mask = tape._kept.masks[0].reshape(5, 4, 8)
    assert set(np.unique(mask)) == {0, 2}
    expected, _ = above(MERGES[merge](both[..., :8], both[..., 8:]) * mask)
    np.testing.assert_allclose(y, MERGES[merge](expected[..., :8], expected[..., 8:]), rtol=1e-12)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    gradient = tape.backward(dy).input

    def loss(x):
        other = LSTM(3, 8, 2, bidirectional=True, merge=merge, dropout=0.5, dtype="float64", rng=0)
        return (other.forward(x)[0] * dy).sum()

    step = 1e-6 * np.random.default_rng(2).standard_normal(x.shape)
    np.testing.assert_allclose((loss(x + step) - loss(x - step)) / 2, (gradient * step).sum(), rtol=1e-6)


def test_one_sequence():
    model = GRU(3, 5, 2, bidirectional=True, merge="sum", rng=0)
    x = np.random.default_rng(0).standard_normal((4, 3))
    y, _, tape = model.forward(x)
    assert y.shape == (4, 5)
    assert np.array_equal(y, model(x[:, None])[0][:, 0])
    assert tape.backward(np.ones((4, 5))).input.shape == (4, 3)


def test_what_reads_it_reads_one_direction():
    model = Sequential(LSTM(3, 4, bidirectional=True, merge="mul", rng=0), LastStep(), Linear(4, 2, rng=0))
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    y, _ = model.layers[0](x, lengths=[5, 3])
    expected = model.layers[2](y[[4, 2], [0, 1]])
    assert np.array_equal(model(x, lengths=[5, 3]), expected)
    with pytest.raises(ValueError, match="expected one that reads 4 numbers at 1"):
        Sequential(LSTM(3, 4, bidirectional=True, merge="mul"), Linear(8, 2))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"merge": "ave"}, "merge: expected 'concat', 'sum', 'mean' or 'mul', got 'ave'"),
        ({"merge": None}, "merge: expected 'concat', 'sum', 'mean' or 'mul', got None"),
        ({"merge": "sum", "bidirectional": False}, "merge: expected 'concat' without bidirectional=True"),
    ],
)
def test_refusals(options, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        LSTM(3, 5, **{"bidirectional": True} | options)
