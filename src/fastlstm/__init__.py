"""The fastest LSTM on CPUs: NumPy arrays in, NumPy arrays out."""

from .config import get_num_threads, set_num_threads, show_config
from .embedding import get_include, get_library
from .layers import Embedding, Linear
from .recurrent import LSTM, RNN

__version__ = "0.1.0"

__all__ = [
    "LSTM",
    "RNN",
    "Embedding",
    "Linear",
    "get_include",
    "get_library",
    "get_num_threads",
    "set_num_threads",
    "show_config",
]
