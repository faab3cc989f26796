"""The sLSTM against its formulas as PyTorch differentiates them, and what is its own."""

import numpy as np
import pytest

import fastlstm

torch = pytest.importorskip("torch")


def step(pre, states, forget_gate):
    """Return the next (h, c, n, m), all (B, H), by the formulas of the paper's plain code."""
    i_pre, f_pre, z_pre, o_pre = pre.chunk(4, dim=1)
    _, c, n, m = states
    log_f = torch.nn.functional.logsigmoid(f_pre) if forget_gate == "sigmoid" else f_pre
    a = log_f + m
    m = torch.where(n == 0, i_pre, torch.maximum(a, i_pre))
    i, f = torch.exp(i_pre - m), torch.exp(torch.clamp(a - m, max=0))
    c, n = f * c + i * torch.tanh(z_pre), f * n + i
    return torch.sigmoid(o_pre) * c / n, c, n, m


def by_torch(model, x, states):
    w = {name: torch.tensor(array, requires_grad=True) for name, array in model.parameters.items()}
    x, states = torch.tensor(x, requires_grad=True), [torch.tensor(s, requires_grad=True) for s in states]
    now, outputs = [state[0] for state in states], []
    for x_t in x:
        pre = x_t @ w["weight_ih_l0"].T + w["bias_ih_l0"] + now[0] @ w["weight_hh_l0"].T + w["bias_hh_l0"]
        now = step(pre, now, model.forget_gate)
        outputs.append(now[0])
    return torch.stack(outputs), torch.stack(now), (x, states, w)


@pytest.mark.parametrize("forget_gate", ["sigmoid", "exp"])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(("dtype", "limit"), [("float32", 1e-4), ("float64", 1e-10)])
@pytest.mark.parametrize("scale", [1, 30])
def test_against_pytorch(forget_gate, begun, dtype, limit, scale):
    """At a scale of 30 gates are shut and open, and m moves far."""
    rng = np.random.default_rng(0)
    T, B, H = 12, 3, 21
    model = fastlstm.SLSTM(5, H, forget_gate=forget_gate, dtype=dtype, rng=0)
    x = (scale * rng.standard_normal((T, B, 5))).astype(dtype)
    states = np.zeros((4, 1, B, H), dtype)
    if begun:
        states[:] = rng.standard_normal(states.shape)
        states[2] = np.abs(states[2]) + 1
    dy = rng.standard_normal((T, B, H)).astype(dtype)
    dstates = rng.standard_normal(states.shape).astype(dtype)

    y, final, tape = model.forward(x, tuple(states))
    gradients = tape.backward(dy, tuple(dstates))
    expected_y, expected_final, (torch_x, torch_states, w) = by_torch(model, x, states)
    ((expected_y * torch.tensor(dy)).sum() + (expected_final * torch.tensor(dstates[:, 0])).sum()).backward()

    def check(got, expected):
        expected = expected.detach().numpy()
        assert np.abs(got - expected).max() <= limit * max(1, np.abs(expected).max())

    check(y, expected_y)
    for got, expected in zip(final, expected_final, strict=True):
        check(got[0], expected)
    check(gradients.input, torch_x.grad)
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        check(gradients.parameters[name], w[name].grad)
    for got, of_torch in zip(gradients.state, torch_states, strict=True):
        check(got, of_torch.grad)


def test_whole_when_nothing_is_left_of_the_past():
    """Gates beyond every exponential: h is finite, and the newest step alone."""
    model = fastlstm.SLSTM(1, 3, rng=0)
    weights = {name: np.zeros_like(array) for name, array in model.parameters.items()}
    weights["weight_ih_l0"][:3] = 1e4  # i~
    weights["weight_ih_l0"][6:9] = 1e-4  # z~
    model.load_state_dict(weights)
    y, (_, c, n, m) = model(np.array([[1.0], [2.0], [3.0]]))
    np.testing.assert_allclose(y[:, 0], 0.5 * np.tanh([1e-4, 2e-4, 3e-4]), rtol=1e-6)
    assert m.max() == 3e4
    np.testing.assert_array_equal(n, 1)
    np.testing.assert_allclose(c, np.tanh(3e-4), rtol=1e-6)


def test_state_is_four_arrays():
    model = fastlstm.SLSTM(2, 3, rng=0)
    with pytest.raises(ValueError, match=r"state: expected \(h, c, n, m\), got 2 items"):
        model(np.ones((4, 2)), (np.zeros((1, 3)), np.zeros((1, 3))))
    with pytest.raises(ValueError, match="forget_gate: expected 'sigmoid' or 'exp', got 'tanh'"):
        fastlstm.SLSTM(2, 3, forget_gate="tanh")
