"""LSTM and RNN against PyTorch: forward and every gradient, over everything both have."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import TOLERANCE, Problem, distance
from support_torch import torch, torch_results, torch_twin

CELLS = [("lstm", False), ("lstm", True), ("tanh", False), ("relu", False), ("gru", False)]


def our_results(problem, model, with_state):
    x, dy = problem.x, problem.dy
    if model.batch_first:
        x, dy = x.swapaxes(0, 1), dy.swapaxes(0, 1)
    state = problem.state(problem.h_0, problem.c_0) if with_state else None
    y, final, tape = model.forward(x, state, lengths=problem.lengths)
    gradients = tape.backward(dy, problem.state(problem.dh_n, problem.dc_n))
    results = problem._named(y, final, gradients.input, gradients.state, gradients.parameters)
    return results if with_state else {k: v for k, v in results.items() if k not in ("dh_0", "dc_0")}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(("cell", "projection"), CELLS)
@settings(max_examples=14)
@given(
    bidirectional=st.booleans(),
    bias=st.booleans(),
    batch_first=st.booleans(),
    ragged=st.booleans(),
    with_state=st.booleans(),
    data=st.data(),
)
def test_forward_and_gradients(
    cell, projection, layers, dtype, bidirectional, bias, batch_first, ragged, with_state, data
):
    H = data.draw(st.integers(2, 40), "H")
    problem = Problem(
        cell,
        T=data.draw(st.integers(1, 12), "T"),
        B=data.draw(st.integers(1, 20), "B"),
        I=data.draw(st.integers(1, 40), "I"),
        H=H,
        P=data.draw(st.integers(1, H - 1), "P") if projection else 0,
        layers=layers,
        bidirectional=bidirectional,
        bias=bias,
        dtype=dtype,
        ragged=ragged,
        seed=data.draw(st.integers(0, 2**32 - 1), "seed"),
    )
    if ragged:
        problem.lengths = np.maximum(problem.lengths, 1)  # PyTorch refuses empty sequences
    if not with_state:
        problem.h_0[:] = problem.c_0[:] = 0
    assume(problem.nearest_kink() > TOLERANCE[dtype])
    model = problem.model(batch_first=batch_first)
    expected = torch_results(problem, torch_twin(problem, model), with_state)
    actual = our_results(problem, model, with_state)
    assert actual.keys() == expected.keys()
    for name, reference in expected.items():
        assert distance(actual[name], reference) <= TOLERANCE[dtype], name


@pytest.mark.parametrize("cell", ["lstm", "tanh", "gru"])
def test_state_dicts_are_interchangeable(cell):
    problem = Problem(cell, layers=2, bidirectional=True, dtype="float32")
    ours, twin = problem.model(), torch_twin(problem, problem.model()).float()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.uniform_()
    ours.load_state_dict(twin.state_dict())
    for name, tensor in twin.state_dict().items():
        np.testing.assert_array_equal(ours.parameters[name], tensor.numpy())


def test_tensors_are_accepted():
    problem = Problem(dtype="float32", ragged=True)
    model = problem.model()
    expected, (h_n, c_n) = model(problem.x, (problem.h_0, problem.c_0), lengths=problem.lengths)
    y, state = model(
        torch.from_numpy(problem.x),
        (torch.from_numpy(problem.h_0), torch.from_numpy(problem.c_0)),
        lengths=torch.from_numpy(problem.lengths),
    )
    assert all(np.array_equal(a, b) for a, b in zip((y, *state), (expected, h_n, c_n), strict=True))


def test_tensor_that_needs_gradients_is_refused():
    problem = Problem(dtype="float32")
    with pytest.raises(TypeError, match="x: expected an array, got Tensor"):
        problem.model()(torch.from_numpy(problem.x).requires_grad_())


def test_dropout_share_and_scale_are_torchs():
    """The same mean and the same zeros' share; the draws themselves differ."""
    problem = Problem(T=50, B=40, H=32, layers=2, dtype="float32")
    model = problem.model(dropout=0.4)
    _, _, tape = model.forward(problem.x)
    mask = tape._kept.masks[0]
    twin = torch.nn.functional.dropout(torch.ones(mask.shape), 0.4)
    assert set(np.unique(mask)) == {0.0, np.float32(1) / np.float32(1 - 0.4)}
    assert set(np.unique(mask)) == {0.0, *np.unique(twin.numpy()[twin.numpy() > 0])}
    assert abs((mask == 0).mean() - 0.4) < 0.01
