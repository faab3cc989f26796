"""A block of xlstm, with random weights, beside the package's own plain backend."""

import numpy as np
import pytest
from support_models import original_xlstm, port

torch = pytest.importorskip("torch")
pytest.importorskip("xlstm")


def test_outputs():
    x = np.random.default_rng(0).standard_normal((50, 1, 64), np.float32)
    original = original_xlstm(64)
    with torch.no_grad():
        expected = original(torch.from_numpy(x).transpose(0, 1)).transpose(0, 1).numpy()
    graph = port("xlstm").block_of(original)
    y = graph(x)
    np.testing.assert_allclose(y, expected, atol=2e-5)
    stream = graph.stream(1)
    context = stream.feed(x[:40])
    to_come = [stream.step(x[t]) for t in range(40, 50)]
    assert (np.concatenate([context, to_come]) == y).all()
