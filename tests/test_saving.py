"""Models in files: the same again, or a sentence; whatever stands in the file."""

import inspect
import json
import os
import pickle
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from support_files import forge

import fastlstm
from fastlstm import (
    CRF,
    ELU,
    GELU,
    GRU,
    LSTM,
    RNN,
    SLSTM,
    Add,
    AttentionPool,
    AvgPool1d,
    BatchNorm1d,
    Concat,
    Conv1d,
    Dropout,
    Embedding,
    Graph,
    GroupNorm,
    LastStep,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    MaxOverTime,
    MaxPool1d,
    MeanOverTime,
    Multiply,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
    TorchLastStep,
    load,
    save,
)
from fastlstm.files import container
from fastlstm.files.description import CLASSES, MOST_LAYERS, described
from fastlstm.interop import saving
from fastlstm.training import mean_squared_error

MODELS = [
    LSTM(3, 5, rng=0),
    LSTM(3, 5, 2, False, True, 0.25, True, 2, dtype="float64", rng=0),
    RNN(3, 5, 2, "relu", False, True, 0.1, True, dtype="float64", rng=0),
    GRU(3, 5, 2, False, True, 0.1, True, dtype="float64", rng=0),
    LSTM(3, 5, rng=0, forget_bias=1.0, init="glorot", learn_state=True),
    GRU(3, 5, rng=0, reverse=True, init=("chrono", 50)),
    RNN(3, 5, 2, rng=0, bidirectional=True, merge="mean", weight_drop=0.25, empty_state="zero"),
    GRU(3, 5, reset_after=False, rng=0),
    SLSTM(3, 6, rng=0, heads=2, forget_gate="exp"),
    LSTM(3, 6, rng=0, peepholes=True, zoneout=(0.1, 0.0), activations=["hard_sigmoid", "tanh", "elu"]),
    Embedding(7, 3, padding_idx=2, dtype="float64", rng=0),
    Linear(3, 2, bias=False, dtype="float64", rng=0),
    LayerNorm(3, 0.1, dtype="float64"),
    Dropout(0.3),
    Conv1d(4, 6, 3, 2, 1, 2, 2, False, dtype="float64", rng=0),
    Conv1d(4, 6, 3, padding="causal", rng=0),
    MaxPool1d(3, 2, 1),
    LeakyReLU(0.2),
    ELU(0.5),
    GELU("tanh"),
    TorchLastStep(),
    CRF(3, dtype="float64", rng=0),
    AttentionPool(3, dtype="float64", rng=0),
    BatchNorm1d(3, momentum=0.2),
    BatchNorm1d(3, 0.1, affine=False, dtype="float64"),
    GroupNorm(2, 4),
    GroupNorm(1, 4, affine=False, over_time=False, dtype="float64"),
    AvgPool1d(2),
    *(
        kind()
        for kind in (Tanh, Sigmoid, SiLU, ReLU, Softmax, LogSoftmax, LastStep, MeanOverTime, MaxOverTime)
    ),
    *(kind() for kind in (Add, Multiply, Concat)),
    Graph({"one": (Linear(3, 3, rng=0), "x"), "sum": (Add(), "x", "one")}),
    Graph(
        {"lstm": LSTM(3, 4, rng=0), "tags": Linear(4, 2, rng=1), "last": (LastStep(), "lstm")},
        outputs=["last", "tags"],
    ),
    Sequential(Tanh()),
    Sequential(*(Linear(2, 2, rng=place) for place in range(11))),
    Sequential(
        Embedding(7, 3, rng=0),
        LSTM(3, 4, bidirectional=True, rng=1),
        LayerNorm(8),
        Dropout(0.5),
        LastStep(),
        Linear(8, 2, dtype="float64", rng=2),
    ),
]


