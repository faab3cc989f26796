"""Losses and optimisers."""

from .losses import (
    binary_cross_entropy_with_logits,
    ctc_loss,
    huber_loss,
    linear_softmax_cross_entropy,
    mean_squared_error,
    quantile_loss,
    softmax_cross_entropy,
)
from .optimizers import Adam, clip_gradient_norm

__all__ = [
    "Adam",
    "binary_cross_entropy_with_logits",
    "clip_gradient_norm",
    "ctc_loss",
    "huber_loss",
    "linear_softmax_cross_entropy",
    "mean_squared_error",
    "quantile_loss",
    "softmax_cross_entropy",
]
