"""Losses against PyTorch."""

import numpy as np
import pytest

from fastlstm.training import softmax_cross_entropy

torch = pytest.importorskip("torch")


def test_cross_entropy():
    rng = np.random.default_rng(0)
    logits, targets = rng.standard_normal((9, 5)), rng.integers(0, 5, 9)
    scores = torch.from_numpy(logits).requires_grad_()
    expected = torch.nn.functional.cross_entropy(scores, torch.from_numpy(targets))
    expected.backward()
    loss, dlogits = softmax_cross_entropy(logits, targets)
    assert loss == pytest.approx(expected.item(), rel=1e-13)
    np.testing.assert_allclose(dlogits, scores.grad.numpy(), atol=1e-14)
