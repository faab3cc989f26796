"""Convolutions and pools against PyTorch's, and a convolutional recurrent network as a whole."""

import numpy as np
import pytest
from support import distance

from fastlstm import LSTM, AvgPool1d, Conv1d, Linear, MaxPool1d, ReLU, Sequential

torch = pytest.importorskip("torch")
nn = torch.nn

CONVOLUTIONS = [
    {"kernel_size": 3},
    {"kernel_size": 1, "bias": False},
    {"kernel_size": 5, "stride": 2, "padding": 2},
    {"kernel_size": 2, "stride": 3},
    {"kernel_size": 4, "padding": "same", "dilation": 2},
    {"kernel_size": 3, "groups": 2, "padding": 1},
    {"kernel_size": 3, "groups": 4, "padding": 4, "dilation": 3, "stride": 2},
]
PAIRS = [
    *(
        (Conv1d(4, 8, dtype="float64", rng=0, **options), nn.Conv1d(4, 8, **options))
        for options in CONVOLUTIONS
    ),
    (MaxPool1d(2), nn.MaxPool1d(2)),
    (MaxPool1d(3, 2, 1), nn.MaxPool1d(3, 2, 1)),
    (AvgPool1d(2), nn.AvgPool1d(2)),
    (AvgPool1d(4, 3, 2), nn.AvgPool1d(4, 3, 2)),
]


def channels_first(array):
    """Return (T, B, n) as PyTorch's convolutions have it, (B, n, T), and the other way round."""
    return np.ascontiguousarray(np.moveaxis(array, 0, 2))


@pytest.mark.parametrize(("layer", "twin"), PAIRS, ids=lambda layer: repr(layer))
def test_layers(layer, twin):
    rng, twin = np.random.default_rng(0), twin.double()
    twin.load_state_dict({name: torch.from_numpy(array) for name, array in layer.state_dict().items()})
    x = rng.standard_normal((13, 3, 4))
    twin_x = torch.from_numpy(channels_first(x)).requires_grad_()
    expected = twin(twin_x)
    y, tape = layer.forward(x)
    dy = rng.standard_normal(y.shape)
    expected.backward(torch.from_numpy(channels_first(dy)))
    gradients = tape.backward(dy)
    assert distance(channels_first(y), expected.detach().numpy()) < 1e-13
    assert distance(channels_first(gradients.input), twin_x.grad.numpy()) < 1e-13
    for name, parameter in twin.named_parameters():
        assert distance(gradients.parameters[name], parameter.grad.numpy()) < 1e-13
    layer.load_state_dict(twin.state_dict())


def test_convolutional_recurrent_network():
    """In float32, with PyTorch's parameters under PyTorch's names."""

    class Twin(nn.Sequential):
        def forward(self, x):
            y = self[2](self[1](self[0](x)))
            return self[4](self[3](y.permute(2, 0, 1))[0])

    twin = Twin(
        nn.Conv1d(6, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.LSTM(16, 12),
        nn.Linear(12, 3),
    )
    model = Sequential(
        Conv1d(6, 16, 5, stride=2, padding=2), ReLU(), MaxPool1d(2), LSTM(16, 12), Linear(12, 3)
    )
    model.load_state_dict(twin.state_dict())
    x = np.random.default_rng(0).standard_normal((40, 2, 6)).astype("f")
    expected = twin(torch.from_numpy(channels_first(x)))
    y, _, tape = model.forward(x)
    assert distance(y, expected.detach().numpy()) < 1e-5
    expected.square().sum().backward()
    gradients = tape.backward(2 * y).parameters
    for name, parameter in twin.named_parameters():
        assert distance(gradients[name], parameter.grad.numpy()) < 1e-5