def same(one, other):
    """Return whether two models are equal in every argument and bit."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Sequential):
        return len(one.layers) == len(other.layers) and all(map(same, one.layers, other.layers))
    return described(one) == described(other) and {
        name: (array.dtype, array.shape, array.tobytes()) for name, array in one.parameters.items()
    } == {name: (array.dtype, array.shape, array.tobytes()) for name, array in other.parameters.items()}


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_the_same_again(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save(model, path)
    loaded = load(path)
    assert same(loaded, model)
    assert not any(array.flags.writeable for array in loaded.parameters.values())
    save(model, str(path))
    assert same(load(str(path)), model)


def test_every_class_can_be_saved():
    models = {type(model).__name__ for model in MODELS}
    assert models == {*CLASSES, "Sequential", "Graph"}
    for name in fastlstm.__all__:
        public = getattr(fastlstm, name)
        if inspect.isclass(public) and issubclass(public, fastlstm.model.parameters.Parameterised):
            assert name in models


def test_loaded_models_run_and_draw(tmp_path):
    model = Sequential(LSTM(3, 4, 2, dropout=0.5, rng=0), Dropout(0.5))
    save(model, tmp_path / "model")
    loaded, x = load(tmp_path / "model"), np.ones((5, 2, 3))
    assert np.array_equal(loaded(x), model(x))
    y, _, tape = loaded.forward(x)
    assert 0 < (y == 0).mean() < 1
    assert tape.backward(y).input.shape == x.shape


def test_any_reader_of_safetensors_sees_the_weights(tmp_path):
    save(MODELS[0], tmp_path / "model.safetensors")
    tensors = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    assert all(np.array_equal(tensors[name], array) for name, array in MODELS[0].parameters.items())


# A file is whole or not there


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_failed_save_leaves_the_old_file(function, tmp_path, monkeypatch):
    path = tmp_path / "model"
    save(Linear(3, 2, rng=0), path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match="no space left"):
        save(Linear(3, 2, rng=1), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_refused_model_leaves_nothing(tmp_path):
    class Own(Linear):
        pass

    for model, name in ((Own(2, 2), "Own"), (Sequential(Own(2, 2)), "Own"), (3, "int")):
        with pytest.raises(TypeError, match=f"model: expected Sequential, Graph, LSTM, .*, got {name}"):
            save(model, tmp_path / "model")
    with pytest.raises(FileNotFoundError):
        save(Tanh(), tmp_path / "missing" / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="links and modes as on Unix")
def test_links_and_modes_are_kept(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to(real)
    save(Tanh(), link)
    assert link.is_symlink()
    assert isinstance(load(real), Tanh)
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert real.stat().st_mode == plain.stat().st_mode


# Files that save did not write


GOOD = Sequential(Embedding(3, 2, rng=0), LSTM(2, 3, rng=1), LastStep(), Linear(3, 2, rng=2))


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "model"
    save(GOOD, path)
    return path.read_bytes()


@settings(max_examples=400)
@given(data=st.data())
def test_mangled_bytes(good, tmp_path_factory, data):
    """The same model or a ValueError, whatever happened to the file."""
    place = data.draw(st.integers(0, len(good)) | st.integers(0, good.index(b"}}") + 2))
    end = data.draw(st.integers(place, min(place + 9, len(good))) | st.just(len(good)))
    filling = data.draw(st.binary(max_size=9) | st.sampled_from([b"", b"0", b"9", b"true", b"[", b'"', b" "]))
    path = tmp_path_factory.getbasetemp() / "mangled"
    path.write_bytes(good[:place] + filling + good[end:])
    assert refused_or_same(path, GOOD)


def refused_or_same(path, model):
    """Return whether a file is refused with its sentence, or gives the model."""
    try:
        loaded = load(path)
    except ImportError as error:  # it looks like a file that a library has to read
        return "pip install 'fastlstm[" in str(error)
    except ValueError as error:
        return str(error).startswith(
            (
                "path: expected a model that this fastlstm's save wrote, got ",
                "path: expected layers that fastlstm has",
            )
        )
    return same(loaded, model)


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_of_a_small_model(bit, tmp_path):
    save(Linear(2, 1, rng=0), tmp_path / "model")
    content = (tmp_path / "model").read_bytes()
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        (tmp_path / "flipped").write_bytes(flipped)
        assert refused_or_same(tmp_path / "flipped", Linear(2, 1, rng=0)), place


def forged(tmp_path, content, tensors=None, **metadata):
    """Write a model's file whose digest fits whatever it says."""
    tensors = Linear(2, 1, rng=0).state_dict() if tensors is None else tensors
    return forge(tmp_path / "forged", saving.FORMAT, content, tensors, **metadata)


def linear(**arguments):
    return {
        "class": "Linear",
        "arguments": {"in_features": 2, "out_features": 1, "bias": True, "dtype": "float32"} | arguments,
    }


