"""The GRU's forms: against ONNX Runtime and formulas written out, and what converts one to another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import Problem, distance

import fastlstm


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def onnx_session(model, reset_after):
    """Return a session of ONNX's operator with a one-layer model's weights, whose gates are z, r, h there."""
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    suffixes = ("", "_reverse")[: model.directions]

    def stacked(*names):
        gates = [
            [np.split(model.parameters[f"{name}_l0{suffix}"], 3) for name in names] for suffix in suffixes
        ]
        return np.stack([np.concatenate([g[k] for g in direction for k in (1, 0, 2)]) for direction in gates])

    weights = {"W": stacked("weight_ih"), "R": stacked("weight_hh"), "B": stacked("bias_ih", "bias_hh")}
    node = helper.make_node(
        "GRU",
        ["x", "W", "R", "B", "lengths", "h_0"],
        ["y", "h_n"],
        hidden_size=model.hidden_size,
        linear_before_reset=int(reset_after),
        direction="bidirectional" if model.bidirectional else "forward",
    )
    real, integer = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32
    graph = helper.make_graph(
        [node],
        "gru",
        [
            helper.make_tensor_value_info(name, kind, None)
            for name, kind in (("x", real), ("lengths", integer), ("h_0", real))
        ],
        [helper.make_tensor_value_info(name, real, None) for name in ("y", "h_n")],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("H", [1, 16, 37, 80])
def test_against_onnx_runtime(H, bidirectional, reset_after):
    rng = np.random.default_rng(H)
    model = fastlstm.GRU(7, H, bidirectional=bidirectional, reset_after=reset_after, rng=1)
    x = rng.standard_normal((9, 5, 7)).astype(np.float32)
    h_0 = rng.standard_normal((model.directions, 5, H)).astype(np.float32)
    lengths = np.array([9, 4, 1, 9, 6], np.int32)
    session = onnx_session(model, reset_after)
    y, h_n = session.run(None, {"x": x, "lengths": lengths, "h_0": h_0})
    ours, our_h_n = model(x, h_0, lengths=lengths)
    assert distance(ours, y.transpose(0, 2, 1, 3).reshape(ours.shape)) < 1e-5
    assert distance(our_h_n, h_n) < 1e-5


def test_reset_first_is_keras_formula():
    """Keras's GRUCell with reset_after=False: kernels of z, r, h side by side, and one bias."""
    H = 5
    rng = np.random.default_rng(0)
    kernel, recurrent, bias = (rng.standard_normal(shape) for shape in ((3, 3 * H), (H, 3 * H), (3 * H,)))
    x, h = rng.standard_normal((6, 3)), rng.standard_normal(H)

    def ours(array):
        z, r, n = np.split(array, 3, axis=-1)
        return np.concatenate([r, z, n], axis=-1).T

    model = fastlstm.GRU(3, H, reset_after=False, dtype="float64", rng=0)
    model.load_state_dict(
        {
            "weight_ih_l0": ours(kernel),
            "weight_hh_l0": ours(recurrent),
            "bias_ih_l0": ours(bias),
            "bias_hh_l0": np.zeros(3 * H),
        }
    )
    y, _ = model(x, h[None])
    (x_z, x_r, x_h), (u_z, u_r, u_h) = (np.split(a, 3, axis=-1) for a in (x @ kernel + bias, recurrent))
    for t in range(len(x)):
        z, r = sigmoid(x_z[t] + h @ u_z), sigmoid(x_r[t] + h @ u_r)
        h = z * h + (1 - z) * np.tanh(x_h[t] + (r * h) @ u_h)
        np.testing.assert_allclose(y[t], h, rtol=1e-12)


@pytest.mark.parametrize("reset_after", [True, False])
def test_the_other_sense_of_the_update_gate(reset_after):
    """The conversion that GRU's notes give."""
    gru = fastlstm.GRU(3, 5, reset_after=reset_after, dtype="float64", rng=0)
    w = {name.removesuffix("_l0"): array for name, array in gru.state_dict().items()}
    x, h = np.random.default_rng(1).standard_normal((6, 3)), np.zeros(5)
    H = gru.hidden_size
    gru.load_state_dict(
        {name: np.r_[w[:H], -w[H : 2 * H], w[2 * H :]] for name, w in gru.state_dict().items()}
    )
    y, _ = gru(x)
    for t in range(len(x)):
        x_r, x_z, x_n = np.split(w["weight_ih"] @ x[t] + w["bias_ih"], 3)
        h_r, h_z, h_n = np.split(w["weight_hh"] @ h + w["bias_hh"], 3)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        if not reset_after:
            h_n = w["weight_hh"][2 * H :] @ (r * h) + w["bias_hh"][2 * H :]
        h = (1 - z) * h + z * np.tanh(x_n + (r * h_n if reset_after else h_n))
        np.testing.assert_allclose(y[t], h, rtol=1e-12)


def test_reset_of_the_product_alone():
    """r (U h), with no bias of the state's, is a bias_hh of zeros."""
    gru = fastlstm.GRU(3, 5, dtype="float64", rng=0)
    gru.update({"bias_hh_l0": np.zeros(15)})
    w, h = gru.parameters, np.zeros(5)
    x = np.random.default_rng(1).standard_normal((6, 3))
    y, _ = gru(x)
    for t in range(len(x)):
        x_r, x_z, x_n = np.split(w["weight_ih_l0"] @ x[t] + w["bias_ih_l0"], 3)
        h_r, h_z, h_n = np.split(w["weight_hh_l0"] @ h, 3)
        n, z = np.tanh(x_n + sigmoid(x_r + h_r) * h_n), sigmoid(x_z + h_z)
        h = (1 - z) * n + z * h
        np.testing.assert_allclose(y[t], h, rtol=1e-12)


@given(
    problem=st.builds(Problem, st.just("gru"), st.integers(1, 12), st.integers(1, 20), H=st.integers(2, 70))
)
def test_both_forms_are_one_where_nothing_is_reset(problem):
    """That is where r is 1."""
    after, H = problem.model(), problem.H
    open_gates = {
        name: np.r_[np.full_like(array[:H], 40 if name.startswith("bias") else 0), array[H:]]
        for name, array in after.state_dict().items()
    }
    problem.cell = "gru_reset_first"
    first = problem.model()
    for model in (after, first):
        model.load_state_dict(open_gates)
    assert distance(first(problem.x)[0], after(problem.x)[0]) < 1e-12


def test_units_are_not_shared_among_threads_reset_first(threads):
    """One sequence of many units gives the same bits and gradients with any number of threads."""
    model = fastlstm.GRU(64, 400, reset_after=False, rng=0)
    x = np.random.default_rng(0).standard_normal((20, 2, 64)).astype(np.float32)
    results = set()
    for count in (1, 2, 3):
        fastlstm.set_num_threads(count)
        y, _, tape = model.forward(x)
        gradients = tape.backward(np.ones_like(y))
        arrays = (y, gradients.input, *gradients.parameters.values())
        results.add(b"".join(array.tobytes() for array in arrays))
    assert len(results) == 1
