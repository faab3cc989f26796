"""Keras's layers on fastlstm, beside Keras's own, on the backend that KERAS_BACKEND names, or torch."""

import itertools
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

BACKEND = os.environ["KERAS_BACKEND"]
pytest.importorskip("jax" if BACKEND == "numpy" else BACKEND)
keras = pytest.importorskip("keras")

from fastlstm.interop import keras as ours  # noqa: E402
from fastlstm.interop.keras.layers import FUNCTIONS  # noqa: E402

# Keras's own calls of NumPy and of its backends.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
rng = np.random.default_rng(0)
x = rng.standard_normal((3, 6, 4)).astype("f")
MASK = np.array([[1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]], bool)
FORMS = [
    ("LSTM", {}),
    ("LSTM", {"use_bias": False, "unit_forget_bias": False}),
    ("LSTM", {"recurrent_activation": "hard_sigmoid", "activation": "relu"}),
    ("GRU", {}),
    ("GRU", {"reset_after": False}),
    ("GRU", {"use_bias": False}),
    ("SimpleRNN", {}),
    ("SimpleRNN", {"activation": "relu", "use_bias": False}),
]
on_torch = pytest.mark.skipif(BACKEND != "torch", reason="training is ours on torch alone")


def pair(kind, **options):
    """Return Keras's layer and ours with the same weights, built for x."""
    theirs, mine = (getattr(of, kind)(5, **options) for of in (keras.layers, ours))
    for layer in (theirs, mine):
        layer.build(x.shape)
    theirs.set_weights([rng.uniform(-0.6, 0.6, w.shape).astype("f") for w in theirs.get_weights()])
    mine.set_weights(theirs.get_weights())
    return theirs, mine


def arrays(results):
    results = results if isinstance(results, (list, tuple)) else [results]
    return [np.asarray(keras.ops.convert_to_numpy(part)) for part in results]


def close(actual, expected, tolerance=1e-5):
    for a, b in zip(arrays(actual), arrays(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, atol=tolerance)


@pytest.fixture
def without_keras_loop(monkeypatch):
    """Fail where Keras's own loop would run."""

    def refuse(*_, **__):
        raise AssertionError("Keras's own loop")

    monkeypatch.setattr(keras.layers.RNN, "inner_loop", refuse)


@pytest.mark.parametrize(("kind", "form"), FORMS)
@pytest.mark.parametrize("mask", [None, MASK])
def test_forward(kind, form, mask, monkeypatch):
    for back, whole, with_state in itertools.product((False, True), repeat=3):
        options = {"go_backwards": back, "return_sequences": whole, "return_state": True}
        theirs, mine = pair(kind, **form, **options)
        state = [rng.standard_normal((3, 5)).astype("f") for _ in mine.state_size] if with_state else None
        expected = theirs(x, mask=mask, initial_state=state)
        with monkeypatch.context() as patch:
            patch.setattr(keras.layers.RNN, "inner_loop", None)  # ours must not ask for it
            close(mine(x, mask=mask, initial_state=state), expected)


def test_zeros_where_it_is_masked():
    theirs, mine = pair("LSTM", return_sequences=True, zero_output_for_mask=True, go_backwards=True)
    y = arrays(mine(x, mask=MASK))[0]
    close(y, theirs(x, mask=MASK))
    assert not y[~MASK[:, ::-1]].any()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, without_keras_loop):
    layer = ours.SimpleRNN(5, activation=name, return_sequences=True)
    layer.build(x.shape)
    kernel, recurrent, bias = layer.get_weights()
    function, h = keras.activations.get(name), np.zeros((3, 5), "f")
    for step, y in enumerate(arrays(layer(x))[0].swapaxes(0, 1)):
        (h,) = arrays(function(keras.ops.convert_to_tensor(x[:, step] @ kernel + h @ recurrent + bias)))
        np.testing.assert_allclose(y, h, atol=1e-5)


def test_an_unknown_function_is_kerass():
    theirs, mine = pair("SimpleRNN", activation="gelu")
    close(mine(x), theirs(x))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_stateful(kind):
    layers = pair(kind, stateful=True)
    for _ in range(2):
        theirs, mine = (layer(x) for layer in layers)
        close(mine, theirs)
    for layer in layers:
        layer.reset_state()
    close(layers[1](x), layers[0](x))


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_dtypes(dtype):
    theirs, mine = pair("LSTM", dtype=dtype, return_sequences=True, recurrent_initializer="zeros")
    exact = dtype == "float64" and BACKEND == "torch"  # jax has no float64 unless it is told to
    close(mine(x.astype(dtype)), theirs(x.astype(dtype)), 1e-12 if exact else 1e-2)


