"""The layer in Thinc's registry."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("thinc")

from thinc.api import Adam, NumpyOps, PyTorchLSTM, Ragged, fix_random_seed, registry

from fastlstm import LSTM
from fastlstm.interop import thinc as ours

rng = np.random.default_rng(0)
LENGTHS = (4, 2, 7)
X = [rng.standard_normal((n, 3)).astype("f") for n in LENGTHS]
DY = [rng.standard_normal((n, 6)).astype("f") for n in LENGTHS]


def initialized(**options):
    """Return the layer with weights that are drawn, biases, too."""
    layer = ours.LSTM(**{"nO": 6, "nI": 3} | options)
    layer.initialize(X=X, Y=DY)
    inner = layer.layers[0]
    for name in inner.param_names:
        inner.set_param(name, rng.uniform(-0.5, 0.5, inner.get_param(name).shape).astype("f"))
    return layer


def twin(layer):
    """Return the model that the layer is to be."""
    inner = layer.layers[0]
    directions = inner.get_dim("dirs")
    model = LSTM(3, 6 // directions, inner.get_dim("depth"), bidirectional=directions == 2)
    return model.load_state_dict({name: inner.get_param(name) for name in inner.param_names})


def padded(sequences):
    out = np.zeros((max(LENGTHS), len(LENGTHS), sequences[0].shape[1]), "f")
    for b, sequence in enumerate(sequences):
        out[: len(sequence), b] = sequence
    return out


@pytest.mark.parametrize("bi", [False, True])
@pytest.mark.parametrize("depth", [1, 3])
def test_results_and_gradients(bi, depth):
    layer = initialized(bi=bi, depth=depth)
    y, _, tape = twin(layer).forward(padded(X), lengths=LENGTHS)
    its = tape.backward(padded(DY))
    outputs, backprop = layer.begin_update(X)
    dX = backprop(DY)
    for b, n in enumerate(LENGTHS):
        np.testing.assert_allclose(outputs[b], y[:n, b], atol=1e-6)
        np.testing.assert_allclose(dX[b], its.input[:n, b], atol=1e-5)
    for name, gradient in its.parameters.items():
        np.testing.assert_allclose(layer.layers[0].get_grad(name), gradient, atol=1e-5)


def test_padded_and_ragged():
    layer = initialized(bi=True)
    expected = layer.predict(X)
    one = layer.predict(NumpyOps().list2padded(X))
    assert one.data.shape == (7, 3, 6)
    np.testing.assert_array_equal(np.concatenate(layer.ops.padded2list(one)), np.concatenate(expected))
    ragged = layer.predict(Ragged(np.concatenate(X), np.array(LENGTHS, "i")))
    np.testing.assert_array_equal(ragged.dataXd, np.concatenate(expected))


def test_saved_and_made_of_a_configuration():
    layer = initialized(bi=True, depth=2)
    config = {"layer": {"@layers": "fastlstm.LSTM.v1", "nO": 6, "nI": 3, "bi": True, "depth": 2}}
    other = registry.resolve(config)["layer"].from_bytes(layer.to_bytes())
    for a, b in zip(other.predict(X), layer.predict(X), strict=True):
        np.testing.assert_array_equal(a, b)


def test_sizes_are_inferred():
    layer = ours.LSTM()
    layer.initialize(X=X, Y=DY)
    assert (layer.layers[0].get_dim("nI"), layer.layers[0].get_dim("nO")) == (3, 6)
    assert [y.shape for y in layer.predict(X)] == [(n, 6) for n in LENGTHS]


def test_dropout_falls_between_layers_in_training():
    layer = initialized(depth=2, dropout=0.5)
    drawn = []
    for seed in (0, 0, 1):
        fix_random_seed(seed)
        drawn.append(layer.begin_update(X)[0][0])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    np.testing.assert_array_equal(layer.predict(X)[0], layer(X, is_train=False)[0][0])
    one = initialized(depth=1, dropout=0.5)
    np.testing.assert_array_equal(one.begin_update(X)[0][0], one.predict(X)[0])


def test_it_learns():
    layer = initialized()
    optimizer, losses = Adam(0.02), []
    for _ in range(30):
        outputs, backprop = layer.begin_update(X)
        errors = [y - d for y, d in zip(outputs, DY, strict=True)]
        losses.append(sum(float((e * e).sum()) for e in errors))
        backprop(errors)
        layer.finish_update(optimizer)
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.filterwarnings("ignore:.*autocast:FutureWarning")  # Thinc's
@settings(max_examples=20)
@given(
    st.integers(1, 12),
    st.integers(1, 9),
    st.booleans(),
    st.integers(1, 3),
    st.lists(st.integers(1, 7), min_size=1, max_size=4),
    st.integers(0, 2**31),
)
def test_results_and_gradients_are_those_of_thincs_pytorch_lstm(nI, H, bi, depth, lengths, seed):
    pytest.importorskip("torch")
    numbers, nO = np.random.default_rng(seed), H * (1 + bi)
    theirs = PyTorchLSTM(nO, nI, bi=bi, depth=depth)
    module = theirs.layers[0].shims[0]._model
    layer = ours.LSTM(nO, nI, bi=bi, depth=depth).initialize()
    inner = layer.layers[0]
    for name, parameter in module.named_parameters():
        array = numbers.uniform(-0.5, 0.5, parameter.shape).astype("f")
        inner.set_param(name, array)
        parameter.data.numpy()[...] = array
    sequences, slopes = ([numbers.standard_normal((n, of)).astype("f") for n in lengths] for of in (nI, nO))
    outputs, backprop = layer.begin_update(sequences)
    dX = backprop(slopes)
    for k, (sequence, slope) in enumerate(zip(sequences, slopes, strict=True)):
        # Each by itself: in a batch theirs runs backward through the padding, too.
        (y,), back = theirs.begin_update([sequence])
        (dx,) = back([slope])
        for a, b, tolerance in ((outputs[k], y, 1e-5), (dX[k], dx, 1e-4)):
            assert np.abs(a - b).max() <= tolerance * max(1, np.abs(b).max())
    for name, parameter in module.named_parameters():
        a, b = inner.get_grad(name), parameter.grad.numpy()
        assert np.abs(a - b).max() <= 1e-4 * max(1, np.abs(b).max())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"depth": 0}, "depth: expected at least 1, got 0"),
        ({"nO": 5, "bi": True}, "nO: expected an even number with bi=True, got 5"),
    ],
)
def test_refusals(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        ours.LSTM(**options)


def test_other_arrays_are_refused():
    class Elsewhere:
        data = memoryview(b"")

    inner = initialized().layers[0]
    with pytest.raises(ValueError, match="X: expected arrays of NumPy, got memoryview"):
        inner(Elsewhere(), is_train=False)
