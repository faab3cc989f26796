"""Losses and optimisers."""

from .losses import softmax_cross_entropy
from .optimizers import Adam, clip_gradient_norm

__all__ = ["Adam", "clip_gradient_norm", "softmax_cross_entropy"]
