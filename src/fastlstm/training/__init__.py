"""Training: fit, and what it is made of: losses, optimisers, schedules and averages of weights."""

from ..model.predict import predict
from .averaging import EqualAverage, ExponentialAverage
from .callbacks import Averaging, Callback, Progress
from .clipping import clip_gradient_norm
from .evaluation import evaluate
from .fitting import fit, streams
from .history import History
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
    "Averaging",
    "Callback",
    "CosineSchedule",
    "EqualAverage",
    "ExponentialAverage",
    "History",
    "OneCycleSchedule",
    "PlateauSchedule",
    "Progress",
    "RMSprop",
    "StepSchedule",
    "binary_cross_entropy_with_logits",
    "clip_gradient_norm",
    "ctc_loss",
    "evaluate",
    "fit",
    "huber_loss",
    "linear_softmax_cross_entropy",
    "mean_squared_error",
    "predict",
    "quantile_loss",
    "softmax_cross_entropy",
    "streams",
]