def test_in_a_bidirectional_wrapper_after_an_embedding_that_masks():
    words = rng.integers(0, 5, (3, 6))
    models = [
        keras.Sequential(
            [
                keras.layers.Embedding(5, 4, mask_zero=True),
                keras.layers.Bidirectional(of.LSTM(5, return_sequences=True)),
                of.GRU(3),
                keras.layers.Dense(2),
            ]
        )
        for of in (keras.layers, ours)
    ]
    for model in models:
        model.build((None, 6))
    models[1].set_weights(models[0].get_weights())
    close(models[1].predict(words, verbose=0), models[0].predict(words, verbose=0))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_configuration_and_file(kind, tmp_path):
    model = keras.Sequential([keras.layers.Input((6, 4)), getattr(ours, kind)(5, go_backwards=True)])
    path = tmp_path / "model.keras"
    model.save(path)
    other = keras.saving.load_model(path)
    assert type(other.layers[0]) is getattr(ours, kind)
    close(other.predict(x, verbose=0), model.predict(x, verbose=0), 0)


# Training


@on_torch
@pytest.mark.parametrize(("kind", "form"), FORMS)
@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("back", [False, True])
def test_gradients(kind, form, mask, back, without_keras_loop, monkeypatch):
    import torch

    found = []
    theirs, mine = pair(kind, **form, return_sequences=True, return_state=True, go_backwards=back)
    monkeypatch.undo()
    weight = torch.as_tensor(rng.standard_normal((3, 6, 5)).astype("f"))
    for layer in (theirs, mine):
        given = torch.as_tensor(x).requires_grad_()
        y, *states = layer(given, mask=mask, training=True)
        total = (y * weight).sum() + sum(part.pow(2).sum() for part in states)
        wanted = [given, *(variable.value for variable in layer.trainable_variables)]
        found.append(torch.autograd.grad(total, wanted, retain_graph=True))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, atol=1e-4)
    for a, b in zip(found[1], torch.autograd.grad(total, wanted), strict=True):
        assert torch.equal(a, b)


@on_torch
def test_fit_and_dropout():
    model = keras.Sequential([keras.layers.Input((6, 4)), ours.LSTM(5, dropout=0.2, recurrent_dropout=0.1)])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    history = model.fit(x, np.full((3, 5), 0.5, "f"), epochs=15, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    layer = ours.LSTM(5, dropout=0.5)
    drawn = [arrays(layer(x, training=True))[0] for _ in range(2)]
    assert not np.array_equal(*drawn)
    np.testing.assert_array_equal(arrays(layer(x))[0], arrays(layer(x))[0])


def test_gradients_of_a_call_that_does_not_train():
    """On torch there are, on numpy none; where a call leaves the graph they are refused."""
    layer = ours.LSTM(5)
    layer.build(x.shape)
    if BACKEND == "jax":
        import jax

        with pytest.raises(ValueError, match="callbacks do not support JVP"):
            jax.grad(lambda given: layer(given).sum())(x)
    elif BACKEND == "tensorflow":
        import tensorflow as tf

        given = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(given)
            total = tf.reduce_sum(layer(given))
        with pytest.raises(ValueError, match="training: expected True, as only such calls have gradients"):
            tape.gradient(total, given)
    elif BACKEND == "torch":
        import torch

        given = torch.as_tensor(x).requires_grad_()
        layer(given).sum().backward()
        assert given.grad.shape == x.shape


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_any_number_of_steps_and_then_training_on_any_backend(kind):
    """A compiled model of unknown T and B; what trains is Keras's own loop but on torch."""
    model = keras.Sequential([keras.layers.Input((None, 4)), getattr(ours, kind)(5), keras.layers.Dense(1)])
    plain = keras.Sequential(
        [keras.layers.Input((None, 4)), getattr(keras.layers, kind)(5), keras.layers.Dense(1)]
    )
    plain.set_weights(model.get_weights())
    for T in (6, 3):
        close(model.predict(x[:, :T], verbose=0), plain.predict(x[:, :T], verbose=0))
    if BACKEND == "numpy":  # which trains nothing
        return
    for one in (model, plain):
        one.compile("sgd", "mse")
        one.fit(x, np.ones((3, 1), "f"), epochs=3, shuffle=False, verbose=0)
    close(model.get_weights(), plain.get_weights(), 1e-4)
    close(model.predict(x, verbose=0), plain.predict(x, verbose=0), 1e-4)


def test_other_backends_are_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    with pytest.raises(ValueError, match=r"backend: expected 'torch', .* or 'numpy', got 'openvino'"):
        ours.LSTM(5)


def test_page():
    """The Python of docs/keras.md runs."""
    page = Path(__file__).parents[1] / "docs" / "keras.md"
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(compile(block, str(page), "exec"), names)
    assert names["model"](np.array([[1, 2, 0], [3, 0, 0]])).shape == (2, 5)


@on_torch
def test_a_stateful_layer_goes_back_after_its_state_has_moved():
    theirs, _ = pair("LSTM")
    _, mine = pair("LSTM", stateful=True)
    mine.set_weights(theirs.get_weights())
    for layer in (theirs, mine):
        layer(x).sum().backward()
    for a, b in zip(theirs.trainable_variables, mine.trainable_variables, strict=True):
        np.testing.assert_allclose(b.value.grad, a.value.grad, atol=1e-4)


PROBLEMS = {
    "kind": st.sampled_from(["LSTM", "GRU", "SimpleRNN"]),
    "options": st.fixed_dictionaries(
        {
            "use_bias": st.booleans(),
            "go_backwards": st.booleans(),
            "activation": st.sampled_from(["tanh", "relu", "softsign"]),
        }
    ),
    "reset_after": st.booleans(),
    "sizes": st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 20), st.integers(1, 20)),
    "is_masked": st.booleans(),
    "has_state": st.booleans(),
    "seed": st.integers(0, 2**31),
}


