"""PyTorch's files without PyTorch: their layers, what is refused, and pickles that would run code."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from support_others import FOLDER, RESULTS, check_damaged, check_refused, content

import fastlstm
from fastlstm import GRU, LSTM, RNN, Embedding, LayerNorm, Linear, Sequential
from fastlstm.interop import pickles

FILES = ["state.pt", "legacy.pt", "module.pt", "script.pt"]
BATCH_FIRST = {
    "state.pt": {"batch_first": True},
    "legacy.pt": {"batch_first": True},
    "script.pt": {"batch_first": True},
}


@pytest.mark.parametrize("name", FILES)
def test_what_pytorch_wrote_gives_what_pytorch_gave(name):
    """A module says itself how its batches lie, a state dictionary does not."""
    prefix = "model" if name == "module.pt" else ""
    model = fastlstm.load(FOLDER / name, prefix=prefix, **BATCH_FIRST.get(name, {}))
    assert [type(layer) for layer in model.layers] == [Embedding, LSTM, Linear]
    np.testing.assert_allclose(model(RESULTS["indices"]), RESULTS["pytorch"], atol=1e-6)


@pytest.mark.parametrize("prefix", ["lstm.", "lstm"])
def test_a_part(prefix):
    model = fastlstm.load(content("state.pt"), prefix=prefix)
    assert repr(model) == "LSTM(3, 4, num_layers=2, bidirectional=True)"


def named(*layers, **by_name):
    """Return a safetensors file of layers under PyTorch's names."""
    arrays = {name: array for layer in layers for name, array in layer.state_dict().items()}
    for module, layer in by_name.items():
        arrays |= {f"{module}.{name}": array for name, array in layer.state_dict().items()}
    return safetensors.numpy.save(arrays)


@pytest.mark.parametrize(
    "model",
    [
        LSTM(2, 3, 2, bidirectional=True, proj_size=2, rng=0),
        LSTM(2, 3, bias=False, dtype="float64", rng=0),
        GRU(2, 3, 2, rng=0),
        RNN(2, 3, nonlinearity="relu", bidirectional=True, rng=0),
    ],
    ids=repr,
)
def test_sizes_and_options_follow_from_the_arrays(model):
    """The GRU's second bias is not added to its first: the reset gate stands between them."""
    told = {"nonlinearity": "relu"} if isinstance(model, RNN) else {}
    for data, prefix in ((named(model), ""), (named(Linear(2, 2), deep=model), "deep")):
        loaded = fastlstm.load(data, prefix=prefix, **told)
        assert repr(loaded) == repr(model)
        x = np.random.default_rng(0).standard_normal((5, 2, 2)).astype(model.dtype)
        np.testing.assert_array_equal(loaded(x)[0], model(x)[0])


def test_half_precision_becomes_float32():
    lstm = LSTM(2, 3, rng=0)
    halves = {name: array.astype(np.float16) for name, array in lstm.state_dict().items()}
    loaded = fastlstm.load(safetensors.numpy.save(halves))
    for name, array in loaded.parameters.items():
        np.testing.assert_array_equal(array, halves[name].astype(np.float32))


def test_one_bias_is_enough():
    arrays = LSTM(2, 3, rng=0).state_dict()
    del arrays["bias_hh_l0"]
    loaded = fastlstm.load(safetensors.numpy.save(arrays))
    np.testing.assert_array_equal(loaded.parameters["bias_ih_l0"], arrays["bias_ih_l0"])
    assert not loaded.parameters["bias_hh_l0"].any()


def test_embedding_and_linear_are_told_apart_by_sizes():
    tied = fastlstm.load(named(emb=Embedding(9, 3), lstm=LSTM(3, 4), out=Linear(4, 9, bias=False)))
    assert repr(tied) == "Sequential(Embedding(9, 3), LSTM(3, 4), Linear(4, 9, bias=False))"
    square = named(emb=Embedding(4, 4), lstm=LSTM(4, 4))
    check_refused(square, "emb.weight: expected to tell an Embedding from a Linear without bias")
    told = fastlstm.load(square, kinds={"emb.": "Embedding"})
    assert repr(told) == "Sequential(Embedding(4, 4), LSTM(4, 4))"