def lstm(**arguments):
    defaults = described(LSTM(2, 1))["arguments"]
    return {"class": "LSTM", "arguments": defaults | arguments}


def test_forged_as_save_writes_it(tmp_path):
    assert same(load(forged(tmp_path, linear())), Linear(2, 1, rng=0))


HUGE = 10**18


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        ({"class": "os.system", "arguments": {}}, "class: expected one of LSTM, RNN,"),
        ({"class": ["Linear"], "arguments": {}}, "class: expected one of LSTM, RNN,"),
        ({"class": "Parameterised", "arguments": {}}, "got 'Parameterised'"),
        ({"arguments": {}}, "class: expected one of LSTM, RNN,"),
        ({"class": "Linear"}, "arguments: expected a mapping, got NoneType"),
        (
            {"class": "Linear", "arguments": {"in_features": 2}},
            "arguments: expected in_features, out_features",
        ),
        (linear(rng=0), "arguments: expected in_features, out_features, bias, dtype, got"),
        (linear(in_features=3), "weight: expected (1, 3) of float32, got (1, 2) of float32"),
        (linear(in_features="2"), "in_features: expected an integer, got '2'"),
        (linear(in_features=-2), "in_features: expected an integer of at least 1, got -2"),
        (linear(in_features=HUGE), "weight: expected"),
        (linear(in_features=None), "in_features: expected an integer, got None"),
        (linear(dtype="float64"), "weight: expected (1, 2) of float64, got (1, 2) of float32"),
        (linear(dtype="object"), "dtype: expected float32 or float64, got 'object'"),
        (linear(dtype=["float32"]), "dtype: expected float32 or float64, got ['float32']"),
        (linear(bias=False), "tensors: expected those of Linear(2, 1, bias=False), surplus bias"),
        (lstm(), "weight_ih_l0: expected an array of shape (4, 2), got none"),
        (lstm(hidden_size=HUGE), "weight_ih_l0: expected"),
        (lstm(num_layers=HUGE), "num_layers: expected an integer of at most"),
        (lstm(dropout=HUGE), "dropout: expected a number in [0, 1]"),
        (lstm(dropout=float("nan")), "dropout: expected a number in [0, 1], got nan"),
        (
            {"class": "LayerNorm", "arguments": {"size": HUGE, "eps": 1, "dtype": "float32"}},
            "weight: expected",
        ),
        ({"class": "Tanh", "arguments": {}}, "tensors: expected those of Tanh(), surplus bias, weight"),
        ({"class": "Sequential"}, "layers: expected a list, got NoneType"),
        ({"class": "Sequential", "layers": []}, "layers: expected at least one, got none"),
        ({"class": "Sequential", "layers": [3]}, "layer: expected a mapping, got int"),
        (
            {"class": "Sequential", "layers": [linear()]},
            "weight: expected an array of shape (1, 2), got none",
        ),
        (
            {"class": "Sequential", "layers": [{"class": "Tanh", "arguments": {}}]},
            "tensors: expected those of 1 layers, surplus of",
        ),
        (
            {"class": "Sequential", "layers": [{"class": "Sequential", "layers": []}]},
            "class: expected one of LSTM, RNN,",
        ),
        ([], "model: expected a mapping, got list"),
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("[" * 100_000, "description: expected lists and mappings 16 deep at most, got 100000"),
        ("[" * 17 + "]" * 17, "description: expected lists and mappings 16 deep at most, got 17"),
        ('["]]]]", ' + "[" * 16, "description: expected lists and mappings 16 deep at most, got 17"),
        ("9" * 10_000, "description: expected numbers of 40 digits, got one of 10000"),
        (linear(in_features=10**40), "description: expected numbers of 40 digits, got one of 41"),
        ([0] * container.MOST_VALUES, "description: expected at most 262144 values, got 262145"),
        ("0" * container.LONGEST_HEADER, "header: expected 2 to 4194304 bytes, got"),
        ({"class": "L" * 100_000}, "got 'LLL"),
        ({"class": "Graph", "nodes": {}, "outputs": None}, "nodes: expected a list, got dict"),
        ({"class": "Graph", "nodes": [], "outputs": None}, "nodes: expected at least one, got none"),
        ({"class": "Graph", "nodes": [["a"]], "outputs": "a"}, "nodes: expected each with a name of its own"),
        (
            {"class": "Graph", "nodes": [["a", {"class": "Tanh", "arguments": {}}, ["x"]]], "outputs": "a"},
            "nodes: expected 'a' to read names of nodes, got ['x']",
        ),
        (
            {"class": "Graph", "nodes": [["a", {"class": "Tanh", "arguments": {}}, "b"]], "outputs": "a"},
            "nodes: expected 'a' to read one of x, got 'b'",
        ),
        (
            {"class": "Graph", "nodes": [["a", {"class": "Graph", "nodes": []}, "x"]], "outputs": "a"},
            "class: expected one of LSTM, RNN,",
        ),
        (
            {"class": "Sequential", "layers": [{"class": "Dropout", "arguments": {"p": 0.5}}] * 1001},
            "layers: expected at most 1000 layers in a file, got 1001",
        ),
    ],
)
def test_forged_descriptions(description, sentence, tmp_path):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        load(forged(tmp_path, description))


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"weight": np.zeros((1, 2), "f")}, "bias: expected an array of shape (1,), got none"),
        ({"weight": np.zeros((2, 1), "f"), "bias": np.zeros(1, "f")}, "weight: expected (1, 2) of float32"),
        ({"weight": np.zeros((1, 2)), "bias": np.zeros(1)}, "weight: expected (1, 2) of float32, got (1, 2)"),
        ({"weight": np.zeros((1, 2), "i4")}, "weight: expected numbers of F32 or F64 or I64 or I8, got I32"),
        ({"weight": np.zeros((1, 2), "f2")}, "weight: expected numbers of F32 or F64 or I64 or I8, got F16"),
        ({}, "weight: expected an array of shape (1, 2), got none"),
    ],
)
def test_forged_tensors(tensors, sentence, tmp_path):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        load(forged(tmp_path, linear(), tensors))


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({"format": "pt"}, "format: expected 'fastlstm', got 'pt'"),
        ({"format": None}, "format: expected 'fastlstm', got None"),
        ({"version": "2"}, "version: expected '1', got '2'"),
        ({"description": None}, "description: expected one in the metadata, got none"),
        ({"sha256": None}, "sha256: expected the digest of the content, got another"),
        ({"sha256": "0" * 64}, "sha256: expected the digest of the content, got another"),
    ],
)
def test_forged_metadata(metadata, sentence, tmp_path):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        load(forged(tmp_path, linear(), **metadata))


