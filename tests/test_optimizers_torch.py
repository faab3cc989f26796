"""Optimisers against PyTorch."""

import numpy as np
import pytest

from fastlstm import LSTM, Linear
from fastlstm.training import Adam, clip_gradient_norm, softmax_cross_entropy

torch = pytest.importorskip("torch")


def test_a_hundred_steps_of_adam():
    """LSTM, linear, loss, clipping and Adam side by side with PyTorch's, weights equal to rounding."""
    rng = np.random.default_rng(0)
    lstm, linear = LSTM(3, 8, dtype="float64", rng=0), Linear(8, 4, dtype="float64", rng=0)
    twins = torch.nn.LSTM(3, 8, dtype=torch.float64), torch.nn.Linear(8, 4, dtype=torch.float64)
    for layer, twin in zip((lstm, linear), twins, strict=True):
        twin.load_state_dict({name: torch.from_numpy(array) for name, array in layer.state_dict().items()})
    parameters = [p for twin in twins for p in twin.parameters()]
    adam, twin_adam = Adam([lstm, linear], lr=0.01), torch.optim.Adam(parameters, lr=0.01)
    for _ in range(100):
        x, targets = rng.standard_normal((6, 5, 3)), rng.integers(0, 4, (6, 5))
        h, _, lstm_tape = lstm.forward(x)
        logits, linear_tape = linear.forward(h)
        loss, dlogits = softmax_cross_entropy(logits, targets)
        linear_gradients = linear_tape.backward(dlogits)
        lstm_gradients = lstm_tape.backward(linear_gradients.input)
        gradients = [lstm_gradients.parameters, linear_gradients.parameters]
        norm = clip_gradient_norm(gradients, 0.1)
        adam.step(gradients)

        twin_adam.zero_grad()
        scores = twins[1](twins[0](torch.from_numpy(x))[0])
        expected = torch.nn.functional.cross_entropy(scores.reshape(-1, 4), torch.from_numpy(targets.ravel()))
        expected.backward()
        expected_norm = torch.nn.utils.clip_grad_norm_(parameters, 0.1)
        twin_adam.step()
        assert loss == pytest.approx(expected.item(), rel=1e-9)
        assert norm == pytest.approx(expected_norm.item(), rel=1e-7)
    for layer, twin in zip((lstm, linear), twins, strict=True):
        for name, parameter in twin.named_parameters():
            np.testing.assert_allclose(layer.parameters[name], parameter.detach().numpy(), atol=1e-8)