@pytest.mark.parametrize(
    ("data", "told", "sentence"),
    [
        (named(RNN(2, 3)), {}, "expected an RNN of tanh or of relu"),
        (named(a=LSTM(2, 2), b=LSTM(2, 2)), {}, "' LSTM: load each with prefix=..."),
        (named(lstm=LSTM(2, 3), fc1=Linear(3, 3), fc2=Linear(3, 1)), {}, "load each with prefix=..."),
        (named(lstm=LSTM(2, 3), norm=LayerNorm(3), fc=Linear(3, 1)), {}, "'norm.' LayerNorm"),
        (named(lstm=LSTM(2, 3)), {"prefix": "gru"}, "got 'gru'; there is lstm"),
        (safetensors.numpy.save({"conv.weight": np.zeros((3, 2, 5), "f")}), {}, "conv: expected Embedding"),
        (safetensors.numpy.save({"weight_hh_l0": np.zeros((10, 4), "f")}), {}, "4, 3 or 1 rows a unit"),
        (
            safetensors.numpy.save(
                {**LSTM(2, 3).state_dict(), "weight_ih_l0": np.full((12, 2), np.nan, "f")}
            ),
            {},
            "expected finite numbers, got nan",
        ),
        (
            safetensors.numpy.save({**LSTM(2, 3).state_dict(), "bias_hh_l0": np.zeros(11, "f")}),
            {},
            "bias_hh_l0: expected (12,) of float32, got (11,)",
        ),
        (
            safetensors.numpy.save({**LSTM(2, 3, 2).state_dict(), "weight_ih_l5": np.zeros((12, 3), "f")}),
            {},
            "weight_ih_l2: expected an array of shape (12, 3), got none",
        ),
    ],
)
def test_what_is_refused(data, told, sentence):
    check_refused(data, sentence, **told)


def test_what_can_be_told():
    with pytest.raises(TypeError, match="hidden_size: expected one of batch_first, nonlinearity"):
        fastlstm.load(named(LSTM(2, 3)), hidden_size=3)
    with pytest.raises(TypeError, match="prefix: expected a str, got 3"):
        fastlstm.load(named(LSTM(2, 3)), prefix=3)
    with pytest.raises(ValueError, match="kinds emb: expected 'Linear' or 'Embedding', got 'Conv'"):
        fastlstm.load(named(LSTM(2, 3)), kinds={"emb": "Conv"})
    assert fastlstm.load(named(LSTM(2, 3)), reverse=True).reverse


def test_our_own_files_say_all_themselves(tmp_path):
    fastlstm.save(Sequential(LSTM(2, 3)), tmp_path / "own")
    assert repr(fastlstm.load((tmp_path / "own").read_bytes())) == "Sequential(LSTM(2, 3))"
    for told in ({"batch_first": True}, {"prefix": "0."}):
        check_refused((tmp_path / "own").read_bytes(), f"{next(iter(told))}: expected none", **told)


