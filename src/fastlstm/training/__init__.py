"""Losses, optimisers, schedules and averages of weights."""

from .averaging import EqualAverage, ExponentialAverage
from .clipping import clip_gradient_norm
from .losses import (
    binary_cross_entropy_with_logits,
    ctc_loss,
    huber_loss,
    linear_softmax_cross_entropy,
    mean_squared_error,
    quantile_loss,
    softmax_cross_entropy,
)
from .optimizers import SGD, Adagrad, Adam, AdamW, RMSprop
from .schedules import CosineSchedule, OneCycleSchedule, PlateauSchedule, StepSchedule

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "CosineSchedule",
    "EqualAverage",
    "ExponentialAverage",
    "OneCycleSchedule",
    "PlateauSchedule",
    "RMSprop",
    "StepSchedule",
    "binary_cross_entropy_with_logits",
    "clip_gradient_norm",
    "ctc_loss",
    "huber_loss",
    "linear_softmax_cross_entropy",
    "mean_squared_error",
    "quantile_loss",
    "softmax_cross_entropy",
]
