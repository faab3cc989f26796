"""A saved model's weights go straight into PyTorch's."""

import numpy as np
import pytest
from support import distance

from fastlstm import LSTM, Embedding, Linear, Sequential, save

torch = pytest.importorskip("torch")


def test_file_in_pytorch(tmp_path):
    from safetensors.torch import load_file

    model = Sequential(Embedding(7, 3, rng=0), LSTM(3, 4, num_layers=2, rng=1), Linear(4, 2, rng=2))
    save(model, tmp_path / "model.safetensors")
    twin = torch.nn.Sequential(
        torch.nn.Embedding(7, 3), torch.nn.LSTM(3, 4, num_layers=2), torch.nn.Linear(4, 2)
    )
    twin.load_state_dict(load_file(tmp_path / "model.safetensors"))
    x = np.random.default_rng(0).integers(0, 7, (5, 2))
    expected = twin[2](twin[1](twin[0](torch.from_numpy(x)))[0])
    assert distance(model(x), expected.detach().numpy()) < 1e-6
