"""Keras's recurrent layers on fastlstm, on the CPU, for Keras 3 on torch, jax, tensorflow or numpy.

It needs Keras: ``pip install 'fastlstm[keras]'``, and one of these, which the variable KERAS_BACKEND names.
"""

try:
    import keras as _keras  # noqa: F401
except ImportError as error:
    raise ImportError(
        "fastlstm.interop.keras needs Keras: pip install 'fastlstm[keras]'; and the backend that "
        f"KERAS_BACKEND names, which is tensorflow without it. Keras's import ended with: {error}"
    ) from error

from .layers import GRU, LSTM, SimpleRNN

__all__ = ["GRU", "LSTM", "SimpleRNN"]
