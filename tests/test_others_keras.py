"""Keras's files without Keras: every format and layout gives what Keras gave; what is refused."""

import io
import json
import zipfile

import numpy as np
import pytest
from support_others import RESULTS, check_damaged, check_refused, content, output

import fastlstm
from fastlstm.interop import hdf5

h5py = pytest.importorskip("h5py", reason="needs the extra 'files'")

x = RESULTS["x"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("many.keras", "many.keras"),
        ("many.h5", "many.keras"),
        ("around.keras", "around.keras"),
        ("plain.weights.h5", "plain.weights.h5"),
        ("old.h5", "old.h5"),
        ("old.keras", "old.h5"),
        ("cudnn-lstm.h5", "cudnn-lstm.h5"),
        ("cudnn-gru.h5", "cudnn-gru.h5"),
    ],
)
def test_what_keras_wrote_gives_what_keras_gave(name, expected):
    model = fastlstm.load(content(name))
    np.testing.assert_allclose(output(model, x), RESULTS[expected], atol=1e-6)


def test_what_it_is_made_of():
    layers = fastlstm.load(content("many.keras")).layers
    assert [type(layer).__name__ for layer in layers] == [
        *("GRU", "LayerNorm", "LSTM", "LastStep", "Dropout", "Linear", "Softmax")
    ]
    assert layers[0].options() == {"merge": "sum"}
    assert layers[2].reverse
    assert layers[2].activations[0] == ("hard_sigmoid", 1 / 6, 0.5)
    assert layers[1].eps == 1e-3
    assert all(layer.batch_first for layer in (layers[0], layers[2]))


def test_the_hard_sigmoid_of_keras_2_is_another():
    assert fastlstm.load(content("old.h5")).layers[0].activations[0] == ("hard_sigmoid", 0.2, 0.5)


def test_masks_are_the_callers():
    check_refused(content("masked.keras"), "embedding: expected no masks")
    model = fastlstm.load(content("masked.keras"), masked=True)
    tokens = RESULTS["indices_masked"]
    np.testing.assert_allclose(model(tokens, mask=tokens != 0), RESULTS["masked.keras"], atol=1e-6)
    assert not model.layers[2].reset_after


def test_parts():
    """A renamed layer, one in a model within the model, and what stands after one."""
    assert repr(fastlstm.load(content("many.keras"), prefix="ours").options()) == "{'merge': 'sum'}"
    deep = fastlstm.load(content("masked.keras"), prefix="inner/deep", masked=True)
    assert repr(deep) == "LSTM(3, 4, batch_first=True)"
    assert repr(fastlstm.load(content("plain.weights.h5"), prefix="lstm_1")) == "LSTM(3, 3, batch_first=True)"
    check_refused(content("many.keras"), "there is input_layer, ours, ", prefix="none")


def changed(name, change):
    """Return an archive of Keras's with its configuration changed."""
    source, file = zipfile.ZipFile(io.BytesIO(content(name))), io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        for entry in source.namelist():
            data = source.read(entry)
            if entry == "config.json":
                data = json.dumps(change(json.loads(data))).encode()
            out.writestr(entry, data)
    return file.getvalue()


