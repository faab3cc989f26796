"""The layers around an LSTM against PyTorch."""

import numpy as np
import pytest
from support import distance

from fastlstm import (
    ELU,
    GELU,
    LSTM,
    Embedding,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    MaxOverTime,
    MeanOverTime,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)

torch = pytest.importorskip("torch")
nn = torch.nn

PAIRS = [
    (Linear(6, 5, dtype="float64", rng=0), nn.Linear(6, 5)),
    (Linear(6, 5, bias=False, dtype="float64", rng=0), nn.Linear(6, 5, bias=False)),
    (LayerNorm(6, dtype="float64"), nn.LayerNorm(6)),
    (LayerNorm(6, 0.1, dtype="float64"), nn.LayerNorm(6, eps=0.1)),
    (Tanh(), nn.Tanh()),
    (Sigmoid(), nn.Sigmoid()),
    (ReLU(), nn.ReLU()),
    (LeakyReLU(), nn.LeakyReLU()),
    (LeakyReLU(0.3), nn.LeakyReLU(0.3)),
    (ELU(0.7), nn.ELU(0.7)),
    (GELU(), nn.GELU()),
    (SiLU(), nn.SiLU()),
    (GELU("tanh"), nn.GELU("tanh")),
    (Softmax(), nn.Softmax(dim=-1)),
    (LogSoftmax(), nn.LogSoftmax(dim=-1)),
    (Embedding(6, 5, dtype="float64", rng=0), nn.Embedding(6, 5)),
    (Embedding(6, 5, padding_idx=2, dtype="float64", rng=0), nn.Embedding(6, 5, padding_idx=2)),
]


@pytest.mark.parametrize(("layer", "twin"), PAIRS, ids=lambda layer: repr(layer))
@pytest.mark.parametrize("shape", [(4, 3, 6), (6,), (0, 6)])
def test_layers(layer, twin, shape):
    rng, twin = np.random.default_rng(0), twin.double()
    if isinstance(layer, Embedding):
        x = rng.integers(0, 6, shape[:-1])
        twin_x = torch.from_numpy(x)
    else:
        x = rng.standard_normal(shape)
        twin_x = torch.from_numpy(x).requires_grad_()
    weights = {name: array + rng.standard_normal(array.shape) for name, array in layer.state_dict().items()}
    layer.load_state_dict(weights)
    twin.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    y, tape = layer.forward(x)
    dy = rng.standard_normal(y.shape)
    twin.zero_grad()
    expected = twin(twin_x)
    expected.backward(torch.from_numpy(dy))
    gradients = tape.backward(dy)
    assert distance(y, expected.detach().numpy()) < 1e-13
    if gradients.input is not None:
        assert distance(gradients.input, twin_x.grad.numpy()) < 1e-13
    for name, parameter in twin.named_parameters():
        assert distance(gradients.parameters[name], parameter.grad.numpy()) < 1e-13


@pytest.mark.parametrize("readout", [MeanOverTime(), MaxOverTime()])
def test_readouts_of_a_packed_batch(readout):
    """As people write them by hand, with a mask."""
    rng, lengths = np.random.default_rng(0), [5, 2, 3]
    model = Sequential(LSTM(3, 4, dtype="float64", rng=0), readout)
    twin = nn.LSTM(3, 4).double()
    twin.load_state_dict({name: torch.from_numpy(a) for name, a in model.layers[0].state_dict().items()})
    x, dy = rng.standard_normal((5, 3, 3)), rng.standard_normal((3, 4))
    packed = nn.utils.rnn.pack_padded_sequence(torch.from_numpy(x), lengths, enforce_sorted=False)
    steps, _ = nn.utils.rnn.pad_packed_sequence(twin(packed)[0])
    real = (torch.arange(5)[:, None] < torch.tensor(lengths))[..., None]
    if isinstance(readout, MeanOverTime):
        expected = (steps * real).sum(dim=0) / torch.tensor(lengths)[:, None]
    else:
        expected = steps.masked_fill(~real, -torch.inf).max(dim=0).values
    expected.backward(torch.from_numpy(dy))
    y, _, tape = model.forward(x, lengths=lengths)
    assert distance(y, expected.detach().numpy()) < 1e-12
    gradients = tape.backward(dy).parameters
    for name, parameter in twin.named_parameters():
        assert distance(gradients[f"0.{name}"], parameter.grad.numpy()) < 1e-12
