"""ONNX: its recurrent operators, its graphs, and its files, read and written.

It needs the package `onnx`: ``pip install fastlstm[onnx]``.
"""

try:
    import onnx as _onnx  # noqa: F401
except ImportError as error:
    raise ImportError("onnx: expected the package, which pip install 'fastlstm[onnx]' brings") from error

from .backend import Backend, prepare, run_model, run_node, supports_device
from .exporting import export
from .loading import load
from .operators import GRU, LSTM, RNN, DynamicQuantizeLSTM
from .session import NodeArg, Session, accelerate

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Backend",
    "DynamicQuantizeLSTM",
    "NodeArg",
    "Session",
    "accelerate",
    "export",
    "load",
    "prepare",
    "run_model",
    "run_node",
    "supports_device",
]
