"""PyTorch's recurrent modules on fastlstm: the same constructors, parameters and results, on the CPU.

It needs PyTorch: ``pip install 'fastlstm[torch]'``.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("fastlstm.interop.torch needs PyTorch: pip install 'fastlstm[torch]'") from error

from . import threads as _threads
from .accelerate import Report, accelerate
from .modules import GRU, LSTM, RNN

_threads.borrow()

__all__ = ["GRU", "LSTM", "RNN", "Report", "accelerate"]
