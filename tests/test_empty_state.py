"""The final state of a sequence without a step: the initial one, or zeros, as the model was told."""

import numpy as np
import pytest
from support import central_differences

from fastlstm import GRU, LSTM, RNN, Linear, Sequential, StreamPool

KINDS = [LSTM, RNN, GRU]
LENGTHS = [3, 0, 2, 0]
x = np.random.default_rng(0).standard_normal((3, 4, 3))


def state_for(model, seed=1):
    rng = np.random.default_rng(seed)
    sizes = model._state_sizes
    return [rng.standard_normal((model.num_layers * model.directions, 4, size)) for size in sizes]


def parts(model, state):
    return model._from_state(state, "state")


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_zeros_for_the_empty_ones(kind, batch_first):
    options = {"bidirectional": True, "batch_first": batch_first, "dtype": "float64", "rng": 0}
    plain, model = kind(3, 5, 2, **options), kind(3, 5, 2, empty_state="zero", **options)
    given = plain._to_state(state_for(plain))
    inputs = x.swapaxes(0, 1) if batch_first else x
    y, expected = plain(inputs, given, lengths=LENGTHS)
    for other_y, final, *_ in (
        model(inputs, given, lengths=LENGTHS),
        model.forward(inputs, given, lengths=LENGTHS),
    ):
        assert np.array_equal(other_y, y)
        for part, before in zip(parts(model, final), parts(plain, expected), strict=True):
            assert np.array_equal(part[:, [0, 2]], before[:, [0, 2]])
            assert not part[:, [1, 3]].any()


@pytest.mark.parametrize("kind", KINDS)
def test_no_step_at_all(kind):
    model = kind(3, 5, rng=0, empty_state="zero")
    given = model._to_state(state_for(model))
    assert not any(part.any() for part in parts(model, model(x[:0], given)[1]))
    _, final, tape = model.forward(x[:0], given)
    assert not any(part.any() for part in parts(model, tape.backward(None, final).state))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    model = kind(3, 5, 2, dtype="float64", rng=0, empty_state="zero")
    given = state_for(model)
    upstream = state_for(model, seed=2)
    _, _, tape = model.forward(x, model._to_state(given), lengths=LENGTHS)
    gradients = tape.backward(None, model._to_state(upstream))

    def loss():
        _, final = model(x, model._to_state(given), lengths=LENGTHS)
        return sum((a * b).sum() for a, b in zip(parts(model, final), upstream, strict=True))

    for array, gradient in zip(given, parts(model, gradients.state), strict=True):
        np.testing.assert_allclose(gradient, central_differences(loss, array), atol=1e-7)
        assert not gradient[:, [1, 3]].any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pause_is_no_end(kind):
    layer = kind(3, 5, rng=0, empty_state="zero")
    for model in (layer, Sequential(layer, Linear(5, 2, rng=0))):
        frames = x[:, 0].astype("f")
        expected, _ = model.run(frames)
        stream = model.stream()
        assert np.array_equal(stream.feed(frames[:2]), expected[:2])
        assert stream.feed(frames[:0]).shape[0] == 0
        assert np.array_equal(stream.feed(frames[2:]), expected[2:])
        pool = StreamPool(model, 4)
        ids = [pool.open() for _ in range(4)]
        for shuffled in (ids, [ids[k] for k in (2, 0, 3, 1)]):
            pool.feed(shuffled, x.astype("f"))
            before = [np.concatenate(flat(pool.state(id))) for id in shuffled]
            pool.feed(shuffled, x.astype("f"), lengths=LENGTHS)
            after = [np.concatenate(flat(pool.state(id))) for id in shuffled]
            same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
            assert same == [False, True, False, True]
            pool.feed(shuffled, x[:0].astype("f"))
            assert all(
                np.array_equal(np.concatenate(flat(pool.state(id))), state)
                for id, state in zip(shuffled, after, strict=True)
            )


def flat(state):
    if isinstance(state, tuple):
        return [array for part in state for array in flat(part)]
    return [state.ravel()]


@pytest.mark.parametrize("value", ["none", None, 0])
def test_refusals(value):
    with pytest.raises(ValueError, match=f"empty_state: expected 'initial' or 'zero', got {value!r}"):
        LSTM(3, 5, empty_state=value)
