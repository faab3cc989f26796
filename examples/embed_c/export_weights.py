"""Write an LSTM's weights as stream_lstm.c reads them: python export_weights.py weights.bin."""

import sys
from pathlib import Path

import numpy as np

import fastlstm


def weights_as_bytes(lstm: fastlstm.LSTM) -> bytes:
    """Return I and H as int64, and then the weights and biases of a model of one layer."""
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    sizes = np.array([lstm.input_size, lstm.hidden_size], np.int64)
    return b"".join([sizes.tobytes(), *(lstm.parameters[name].tobytes() for name in names)])


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(weights_as_bytes(fastlstm.LSTM(3, 16, rng=0)))
