"""Losses against PyTorch."""

from functools import partial

import numpy as np
import pytest
from support import distance

from fastlstm.training import (
    binary_cross_entropy_with_logits,
    ctc_loss,
    huber_loss,
    mean_squared_error,
    quantile_loss,
    softmax_cross_entropy,
)

torch = pytest.importorskip("torch")
F = torch.nn.functional

QUANTILES = np.array([0.1, 0.5, 0.7, 0.9, 0.95])
WEIGHT = np.array([0.5, 0.0, 2.0, 1.0, 3.0])


def pinball(output, target):
    difference = target[..., None] - output
    q = torch.from_numpy(QUANTILES)
    return torch.maximum(q * difference, (q - 1) * difference).mean()


def masked_cross_entropy(output, target):
    return F.cross_entropy(output, target, ignore_index=2)


def cross_entropy_without_2(output, target):
    return softmax_cross_entropy(output, target, mask=target != 2)


CLASSES, REALS = np.random.default_rng(0).integers(0, 5, 9), np.random.default_rng(1).standard_normal((9, 5))


@pytest.mark.parametrize(
    ("loss", "twin", "target"),
    [
        (softmax_cross_entropy, F.cross_entropy, CLASSES),
        (cross_entropy_without_2, masked_cross_entropy, CLASSES),
        (
            partial(softmax_cross_entropy, weight=WEIGHT),
            partial(F.cross_entropy, weight=torch.from_numpy(WEIGHT)),
            CLASSES,
        ),
        (binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits, (REALS > 0).astype(float)),
        (binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits, np.abs(REALS) / 4),
        (mean_squared_error, F.mse_loss, REALS),
        (huber_loss, F.huber_loss, REALS),
        (partial(huber_loss, delta=0.3), partial(F.huber_loss, delta=0.3), REALS),
        (partial(quantile_loss, quantiles=QUANTILES), pinball, REALS[:, 0]),
    ],
)
def test_losses(loss, twin, target):
    output = np.random.default_rng(2).standard_normal((9, 5))
    scores = torch.from_numpy(output).requires_grad_()
    expected = twin(scores, torch.from_numpy(target))
    expected.backward()
    value, gradient = loss(output, target)
    assert value == pytest.approx(expected.item(), rel=1e-13)
    assert distance(gradient, scores.grad.numpy()) < 1e-14


@pytest.mark.parametrize(("T", "S", "C"), [(12, 4, 3), (150, 40, 30)])
@pytest.mark.parametrize("scale", [1, 20])
def test_ctc(T, S, C, scale):
    rng = np.random.default_rng(0)
    lengths, counts = rng.integers(T * 2 // 3, T + 1, 6), rng.integers(0, S + 1, 6)
    lengths[0] = T
    output, target = scale * rng.standard_normal((T, 6, C)), rng.integers(0, C - 1, (6, S))
    scores = torch.from_numpy(output).requires_grad_()
    expected = F.ctc_loss(
        scores.log_softmax(-1), *map(torch.from_numpy, (target, lengths, counts)), blank=C - 1
    )
    expected.backward()
    value, gradient = ctc_loss(output, target, lengths, target_lengths=counts, blank=C - 1)
    assert value == pytest.approx(expected.item(), rel=1e-12)
    assert distance(gradient, scores.grad.numpy()) < 1e-11
