"""The fastest LSTM on CPUs: NumPy arrays in, NumPy arrays out."""

from .config import get_num_threads, set_num_threads, show_config
from .embedding import get_include, get_library
from .layers import (
    Dropout,
    Embedding,
    LastStep,
    LayerNorm,
    Linear,
    LogSoftmax,
    MaxOverTime,
    MeanOverTime,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from .pool import StreamPool
from .recurrent import LSTM, RNN
from .saving import load, save
from .sequential import Sequential
from .training import fit

__version__ = "0.1.0"

__all__ = [
    "LSTM",
    "RNN",
    "Dropout",
    "Embedding",
    "LastStep",
    "LayerNorm",
    "Linear",
    "LogSoftmax",
    "MaxOverTime",
    "MeanOverTime",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "StreamPool",
    "Tanh",
    "fit",
    "get_include",
    "get_library",
    "get_num_threads",
    "load",
    "save",
    "set_num_threads",
    "show_config",
]