def with_option(place, /, **options):
    def change(configuration):
        configuration["config"]["layers"][place]["config"].update(options)
        return configuration

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (with_option(3, return_sequences=True), "expected go_backwards with the last step alone"),
        (with_option(3, stateful=True), "expected stateful=False"),
        (with_option(3, return_state=True), "expected return_state=False"),
        (with_option(3, activation="selu"), "expected an activation linear, tanh, "),
        (with_option(1, merge_mode=None), "expected merge_mode concat, sum, ave, mul, got None"),
        (with_option(2, axis=1), "expected axis=-1, got 1"),
        (with_option(3, use_bias=False), "expected 2 arrays, got 3"),
        (with_option(5, activation="mish"), "expected an activation linear, relu, "),
        (lambda configuration: [], "configuration: expected a mapping, got list"),
        (lambda configuration: {"class_name": "Sequential", "config": []}, ""),
        (
            lambda configuration: {"class_name": "Model", "config": {"layers": 3}},
            "layers: expected a list, got int",
        ),
        (
            lambda configuration: {"class_name": "Other", "config": {}},
            "expected a Sequential or Functional model",
        ),
    ],
)
def test_what_is_refused(change, sentence):
    check_refused(changed("many.keras", change), sentence)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (with_option(1, padding="same", strides=[2]), "conv1d: padding: expected an integer with stride=2"),
        (with_option(1, data_format="channels_first"), "expected data_format='channels_last'"),
        (with_option(1, kernel_size=[5]), "conv1d: expected a kernel (5, in, out), got (3, 2, 4)"),
        (with_option(1, kernel_size=[3, 3]), "conv1d: expected one number kernel_size, got [3, 3]"),
        (with_option(1, groups=3), "conv1d: "),
        (with_option(2, axis=1), "expected axis=-1, got 1"),
        (with_option(2, momentum="0"), "batch_normalization: expected a float momentum, got str"),
        (with_option(3, padding="same"), "max_pooling1d: expected padding='valid', got 'same'"),
        (with_option(5, negative_slope=-1), "leaky_re_lu: negative_slope: expected"),
        (
            with_option(6, cell={"class_name": "StackedRNNCells", "config": {"cells": 3}}),
            "a list of cells, got int",
        ),
        (with_option(6, go_backwards=True), "rnn/0: expected go_backwards with the last step alone"),
    ],
)
def test_what_stands_around_is_refused_by_name(change, sentence):
    check_refused(changed("around.keras", change), sentence)


def hdf5_file(make):
    """Return an HDF5 file."""
    file = io.BytesIO()
    with h5py.File(file, "w") as out:
        make(out)
    return file.getvalue()


def test_a_model_within_a_model_in_another_order():
    """An .h5 file has a batch normalisation's statistics behind all that is trained."""

    def within(configuration):
        layers = configuration["config"]["layers"]
        inner = {"class_name": "Sequential", "config": {"name": "in", "layers": layers[2:3]}}
        inner["config"]["layers"][0]["config"]["trainable"] = False
        layers[2] = inner
        return configuration

    def legacy(out):
        with h5py.File(io.BytesIO(content("many.h5"))) as source:
            source.copy("model_weights", out)
            text = json.dumps(within(json.loads(source.attrs["model_config"])))
            out.attrs["model_config"] = text
            out.attrs["keras_version"] = "3.15.1"

    check_refused(hdf5_file(legacy), "expected layers that are trained whole in a model within a model")


def test_huge_claims():
    def huge(out):
        out.create_dataset("layers/lstm/cell/vars/0", (1 << 20, 1 << 20), "f4", chunks=(1, 1 << 10))

    check_refused(hdf5_file(huge), "expected at most")


def test_other_files_are_not_read(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as out:
        out["0"] = np.ones((2, 2), "f4")

    def outside(out):
        out["layers/dense/vars/0"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "0")

    def virtual(out):
        layout = h5py.VirtualLayout((2, 2), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "0", (2, 2))
        out.create_virtual_dataset("layers/dense/vars/0", layout)

    check_refused(hdf5_file(outside), "expected the place of a layer")
    check_refused(hdf5_file(virtual), "expected numbers in the file itself")


def test_groups_in_themselves():
    def circle(out):
        out.create_group("layers/a")
        out["layers/a/b"] = out["layers"]

    check_refused(hdf5_file(circle), "expected fewer or less deep groups")


def test_a_file_whose_reading_does_not_end(monkeypatch):
    """The library goes on for ever where a piece of its heap of texts says that it has no size."""
    monkeypatch.setattr(hdf5, "SECONDS", 1.5)
    data = bytearray(content("many.h5"))
    heap = data.index(b"GCOL")
    data[heap + 16 : heap + 4096] = bytes(4080)
    check_refused(bytes(data), "whose reading does not end")


@pytest.mark.parametrize("name", ["many.keras", "many.h5", "plain.weights.h5"])
def test_damage(name):
    check_damaged(name, 4)
