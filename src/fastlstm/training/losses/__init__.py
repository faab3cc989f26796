"""Losses: each returns its value and its gradient with respect to the model's output.

All are called as `loss(output, target, lengths=None, ...)` and return the mean over all real steps: those
before a sequence's end in `lengths`, and where `mask` is true. What stands elsewhere has no influence on
anything, and its gradient is zero.
"""

from .classes import linear_softmax_cross_entropy, softmax_cross_entropy
from .ctc import ctc_loss
from .elementwise import binary_cross_entropy_with_logits, huber_loss, mean_squared_error, quantile_loss

__all__ = [
    "binary_cross_entropy_with_logits",
    "ctc_loss",
    "huber_loss",
    "linear_softmax_cross_entropy",
    "mean_squared_error",
    "quantile_loss",
    "softmax_cross_entropy",
]
