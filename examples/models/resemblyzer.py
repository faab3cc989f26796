"""Resemblyzer: a voice as 256 numbers, from mel spectrograms, by three LSTM layers.

pip install Resemblyzer (which needs torch, and librosa for the spectrograms)
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

import fastlstm

FOLDER = Path(
    find_spec("resemblyzer").origin
).parent  # found, not imported: the import needs torch and librosa


class VoiceEncoder:
    """In the place of the network of `resemblyzer.VoiceEncoder`."""

    def __init__(self):
        lstm, linear = (
            fastlstm.load(FOLDER / "pretrained.pt", prefix=f"model_state.{part}", batch_first=True)
            for part in ("lstm", "linear")
        )
        self.model = fastlstm.Sequential(lstm, fastlstm.LastStep(), linear, fastlstm.ReLU())

    def __call__(self, mels, lengths=None):
        """Return the voices (B, 256) of spectrograms (B, T, 40), which may have different lengths here."""
        voices = self.model(mels, lengths=lengths)
        return voices / np.linalg.norm(voices, axis=1, keepdims=True)
