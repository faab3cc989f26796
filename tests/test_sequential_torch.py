"""Sequential against PyTorch."""

import numpy as np
import pytest
from support import distance

from fastlstm import LSTM, Embedding, Linear, Sequential

torch = pytest.importorskip("torch")


def test_truncated_backpropagation():
    """Outputs and gradients of two windows, the state carried from one to the next."""
    model = Sequential(
        Embedding(7, 6, dtype="float64", rng=0),
        LSTM(6, 5, num_layers=2, batch_first=True, dtype="float64", rng=1),
        Linear(5, 4, dtype="float64", rng=2),
    )
    twin = torch.nn.Sequential(
        torch.nn.Embedding(7, 6),
        torch.nn.LSTM(6, 5, num_layers=2, batch_first=True),
        torch.nn.Linear(5, 4),
    ).double()
    twin.load_state_dict({name: torch.from_numpy(array) for name, array in model.state_dict().items()})
    rng, state, twin_state = np.random.default_rng(0), None, None
    for _ in range(2):
        x, dy = rng.integers(0, 7, (3, 4)), rng.standard_normal((3, 4, 4))
        y, state, tape = model.forward(x, state)
        h, twin_state = twin[1](twin[0](torch.from_numpy(x)), twin_state)
        expected = twin[2](h)
        twin.zero_grad()
        expected.backward(torch.from_numpy(dy))
        twin_state = tuple(part.detach() for part in twin_state)
        assert distance(y, expected.detach().numpy()) < 1e-12
        gradients = tape.backward(dy).parameters
        for name, parameter in twin.named_parameters():
            assert distance(gradients[name], parameter.grad.numpy()) < 1e-12
