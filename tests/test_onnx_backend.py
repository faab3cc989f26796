"""ONNX's interface of backends, and ONNX's own tests of its recurrent operators, by their names."""

import importlib

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs onnx")

from support_onnx import model_of, node_of, typed, weights_of  # noqa: E402

from fastlstm.interop import onnx as ours  # noqa: E402


def cases():
    """Return ONNX's tests; its own collector makes those of all operators first, which takes seconds."""
    for module in ("lstm", "gru", "rnn"):
        importlib.import_module(f"onnx.backend.test.case.node.{module}")
    found = importlib.import_module("onnx.backend.test.case.node")._NodeTestCases
    return [case for case in found if any(kind in case.name for kind in ("_lstm_", "_gru_", "_rnn_"))]


CASES = cases()


def test_there_are_as_many_as_the_page_says():
    assert len(CASES) == 18


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_of_onnx(case):
    prepared = ours.prepare(case.model, "CPU")
    assert prepared.session.report[0].endswith(": fastlstm")
    for inputs, outputs in case.data_sets:
        for mine, expected in zip(prepared.run(inputs), outputs, strict=True):
            assert mine.dtype == expected.dtype
            np.testing.assert_allclose(mine, expected, rtol=case.rtol, atol=case.atol)


def test_nodes_and_models_are_run_from_lists_or_by_name():
    rng = np.random.default_rng(0)
    weights, x = weights_of("GRU", 1, 3, 4, rng), rng.standard_normal((5, 2, 3)).astype("f")
    expected = ours.GRU(**weights)(x)
    node = node_of("GRU", {"X": x, **weights}, {"hidden_size": 4})
    outputs = [typed("Y", "f", "tdbh"), typed("Y_h", "f", "dbh")]
    model = model_of([node], [typed("X", "f", x.shape)], outputs, weights)
    for results in (
        ours.run_node(node, [x, *weights.values()]),
        ours.run_model(model, [x]),
        ours.run_model(model, {"X": x}),
        ours.prepare(model).run(x),
    ):
        for one, other in zip(results, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_devices_other_than_the_cpu_are_refused():
    assert ours.supports_device("CPU")
    assert ours.supports_device("CPU:0")
    assert not ours.supports_device("CUDA")
    assert not ours.supports_device("NPU")
    with pytest.raises(ValueError, match=r"^device: expected 'CPU', got 'CUDA:1'"):
        ours.prepare(CASES[0].model, "CUDA:1")


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"^inputs: expected X, W, R, got 2 values"):
        ours.run_model(CASES[0].model, CASES[0].data_sets[0][0][:2])
    with pytest.raises(ValueError, match=r"^model: expected an ONNX model, got "):
        ours.prepare(onnx.ModelProto())
