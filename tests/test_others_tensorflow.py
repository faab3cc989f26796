"""TensorFlow 1's frozen graphs without TensorFlow."""

import numpy as np
import pytest
from support_others import RESULTS, check_damaged, check_refused, content, output

import fastlstm

pytest.importorskip("google.protobuf", reason="needs the extra 'files'")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stacked.pb", "Sequential(LSTM(2, 3, batch_first=True), LSTM(3, 4, batch_first=True))"),
        ("gru.pb", "GRU(2, 3, batch_first=True, reset_after=False)"),
        ("block.pb", "LSTM(2, 3, batch_first=True, peepholes=True, cell_clip=0.4000000059604645)"),
    ],
)
def test_what_tensorflow_wrote_gives_what_tensorflow_gave(name, expected):
    """The forget gate's bias is added in the graph: 1.5 by a node, 0.5 by an attribute."""
    model = fastlstm.load(content(name))
    assert repr(model) == expected
    np.testing.assert_allclose(output(model, RESULTS["x"]), RESULTS[name], atol=1e-6)


def test_a_part():
    check_refused(content("dense.pb"), "got other matrices, dense/kernel, and cells 'rnn/")
    assert repr(fastlstm.load(content("dense.pb"), prefix="rnn")) == "LSTM(2, 3, batch_first=True)"


@pytest.mark.parametrize(
    ("name", "sentence"),
    {
        "peepholes.pb": "expected a number to be added to a gate, got a peephole",
        "projected.pb": "expected the next step to read what o gives",
        "clipped.pb": "expected c as f·c + i·g, got Maximum",
    }.items(),
)
def test_what_is_refused(name, sentence):
    check_refused(content(name), sentence)


def test_a_graph_that_claims_much():
    check_refused(b"\x0a\x00" * 200_000, "expected at most 100000 nodes")


@pytest.mark.parametrize("name", ["stacked.pb", "block.pb"])
def test_damage(name):
    check_damaged(name, 100)
