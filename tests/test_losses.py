"""Losses: values, gradients, refusals; against PyTorch in test_losses_torch.py."""

import re

import numpy as np
import pytest
from support import central_differences

from fastlstm.training import softmax_cross_entropy


def test_cross_entropy():
    rng = np.random.default_rng(0)
    logits, targets = rng.standard_normal((4, 2, 5)), rng.integers(0, 5, (4, 2))
    loss, dlogits = softmax_cross_entropy(logits, targets)
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    assert loss == pytest.approx(-np.log(np.take_along_axis(p, targets[..., None], -1)).mean())
    numeric = central_differences(lambda: softmax_cross_entropy(logits, targets)[0], logits)
    np.testing.assert_allclose(dlogits, numeric, atol=1e-8)


def test_cross_entropy_of_large_logits():
    loss, dlogits = softmax_cross_entropy(np.array([[1e4, -1e4]], np.float32), [1])
    assert loss == pytest.approx(2e4)
    assert dlogits.tolist() == [[1.0, -1.0]]
    assert softmax_cross_entropy(np.zeros((0, 3)), [])[0] == 0


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: softmax_cross_entropy(1.0, 0), ValueError, "logits: expected shape (..., C), got ()"),
        (
            lambda: softmax_cross_entropy(np.ones((2, 3)), [0, 3]),
            ValueError,
            "targets: expected classes from 0 to 2, got 3",
        ),
        (
            lambda: softmax_cross_entropy(np.ones((2, 3)), [0]),
            ValueError,
            "targets: expected shape (2,), got (1,)",
        ),
        (
            lambda: softmax_cross_entropy(np.ones((1, 3)), [0.0]),
            TypeError,
            "targets: expected an array of integers",
        ),
    ],
)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()
