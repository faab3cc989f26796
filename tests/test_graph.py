"""Graphs: skips, concatenations, sums and several heads, whole, ragged, in steps and backward."""

import copy
import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import central_differences

import fastlstm
from fastlstm import (
    GRU,
    LSTM,
    Add,
    Concat,
    Conv1d,
    Embedding,
    Graph,
    LastStep,
    Linear,
    MaxOverTime,
    MaxPool1d,
    MeanOverTime,
    Multiply,
    Sequential,
    Sigmoid,
    StreamPool,
    Tanh,
)
from fastlstm.training import mean_squared_error, predict


def residual(dtype="float64"):
    """A skip over a convolution, whose steps come later than what skips it, a gate, and a recurrent layer."""
    return Graph(
        {
            "wide": Linear(2, 3, dtype=dtype, rng=0),
            "around": Conv1d(3, 3, 3, padding="same", dtype=dtype, rng=1),
            "sum": (Add(), "wide", "around"),
            "gate": Sigmoid(),
            "gated": (Multiply(), "gate", "sum", "wide"),
            "gru": GRU(3, 2, dtype=dtype, rng=2),
            "all": (Concat(), "x", "gru", "gated"),
            "half": MaxPool1d(2),
            "out": Linear(7, 2, dtype=dtype, rng=3),
        }
    )


def heads(dtype="float64"):
    return Graph(
        {
            "lstm": LSTM(2, 3, bidirectional=True, dtype=dtype, rng=0),
            "tags": Linear(6, 4, dtype=dtype, rng=1),
            "last": (LastStep(), "lstm"),
            "most": (MaxOverTime(), "lstm"),
            "both": (Concat(), "last", "most"),
            "kind": Linear(12, 2, dtype=dtype, rng=2),
        },
        outputs=["tags", "kind"],
    )


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("lengths", [None, [7, 0, 4]])
@pytest.mark.parametrize("make", [residual, heads])
def test_gradients(make, lengths):
    model, x = make(), normal(0, 7, 3, 2)
    y, state, tape = model.forward(x, lengths=lengths)
    single = isinstance(model.outputs, str)
    named = {"out": y} if single else y
    dy = {name: normal(k, *array.shape) for k, (name, array) in enumerate(named.items())}
    dstate = [copy.deepcopy(part) for part in state]
    gradients, weights = tape.backward(dy["out"] if single else dy, dstate), model.state_dict()

    def loss():
        y, state = model.load_state_dict(weights).run(x, lengths=lengths)
        of_states = sum((np.asarray(a) * np.asarray(b)).sum() for a, b in zip(state, dstate, strict=True))
        return of_states + sum(
            (array * dy[name]).sum() for name, array in ({"out": y} if single else y).items()
        )

    np.testing.assert_allclose(gradients.input, central_differences(loss, x), atol=1e-6)
    assert gradients.parameters.keys() == weights.keys() == model.parameters.keys()
    for name, array in weights.items():
        np.testing.assert_allclose(gradients.parameters[name], central_differences(loss, array), atol=1e-6)


@pytest.mark.parametrize("make", [residual, heads])
def test_ragged_and_one_by_one(make):
    model, x, lengths = make("float32"), normal(0, 9, 4, 2).astype("f"), [9, 2, 0, 6]
    for b, length in enumerate(lengths):
        x[length:, b] = np.nan
    y = model(x, lengths=lengths)
    for b, length in enumerate(lengths):
        alone = model(x[:length, b])
        if isinstance(model.outputs, str):
            assert np.array_equal(y[: len(alone), b], alone)
            assert not y[len(alone) :, b].any()
        else:
            assert np.array_equal(y["tags"][:length, b], alone["tags"])
            assert np.array_equal(y["kind"][b], alone["kind"])


def test_as_by_hand():
    model, x = residual(), normal(0, 6, 2, 2)
    wide, around, gru, out = (model.nodes[name][0] for name in ("wide", "around", "gru", "out"))
    sums = wide(x) + around(wide(x))
    gated = Sigmoid()(sums) * sums * wide(x)
    everything = np.concatenate([x, gru(gated)[0], gated], axis=2)
    assert np.array_equal(model(x), out(MaxPool1d(2)(everything)))
    assert model.input_size == 2
    assert model.lengths_after([6, 5]).tolist() == [3, 2]


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 14), st.lists(st.integers(0, 14), max_size=5).map(sorted), st.sampled_from([None, 2]))
def test_a_stream_gives_what_the_whole_gives(T, cuts, batch_size):
    """What skips a layer waits for what goes through it."""
    model = residual("float32")
    x = normal(0, T, *(() if batch_size is None else (batch_size,)), 2).astype("f")
    stream, outputs = model.stream(batch_size), []
    for chunk in np.split(x, cuts):
        if len(chunk) == 1:
            y = stream.step(chunk[0])
            outputs += [] if y is None else [y[None]]
        else:
            outputs.append(stream.feed(chunk))
        stream = pickle.loads(pickle.dumps(stream))
    assert np.array_equal(np.concatenate([*outputs, stream.finish()]), model(x))


def test_heads_stream_and_pools_refuse_them():
    lstm = LSTM(2, 3, rng=0)
    model = Graph({"lstm": lstm, "a": Linear(3, 4, rng=1), "b": (Tanh(), "lstm")}, outputs=["a", "b"])
    x, stream = normal(0, 5, 2).astype("f"), model.stream()
    y = model(x)
    first, rest = stream.step(x[0]), stream.feed(x[1:])
    for name in ("a", "b"):
        assert np.array_equal(np.concatenate([first[name][None], rest[name]]), y[name])
    with pytest.raises(ValueError, match="out: expected None for a model with 2 outputs"):
        stream.step(x[0], out=np.zeros(4, "f"))
    for call in (lambda: StreamPool(model, 3), lambda: predict(model, [x])):
        with pytest.raises(ValueError, match="model: expected one with one output, got Graph"):
            call()