def with_header(header):
    encoded = header.encode()
    return len(encoded).to_bytes(8, "little") + encoded


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        pickle.dumps({"weight": 1}),
        b"\xff" * 100,
        with_header("{}"),
        with_header("[]"),
        with_header('{"__metadata__": []}'),
        with_header('{"__metadata__": {"format": {}}}'),
        with_header('{"__metadata__": null}'),
        with_header('{"a": {"dtype": "F32", "shape": [1099511627776], "data_offsets": [0, 4398046511104]}}'),
        with_header('{"a": {"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 0]}}'),
        with_header('{"a": {"dtype": "F32", "shape": [0, 18446744073709551615], "data_offsets": [0, 0]}}'),
        with_header('{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}') + b"1234",
        with_header("[" * 10_000),
        safetensors.numpy.save({"weight": np.zeros(3)}),
    ],
)
def test_other_files(content, tmp_path):
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(ValueError, match=r"path: expected (a model that this|layers that) fastlstm"):
        load(tmp_path / "other")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
    with pytest.raises(OSError, match=r"directory|denied"):
        load(tmp_path)


def test_claimed_sizes_ask_for_no_memory(tmp_path):
    """A megabyte of file that claims to be gigabytes of model."""
    H = 256
    tensors = {"weight_ih_l0": np.zeros((4 * H, H), "f")}
    description = lstm(input_size=H, hidden_size=H, num_layers=10_000)
    path = forged(tmp_path, description, tensors)
    tracemalloc.start()
    with pytest.raises(ValueError, match="weight_hh_l0: expected"):
        load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * path.stat().st_size


