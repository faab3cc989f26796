"""LSTM and RNN against PyTorch: forward and every gradient, over everything both have."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import TOLERANCE, Problem, distance

torch = pytest.importorskip("torch")

GRID = [
    (cell, *options)
    for cell, *options in itertools.product(
        ("lstm", "tanh", "relu"),
        (1, 2, 3),  # layers
        (False, True),  # bidirectional
        (False, True),  # bias
        (False, True),  # projection
        (False, True),  # batch_first
        ("float32", "float64"),
        (False, True),  # ragged
        (False, True),  # initial state
    )
    if cell == "lstm" or not options[3]
]


def torch_twin(problem, model):
    """Return PyTorch's module with the model's weights, in float64: the reference."""
    common = {
        "num_layers": problem.layers,
        "bias": problem.bias,
        "bidirectional": problem.bidirectional,
        "batch_first": model.batch_first,
        "dtype": torch.float64,
    }
    if problem.cell == "lstm":
        twin = torch.nn.LSTM(problem.I, problem.H, proj_size=problem.P, **common)
    else:
        twin = torch.nn.RNN(problem.I, problem.H, nonlinearity=problem.cell, **common)
    twin.load_state_dict({k: torch.from_numpy(v.astype(np.float64)) for k, v in model.state_dict().items()})
    return twin


def leaf(array):
    return torch.from_numpy(array.astype(np.float64)).requires_grad_()


def torch_results(problem, twin, with_state):
    """Run PyTorch forward and backward; return its results as Problem names them."""
    x, h_0, c_0 = leaf(problem.x), leaf(problem.h_0), leaf(problem.c_0)
    if twin.batch_first:
        x = leaf(problem.x.swapaxes(0, 1))
    given = (x, problem.state(h_0, c_0)) if with_state else (x,)
    if problem.lengths is None:
        y, state = twin(*given)
    else:
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            x, problem.lengths, batch_first=twin.batch_first, enforce_sorted=False
        )
        y, state = twin(packed, *given[1:])
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=twin.batch_first, total_length=problem.T)
    dy = problem.dy.swapaxes(0, 1) if twin.batch_first else problem.dy
    states = state if problem.cell == "lstm" else (state,)
    upstream = [dy, problem.dh_n, problem.dc_n][: 1 + len(states)]
    torch.autograd.backward([y, *states], [torch.from_numpy(a.astype(np.float64)) for a in upstream])
    out = {"y": y, "dx": x.grad} | dict(zip(("h_n", "c_n"), states, strict=False))
    if with_state:
        out |= dict(zip(("dh_0", "dc_0"), (h_0.grad, c_0.grad)[: len(states)], strict=False))
    out |= {f"d{name}": parameter.grad for name, parameter in twin.named_parameters()}
    return {name: tensor.detach().numpy() for name, tensor in out.items()}


def our_results(problem, model, with_state):
    x, dy = problem.x, problem.dy
    if model.batch_first:
        x, dy = x.swapaxes(0, 1), dy.swapaxes(0, 1)
    state = problem.state(problem.h_0, problem.c_0) if with_state else None
    y, final, tape = model.forward(x, state, lengths=problem.lengths)
    gradients = tape.backward(dy, problem.state(problem.dh_n, problem.dc_n))
    results = problem._named(y, final, gradients.input, gradients.state, gradients.parameters)
    return results if with_state else {k: v for k, v in results.items() if k not in ("dh_0", "dc_0")}


@pytest.mark.parametrize(
    ("cell", "layers", "bidirectional", "bias", "projection", "batch_first", "dtype", "ragged", "with_state"),
    GRID,
)
@settings(max_examples=2)
@given(data=st.data())
def test_forward_and_gradients(
    cell, layers, bidirectional, bias, projection, batch_first, dtype, ragged, with_state, data
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


@pytest.mark.parametrize("cell", ["lstm", "tanh"])
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
