"""Drawings of the modules that recurrent networks repeat; `fastlstm.plot` hands them out."""

from .gru import gru_module
from .lstm import input_forget_module, layer_norm_module, lstm_module, peepholes_module
from .rnn import rnn_module
from .slstm import slstm_module

__all__ = [
    "gru_module",
    "input_forget_module",
    "layer_norm_module",
    "lstm_module",
    "peepholes_module",
    "rnn_module",
    "slstm_module",
]