HOSTILE = """
import json, os, resource, sys, pathlib
import fastlstm
from support_files import forge

half = {"class": "Dropout", "arguments": {"p": 0.5}}
contents = {
    "layers": {"class": "Sequential", "layers": [half] * 250_000},
    "fewer": {"class": "Sequential", "layers": [half] * 43_000},
    "arguments": {"class": "Tanh", "arguments": {f"k{k}": k + 0.5 for k in range(200_000)}},
    "wide": json.dumps({"class": "\U0001f600" + "x" * 4_000_000}, ensure_ascii=False),
    "deep": "[" * 2_000_000,
    "digits": "9" * 4_000_000,
}
folder, sizes = pathlib.Path(sys.argv[1]), {}
for name, content in contents.items():
    if not os.fork():
        forge(folder / name, "fastlstm", content, {})
        os._exit(0)
    assert os.wait()[1] == 0

def highest():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024

for name in contents:
    path = folder / name
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before, started = highest(), os.times().user
    try:
        fastlstm.load(path)
    except ValueError as error:
        assert len(str(error)) < 1000
    else:
        raise AssertionError(name)
    sizes[name] = highest() - before - 4 * path.stat().st_size, os.times().user - started
print(json.dumps(sizes))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_hostile_files_take_little_memory_and_time(tmp_path):
    """Beyond four times the file's size no more than 60 MB, whatever it says; files of 4 to 12 MB."""
    run = subprocess.run(
        [sys.executable, "-c", HOSTILE, str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    for name, (memory, seconds) in json.loads(run.stdout).items():
        assert memory < 60e6, name
        assert seconds < 5, name


def test_as_many_layers_as_can_be_loaded_can_be_saved(tmp_path):
    path = tmp_path / "model"
    save(Sequential(*(Tanh() for _ in range(MOST_LAYERS))), path)
    before = path.read_bytes()
    assert len(load(path).layers) == MOST_LAYERS
    with pytest.raises(ValueError, match="model: expected at most 1000 layers in a file, got 1001"):
        save(Sequential(*(Tanh() for _ in range(MOST_LAYERS + 1))), path)
    assert path.read_bytes() == before


def test_what_could_not_be_read_is_not_written(tmp_path):
    path = tmp_path / "file"
    for description, tensors, error, sentence in (
        ("n" * container.LONGEST_HEADER, {}, ValueError, "header: expected 2 to 4194304 bytes"),
        ([0] * container.MOST_VALUES, {}, ValueError, "description: expected at most 262144 values"),
        (
            [],
            {"a": np.zeros(2, bool)},
            TypeError,
            "a: expected an array of float32, float64, int64 or int8, got bool",
        ),
    ):
        with pytest.raises(error, match=sentence):
            container.write(path, "kind", description, tensors)
    assert not path.exists()
    container.write(path, "kind", [], {"a": np.arange(6.0).reshape(2, 3).T})
    assert container.read(path, "kind")[1]["a"].tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.skipif(os.name == "nt", reason="devices and pipes as on Unix")
def test_devices_and_pipes_are_read_no_further_than_they_make_sense(tmp_path):
    for device in ("/dev/zero", "/dev/null"):
        with pytest.raises(ValueError, match="header: expected 2 to 4194304 bytes, got 0"):
            load(device)
    save(MODELS[0], tmp_path / "model")
    with subprocess.Popen(["cat", tmp_path / "model"], stdout=subprocess.PIPE) as piped:
        assert same(load(f"/dev/fd/{piped.stdout.fileno()}"), MODELS[0])


class BytesPath:
    def __fspath__(self):
        return b"model"


@pytest.mark.parametrize(
    ("path", "error", "sentence"),
    [
        (99, TypeError, "expected a str or path, got 99"),
        (None, TypeError, "expected a str or path, got None"),
        (BytesPath(), TypeError, "expected a str or path, got <"),
        (["model"], TypeError, "expected a str or path, got ['model']"),
        ("mod\0el", ValueError, "expected a path without null characters, got 'mod\\x00el'"),
    ],
)
def test_paths(path, error, sentence):
    x = np.zeros((2, 3, 1))
    for name, call in (
        ("path", lambda: save(Tanh(), path)),
        ("path", lambda: load(path)),
        ("checkpoint", lambda: fastlstm.fit(LSTM(1, 1), (x, x), mean_squared_error, checkpoint=path)),
    ):
        if path is None and name == "checkpoint":
            continue
        with pytest.raises(error, match=re.escape(f"{name}: {sentence}")):
            call()