def problem(kind, options, reset_after, sizes, is_masked, has_state, seed):
    """Return Keras's layer and ours, x, a mask and a state."""
    B, T, columns, units = sizes
    told = {**options, "return_sequences": True, "return_state": True}
    if kind == "GRU":
        told["reset_after"] = reset_after
    numbers = np.random.default_rng(seed)
    theirs, mine = (getattr(of, kind)(units, **told) for of in (keras.layers, ours))
    for layer in (theirs, mine):
        layer.build((B, T, columns))
    theirs.set_weights([numbers.uniform(-0.5, 0.5, w.shape).astype("f") for w in theirs.get_weights()])
    mine.set_weights(theirs.get_weights())
    given = numbers.standard_normal((B, T, columns)).astype("f")
    mask = numbers.random((B, T)) < 0.7 if is_masked else None
    states = len(mine.state_size) if has_state else 0
    return theirs, mine, given, mask, [numbers.standard_normal((B, units)).astype("f") for _ in range(states)]


def relative(actual, expected, tolerance):
    """Assert that arrays are so close, relative to the largest number of each, or to 1."""
    for a, b in zip(arrays(actual), arrays(expected), strict=True):
        assert np.abs(a - b).max() <= tolerance * max(1, np.abs(b).max())


@settings(max_examples=15)
@drawn(**PROBLEMS)
def test_results_are_kerass(**drawn):
    theirs, mine, given, mask, state = problem(**drawn)
    expected = theirs(given, mask=mask, initial_state=state or None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.layers.RNN, "inner_loop", None)  # ours must not ask for it
        relative(mine(given, mask=mask, initial_state=state or None), expected, 1e-5)


@on_torch
@settings(max_examples=15)
@drawn(**PROBLEMS)
def test_gradients_are_kerass(**drawn):
    import torch

    theirs, mine, given, mask, state = problem(**drawn)
    found = []
    for layer in (theirs, mine):
        x_and_state = [torch.as_tensor(part).requires_grad_() for part in (given, *state)]
        results = layer(x_and_state[0], mask=mask, initial_state=x_and_state[1:] or None, training=True)
        total = sum((part * torch.linspace(-1, 1, part.numel()).view(part.shape)).sum() for part in results)
        wanted = [*x_and_state, *(variable.value for variable in layer.trainable_variables)]
        found.append(torch.autograd.grad(total, wanted))
    relative(found[1], found[0], 1e-4)
