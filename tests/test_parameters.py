"""Weights can't go stale, and nothing sees half of a change."""

import threading

import numpy as np
import pytest

import fastlstm


def test_parameters_are_read_only_for_good():
    array = fastlstm.LSTM(3, 5, rng=0).parameters["weight_ih_l0"]
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True
    with pytest.raises(TypeError):
        fastlstm.LSTM(3, 5, rng=0).parameters["weight_ih_l0"] = array


def test_what_was_loaded_is_the_models_own():
    model, x = fastlstm.LSTM(3, 5, rng=0), np.ones((4, 3))
    given = {name: array + 1 for name, array in model.parameters.items()}
    model.load_state_dict(given)
    y = model(x)[0]
    for array in given.values():
        array[...] = 0
    assert np.array_equal(model(x)[0], y)


def test_state_dict_is_the_callers_own():
    model, x = fastlstm.LSTM(3, 5, rng=0), np.ones((4, 3))
    y = model(x)[0]
    for array in model.state_dict().values():
        array[...] = 0
    assert np.array_equal(model(x)[0], y)


def test_names_and_shapes():
    model = fastlstm.LSTM(3, 5, num_layers=2, bidirectional=True, proj_size=2, rng=0)
    shapes = {name: array.shape for name, array in model.parameters.items()}
    assert list(shapes)[:5] == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_hr_l0"]
    assert shapes["weight_ih_l1_reverse"] == (20, 4)
    assert shapes["weight_hh_l1_reverse"] == (20, 2)
    assert shapes["weight_hr_l1_reverse"] == (2, 5)
    assert model.num_parameters == sum(np.prod(shape) for shape in shapes.values())


@pytest.mark.parametrize("change", ["load_state_dict", "update"])
def test_every_change_is_seen(change):
    model, x = fastlstm.LSTM(3, 5, num_layers=2, rng=0), np.ones((4, 3))
    stream = model.stream()
    before = model(x)[0], stream.step(x[0])
    stream.reset()
    other = fastlstm.LSTM(3, 5, num_layers=2, rng=1)
    getattr(model, change)(other.state_dict())
    assert np.array_equal(model(x)[0], other(x)[0])
    assert np.array_equal(stream.step(x[0]), other(x)[0][0])
    assert not np.array_equal(model(x)[0], before[0])


def test_backward_belongs_to_the_weights_of_its_forward():
    x, dy = np.ones((4, 3)), np.ones((4, 5))
    model = fastlstm.LSTM(3, 5, rng=0)
    expected = model.forward(x)[2].backward(dy)
    _, _, tape = model.forward(x)
    model.update({"weight_hh_l0": np.zeros((20, 5))})
    assert np.array_equal(tape.backward(dy).input, expected.input)


def test_readers_never_see_half_of_a_change():
    x = np.ones((20, 8, 16))
    models = [fastlstm.LSTM(16, 32, num_layers=2, rng=seed) for seed in range(2)]
    dicts = [model.state_dict() for model in models]
    allowed = {model(x)[0].tobytes() for model in models}
    shared = fastlstm.LSTM(16, 32, num_layers=2, rng=0)
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            seen.add(shared(x)[0].tobytes())

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for k in range(100):
        shared.load_state_dict(dicts[k % 2])
    stop.set()
    for reader in readers:
        reader.join()
    assert seen <= allowed