# Pickles


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def archive(pickled, **entries):
    """Return an archive as PyTorch writes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("archive/data.pkl", pickled)
        for name, data in entries.items():
            out.writestr(f"archive/{name}", data)
    return file.getvalue()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_no_code_runs(protocol, tmp_path):
    harm = pickle.dumps({"lstm": Harm(tmp_path / "harm"), "a": [Harm(tmp_path / "harm")] * 3}, protocol)
    check_refused(archive(harm), "tensors: expected at least one of plain numbers, got none")
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
    system = pickle.dumps({"little_endian": True}, 2)
    check_refused(
        magic + system + harm + pickle.dumps([], 2),
        "tensors: expected at least one of plain numbers, got none",
    )
    check_refused(harm, "pickle: expected one that torch.save wrote")
    assert not (tmp_path / "harm").exists()


def test_a_pickle_is_plain_data(tmp_path):
    data = pickle.dumps({"a": Harm(tmp_path / "harm"), "b": (1, 2.5, "x", b"y", None, True, [3])}, 4)
    read = pickles.read(io.BytesIO(data))
    assert read["a"].function.full in ("posix.mkdir", "nt.mkdir")
    assert read["a"].arguments == (str(tmp_path / "harm"),)
    assert read["b"] == (1, 2.5, "x", b"y", None, True, [3])


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02}r\xff\xff\xff\xff.",  # a place in the memo far away
        b"\x80\x02" + b"(" * 1000 + b".",
        b"\x80\x02\x8a\xff\xff\xff\xff.",
        b"\x80\x05\x96\xff\xff\xff\xff\xff\x00\x00\x00.",  # bytes that are not there
        b"\x80\x02]q\x00h\x00a.",  # a list in itself
        b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.",  # a dictionary in itself
        b"\x80\x02" + b"N" * (1 << 20) + b".",
        b"\x80\x02}]K\x01s.",  # a key that is a list
        b"\x80\x02cos\nsystem\n.",
        b"\x80\x02R.",
        b"(i__main__\nHarm\n.",
    ],
)
def test_forged_pickles(pickled):
    check_refused(archive(pickled), "got")


def doubling(levels):
    """Return a pickle of lists that have each other twice: few bytes, and 2**levels values."""
    body = b"\x80\x02]q\x00"
    for level in range(levels):
        body += b"]q" + bytes([level + 1]) + b"(h" + bytes([level]) + b"h" + bytes([level]) + b"e"
    return body + b"."


def test_lists_that_double():
    check_refused(archive(doubling(60)), "expected fewer, less deep or shorter names")


def test_an_archive_that_grows():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("archive/data.pkl", bytes(40 << 20))
    check_refused(file.getvalue(), "data.pkl: expected at most")


def tensor(numel, offset, shape, strides, kind=b"FloatStorage"):
    """Return the pickle of a state dictionary with one tensor."""
    numbers = [pickle.dumps(one, 2)[2:-1] for one in (offset, shape, strides)]
    key = [pickle.dumps(one, 2)[2:-1] for one in ("storage", "0", "cpu", numel)]
    storage = b"(" + key[0] + b"ctorch\n" + kind + b"\n" + b"".join(key[1:]) + b"tQ"
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"".join(numbers) + b"\x89Ntr\x00\x01\x00\x00R"
    return b"\x80\x02}" + pickle.dumps("weight_ih_l0", 2)[2:-1] + call + b"s."


@pytest.mark.parametrize(
    ("pickled", "sentence"),
    [
        (tensor(4, 0, (1 << 20, 1 << 20), (0, 0)), "expected at most"),
        (tensor(4, 0, (1 << 39, 1 << 39), (0, 0)), "expected at most"),
        (tensor(4, 1, (2, 2), (2, 1)), "expected 4 numbers in its storage, got 4"),
        (tensor(4, 0, (2, 2), (-2, 1)), "expected sizes of at least 0"),
        (tensor(4, 0, (2, 2), (2,)), "expected an offset, a shape and strides"),
        (tensor(4, 0, (2, 2), (2, 1), b"OtherStorage"), "storage: expected one of FloatStorage"),
        (tensor(4, 0, (2, 2), (2, 1)), "expected a matrix weight_hh_l0"),
    ],
)
def test_forged_tensors(pickled, sentence):
    check_refused(archive(pickled, **{"data/0": bytes(16)}), sentence)


@pytest.mark.parametrize("name", FILES)
def test_damage(name):
    check_damaged(name, 150)


def test_load_state_dict_says_what_to_do_with_pytorchs_names():
    layers = {"emb": Embedding(9, 3), "lstm": LSTM(3, 4), "fc": Linear(4, 2)}
    named = {
        f"{name}.{own}": array for name, one in layers.items() for own, array in one.state_dict().items()
    }
    model = Sequential(Embedding(9, 3, rng=1), LSTM(3, 4, rng=1), Linear(4, 2, rng=1))
    with pytest.raises(
        ValueError, match=r"dict\(zip\(model.parameters, mapping.values\(\)\)\) has these names"
    ):
        model.load_state_dict(named)
    model.load_state_dict(dict(zip(model.parameters, named.values(), strict=True)))
    with pytest.raises(ValueError, match=r"fastlstm.load\(..., prefix='lstm.'\) read the file"):
        LSTM(3, 4).load_state_dict(named)
