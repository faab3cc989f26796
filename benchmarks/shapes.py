"""What several suites share: models on random inputs, the input size equal to the hidden size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastlstm

SEED = 0


def sizes(name: str) -> tuple[int, int, int]:
    """Return T, B and H from a parameter such as "100, 32, 256", the form that asv's pages show."""
    T, B, H = map(int, name.split(","))
    return T, B, H


def model_and_input(
    name: str, threads: int, kind: type = fastlstm.LSTM, **options: Any
) -> tuple[fastlstm.LSTM | fastlstm.RNN, NDArray[Any]]:
    """Return a model and its input x (T, B, H) for sizes by name, with so many threads allowed."""
    T, B, H = sizes(name)
    fastlstm.set_num_threads(threads)
    model = kind(H, H, rng=SEED, **options)
    return model, np.random.default_rng(SEED).standard_normal((T, B, H)).astype(model.dtype)
