"""Norms against PyTorch's, with its parameters under its names."""

import numpy as np
import pytest
from support import distance

from fastlstm import BatchNorm1d, GroupNorm, Sequential

torch = pytest.importorskip("torch")
nn = torch.nn

PAIRS = [
    (BatchNorm1d(4, dtype="float64"), nn.BatchNorm1d(4)),
    (BatchNorm1d(4, 0.1, 0.3, False, dtype="float64"), nn.BatchNorm1d(4, 0.1, 0.3, False)),
    (GroupNorm(2, 4, dtype="float64"), nn.GroupNorm(2, 4)),
    (GroupNorm(4, 4, 0.1, dtype="float64"), nn.GroupNorm(4, 4, 0.1)),
]


@pytest.mark.parametrize(("layer", "twin"), PAIRS, ids=lambda layer: repr(layer))
def test_norms(layer, twin):
    rng, twin = np.random.default_rng(0), twin.double()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.copy_(torch.from_numpy(rng.standard_normal(parameter.shape)))
    layer.load_state_dict(twin.state_dict())
    x, dy = rng.standard_normal((2, 7, 3, 4))
    twin_x = torch.from_numpy(np.moveaxis(x, 0, 2).copy()).requires_grad_()
    expected = twin(twin_x)
    expected.backward(torch.from_numpy(np.moveaxis(dy, 0, 2).copy()))
    y, tape = layer.forward(x)
    gradients = tape.backward(dy)
    assert distance(np.moveaxis(y, 0, 2), expected.detach().numpy()) < 1e-12
    assert distance(np.moveaxis(gradients.input, 0, 2), twin_x.grad.numpy()) < 1e-12
    for name, parameter in twin.named_parameters():
        assert distance(gradients.parameters[name], parameter.grad.numpy()) < 1e-12
    for name, buffer in twin.named_buffers():
        if name != "num_batches_tracked":
            assert distance(layer.parameters[name], buffer.numpy()) < 1e-12
    twin.eval()
    assert distance(np.moveaxis(layer(x), 0, 2), twin(twin_x).detach().numpy()) < 1e-12


def test_a_model_with_counted_batches_is_loaded_and_given_back():
    model, twin = Sequential(BatchNorm1d(4)), nn.Sequential(nn.BatchNorm1d(4))
    model.load_state_dict(twin.state_dict())
    twin.load_state_dict({name: torch.from_numpy(array) for name, array in model.state_dict().items()})
