"""PyTorch's answer to a problem; without PyTorch, tests that import this are skipped."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")


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
    elif problem.cell == "gru":
        twin = torch.nn.GRU(problem.I, problem.H, **common)
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
