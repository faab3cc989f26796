"""Flax's files without Flax."""

import numpy as np
import pytest
from support_others import RESULTS, check_damaged, check_refused, content

import fastlstm

msgpack = pytest.importorskip("msgpack", reason="needs the extra 'files'")

FILES = {"OptimizedLSTMCell.msgpack": "LSTM", "GRUCell.msgpack": "GRU", "SimpleCell.msgpack": "RNN"}


def told(name):
    return {"nonlinearity": "tanh"} if name.startswith("Simple") else {}


@pytest.mark.parametrize("name", FILES)
def test_what_flax_wrote_gives_what_flax_gave(name):
    model = fastlstm.load(content(name), **told(name))
    kind = FILES[name]
    assert [type(layer).__name__ for layer in model.layers] == [kind, kind, "Linear"]
    np.testing.assert_allclose(model(RESULTS["x"]), RESULTS[name], atol=1e-6)


def test_both_directions_are_one_layer():
    model = fastlstm.load(content("Bidirectional.msgpack"))
    assert repr(model) == "GRU(2, 3, batch_first=True, bidirectional=True)"
    np.testing.assert_allclose(model(RESULTS["x"])[0], RESULTS["Bidirectional.msgpack"], atol=1e-6)
    one = fastlstm.load(content("Bidirectional.msgpack"), prefix="params/backward_rnn", reverse=True)
    np.testing.assert_allclose(one(RESULTS["x"])[0], RESULTS["Bidirectional.msgpack"][..., 3:], atol=1e-6)


def test_other_cells_backward_are_refused():
    cell = {key: {"kernel": array((1, 1), b"float32", bytes(4))} for key in ("i", "h")}
    gru = {a + b: {"kernel": array((1, 1), b"float32", bytes(4))} for a in "ih" for b in "rzn"}
    pair = {"a": {"forward_rnn": {"cell": cell}, "backward_rnn": {"cell": gru}}}
    check_refused(msgpack.packb(pair), "a/forward_rnn/cell: expected the same cell backward, got another")


@pytest.mark.parametrize(("size", "refused"), [(1, True), (2, False)])
def test_cells_that_may_be_a_stack_or_two_directions(size, refused):
    def cell(inputs):
        of_x, of_h = (array((rows, 1), b"float32", bytes(4 * rows)) for rows in (inputs, 1))
        return {"i": {"kernel": of_x}, "h": {"kernel": of_h}}

    file = msgpack.packb({"SimpleCell_0": cell(size), "SimpleCell_1": cell(1)})
    if refused:
        check_refused(file, "load each with prefix=..., a second direction", nonlinearity="tanh")
    else:
        assert len(fastlstm.load(file, nonlinearity="tanh").layers) == 2


def test_a_part():
    model = fastlstm.load(content("GRUCell.msgpack"), prefix="params/GRUCell_1")
    assert repr(model) == "GRU(3, 4, batch_first=True)"
    check_refused(content("GRUCell.msgpack"), "there is params/", prefix="none")
    check_refused(content("SimpleCell.msgpack"), "expected an RNN of tanh or of relu")


def array(shape, dtype=b"float32", numbers=b""):
    return msgpack.ExtType(1, msgpack.packb((shape, dtype, numbers)))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\xdf\xff\xff\xff\xff", "expected a whole file of Flax's"),
        (b"\x81\xa1a" + b"\xdd\xff\xff\xff\xff" * 1000, "expected a whole file of Flax's"),
        (b"\x81\xa1a" * 1000 + b"\xc0", "msgpack"),
        (msgpack.packb({"a": {"kernel": array((1 << 40, 1 << 20))}}), "expected a whole file of Flax's"),
        (msgpack.packb({"a": {"kernel": array((2, -1))}}), "expected an array of numbers"),
        (msgpack.packb({"a": {"kernel": array((0,), b"object")}}), "expected an array of numbers"),
        (msgpack.packb({"a": {"kernel": array((1, 1), b"int32", bytes(4))}}), "expected floats"),
        (msgpack.packb({"a": {"kernel": array((1, 1, 1), b"float32", bytes(4))}}), "expected Embed, Dense"),
    ],
)
def test_what_is_refused(data, sentence):
    check_refused(data, "" if sentence == "msgpack" else sentence)


@pytest.mark.parametrize("name", FILES)
def test_damage(name):
    check_damaged(name, 200, **told(name))
