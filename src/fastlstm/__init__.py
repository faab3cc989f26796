"""The fastest LSTM on CPUs: NumPy arrays in, NumPy arrays out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# What the core needs comes first. Some calls deeper, within the core's own import, CPython's stack came to
# lie across the end of its first piece, and SciPy's import had another mapped and unmapped 3,500 times: 19 to
# 40 ms.
import scipy.linalg.cython_blas  # noqa: F401

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
from .sequential import Sequential

if TYPE_CHECKING:
    from .saving import load, save
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

# Half of what importing the package would cost; a server that runs a model needs none of training.
_IMPORTED_WHEN_ASKED_FOR = {"fit": "training", "load": "saving", "save": "saving"}


def __getattr__(name: str) -> Any:
    if name in _IMPORTED_WHEN_ASKED_FOR:
        globals()[name] = getattr(import_module(f".{_IMPORTED_WHEN_ASKED_FOR[name]}", __name__), name)
        return globals()[name]
    if name in _IMPORTED_WHEN_ASKED_FOR.values():
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
