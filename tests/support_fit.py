"""What the tests of training share: sequences, targets, small models, and a Ctrl-C."""

import signal

import numpy as np

from fastlstm import LSTM, LastStep, Linear, Sequential
from fastlstm.training import Callback

LENGTHS = [5, 3, 0, 7, 5, 1, 4]


def sequences(lengths=LENGTHS, size=3, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((length, size)) for length in lengths]


def readout_model(**options):
    return Sequential(LSTM(3, 6, rng=0, **options), LastStep(), Linear(6, 2, rng=1))


def steps_model(dtype="float32", batch_first=False):
    return Sequential(
        LSTM(3, 6, rng=0, batch_first=batch_first, dtype=dtype), Linear(6, 2, rng=1, dtype=dtype)
    )


def step_targets(x, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((len(sequence), 2)) for sequence in x]


def weights(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


class StopAfter(Callback):
    def __init__(self, steps):
        self.steps = steps

    def on_step(self, progress):
        if progress.history.steps == self.steps:
            signal.raise_signal(signal.SIGINT)