def test_pool_predict_and_fit():
    model = Graph({"lstm": LSTM(3, 3, rng=0), "skip": (Add(), "x", "lstm"), "out": Linear(3, 1, rng=1)})
    x = normal(0, 8, 5, 3).astype("f")
    pool = StreamPool(model, 4)
    ids = [pool.open() for _ in range(3)]
    for t in range(5):
        assert np.array_equal(pool.step(ids, x[:3, t]), model(x[:3].swapaxes(0, 1))[t])
    assert np.array_equal(predict(model, x)[2], model(x[2]))
    history = fastlstm.fit(model, (x, x.sum(axis=2, keepdims=True)), mean_squared_error, epochs=20, rng=0)
    assert history["loss"][-1] < history["loss"][0]


def test_names_are_those_of_a_module_with_parts():
    model = heads()
    assert list(model.parameters)[:1] + list(model.parameters)[-2:] == [
        "lstm.weight_ih_l0",
        "kind.weight",
        "kind.bias",
    ]
    other = heads()
    other.update({"tags.bias": np.ones(4)})
    assert other.layers[1].parameters["bias"].all()
    assert not np.array_equal(other(normal(0, 3, 2))["tags"], model(normal(0, 3, 2))["tags"])
    assert pickle.loads(pickle.dumps(model)).nodes.keys() == model.nodes.keys()


def test_weights_can_be_lent():
    model, x = heads(), normal(0, 4, 2)
    lent, _ = model.run(x, weights={"kind.bias": np.full(2, 7.0)})
    np.testing.assert_allclose(lent["kind"] - model(x)["kind"], 7 - model.parameters["kind.bias"])


def test_several_embeddings_read_the_same_indices():
    model = Graph(
        {
            "one": Embedding(5, 2, rng=0),
            "two": (Embedding(7, 3, rng=1), "x"),
            "both": (Concat(), "one", "two"),
            "mean": MeanOverTime(),
        }
    )
    assert model.num_embeddings == 5
    assert model([0, 4, 1]).shape == (5,)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: Graph({}), ValueError, "nodes: expected at least one, got none"),
        (lambda: Graph([Tanh()]), TypeError, "nodes: expected a mapping of names to layers, got list"),
        (lambda: Graph({"a.b": Tanh()}), ValueError, "nodes: expected names without a dot, none of them 'x'"),
        (lambda: Graph({"a": (Tanh(), "b")}), ValueError, "nodes: expected 'a' to read one of x, got 'b'"),
        (
            lambda: Graph({"a": (Tanh(), "x", "x")}),
            ValueError,
            "nodes: expected 'a' to read one node, got x, x",
        ),
        (lambda: Graph({"a": Tanh()}, "b"), ValueError, "outputs: expected names of nodes, got b"),
        (lambda: Graph({"a": Tanh()}, []), ValueError, "outputs: expected at least one name"),
        (lambda: Graph({"a": Tanh()}, 3), TypeError, "outputs: expected a name or a list of names, got 3"),
        (
            lambda: Graph({"a": Tanh(), "b": (Tanh(), "x")}),
            ValueError,
            "nodes: expected each to be read or an output, got a",
        ),
        (lambda: Graph({"a": 3}), TypeError, "got int at a"),
        (
            lambda: Graph({"a": Linear(2, 3), "b": (Add(), "x", "a")}),
            ValueError,
            "layers: expected inputs of one size, got 2, 3 at b",
        ),
        (
            lambda: Graph({"a": LSTM(2, 3), "b": MeanOverTime(), "c": (Concat(), "a", "b")}),
            ValueError,
            "layers: expected nothing over time after MeanOverTime(), got Concat() at c",
        ),
        (
            lambda: Graph(
                {
                    "a": LSTM(2, 3, bidirectional=True),
                    "b": (Concat(), "a", "x"),
                    "c": LastStep(),
                }
            ),
            ValueError,
            "layers: expected LastStep() to read columns of one layer, got it at c",
        ),
        (
            lambda: Graph({"a": Embedding(3, 2), "b": (LSTM(2, 2), "x"), "c": (Add(), "a", "b")}),
            ValueError,
            "layers: expected all that read x to read indices, or none, got b",
        ),
        (
            lambda: Graph({"a": Conv1d(2, 2, 3), "b": (Add(), "x", "a")})(np.ones((5, 2))),
            ValueError,
            "x[1]: expected shape (5, n) as the first, got (3, 2)",
        ),
        (
            lambda: heads().forward(np.ones((3, 2)))[2].backward({"other": np.ones(3)}),
            ValueError,
            "dy: expected names of outputs, got other",
        ),
        (
            lambda: heads().forward(np.ones((3, 2)))[2].backward({"kind": np.ones(3)}),
            ValueError,
            "dy['kind']: expected shape (2,), got (3,)",
        ),
        (lambda: Add()(), ValueError, "x: expected at least one array, got none"),
        (lambda: Add()(np.ones(3), np.ones(2)), ValueError, "x: expected inputs of one size, got 3, 2"),
        (lambda: Sequential(Add(), Linear(2, 2))(np.ones((2, 3))), ValueError, "x: expected shape (..., 2)"),
    ],
)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()
