"""The layers that stand around an LSTM: plain NumPy, with the recurrent models' face."""

from .activations import LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from .dropout import Dropout
from .embedding import Embedding
from .linear import Linear
from .normalization import LayerNorm
from .readouts import LastStep, MaxOverTime, MeanOverTime

__all__ = [
    "Dropout",
    "Embedding",
    "LastStep",
    "LayerNorm",
    "Linear",
    "LogSoftmax",
    "MaxOverTime",
    "MeanOverTime",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
]
