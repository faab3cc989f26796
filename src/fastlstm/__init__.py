"""The fastest LSTM on CPUs: NumPy arrays in, NumPy arrays out."""

from importlib import import_module as _import_module
from importlib.util import find_spec as _find_spec
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

# What the core needs comes first. Some calls deeper, within the core's own import, CPython's stack came to
# lie across the end of its first piece, and SciPy's import had another mapped and unmapped 3,500 times: 19 to
# 40 ms.
import scipy.linalg.cython_blas  # noqa: F401

from .config import get_num_threads, set_num_threads, show_config
from .layers import (
    CRF,
    ELU,
    GELU,
    Add,
    AttentionPool,
    AvgPool1d,
    BatchNorm1d,
    Concat,
    Conv1d,
    Dropout,
    Embedding,
    GroupNorm,
    LastStep,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    MaxOverTime,
    MaxPool1d,
    MeanOverTime,
    Multiply,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
    TorchLastStep,
)
from .model.gru import GRU
from .model.lstm import LSTM
from .model.rnn import RNN
from .model.sequential import Sequential
from .model.slstm import SLSTM

if _TYPE_CHECKING:
    from .capi import get_include, get_library
    from .interop import load, save
    from .model.graph import Graph
    from .model.pool import StreamPool
    from .model.quantized import calibrate, quantize
    from .training import fit

__version__ = "0.1.0"

__all__ = [
    "CRF",
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "SLSTM",
    "Add",
    "AttentionPool",
    "AvgPool1d",
    "BatchNorm1d",
    "Concat",
    "Conv1d",
    "Dropout",
    "Embedding",
    "Graph",
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
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "StreamPool",
    "Tanh",
    "TorchLastStep",
    "calibrate",
    "fit",
    "get_include",
    "get_library",
    "get_num_threads",
    "load",
    "quantize",
    "save",
    "set_num_threads",
    "show_config",
]

# Not every program trains, writes files or draws: what it does not ask for costs it no time at import.
_MODULE_OF = {
    "Graph": "model.graph",
    "StreamPool": "model.pool",
    "calibrate": "model.quantized",
    "fit": "training",
    "get_include": "capi",
    "get_library": "capi",
    "load": "interop",
    "quantize": "model.quantized",
    "save": "interop",
}
_ROOMS = ("decoding", "estimators", "inspection", "interop", "plot", "serve", "training")
_NEEDED = {"estimators": "sklearn", "plot": "matplotlib"}
"""What else has to be installed for a room; its own import says which extra brings it."""


def __getattr__(name: str) -> _Any:
    if name in _MODULE_OF:
        globals()[name] = getattr(_import_module(f".{_MODULE_OF[name]}", __name__), name)
        return globals()[name]
    if name in _ROOMS:
        return _import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return what is public, without rooms whose extra is missing: who goes through all imports each."""
    rooms = {room for room in _ROOMS if room not in _NEEDED or _find_spec(_NEEDED[room])}
    dunders = {name for name in globals() if name.startswith("__")}
    return sorted({*__all__, *rooms, "layers", *dunders})
