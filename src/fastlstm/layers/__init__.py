"""The layers that stand around an LSTM, called as the recurrent models are."""

from .activations import ELU, GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Tanh
from .batch_normalization import BatchNorm1d
from .convolution import Conv1d
from .crf import CRF
from .dropout import Dropout
from .embedding import Embedding
from .group_normalization import GroupNorm
from .joints import Add, Concat, Multiply
from .linear import Linear
from .normalization import LayerNorm
from .pooling import AvgPool1d, MaxPool1d
from .readouts import AttentionPool, LastStep, MaxOverTime, MeanOverTime, TorchLastStep

__all__ = [
    "CRF",
    "ELU",
    "GELU",
    "Add",
    "AttentionPool",
    "AvgPool1d",
    "BatchNorm1d",
    "Concat",
    "Conv1d",
    "Dropout",
    "Embedding",
    "GroupNorm",
    "LastStep",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxOverTime",
    "MaxPool1d",
    "MeanOverTime",
    "Multiply",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "TorchLastStep",
]
