"""The layers that stand around an LSTM: plain NumPy, with the recurrent models' face."""

from .embedding import Embedding
from .linear import Linear

__all__ = ["Embedding", "Linear"]
