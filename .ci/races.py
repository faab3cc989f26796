"""Passes of every cut on two threads, from several callers: what ThreadSanitizer watches.

Nobody is given up here. A worker that was late may still read what its caller writes again: that is so by
design, and what comes of the late one is thrown away.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

import fastlstm
from fastlstm import _core

CASES = [
    (fastlstm.LSTM(64, 128, rng=0), (40, 1, 64)),  # units of a single sequence
    (fastlstm.LSTM(32, 64, 2, bidirectional=True, rng=0), (30, 4, 32)),  # directions
    (fastlstm.LSTM(32, 64, 3, proj_size=16, rng=0), (60, 1, 32)),  # layers that follow one another
    (fastlstm.RNN(64, 96, rng=0), (20, 32, 64)),  # sequences
]


def passes(k: int) -> list[bytes]:
    """Run a case forward and backward while the number of threads changes."""
    model, shape = CASES[k % len(CASES)]
    _core.set_num_threads(1 + k % 3)
    y, _, tape = model.forward(np.ones(shape, np.float32))
    gradients = tape.backward(np.ones_like(y))
    return [y.tobytes(), gradients.input.tobytes(), model(np.ones(shape, np.float32))[0].tobytes()]


def main() -> None:
    """Run all cases alone, and then from four threads at once: the same bits."""
    _core.be_patient(True)
    expected = [passes(k) for k in range(len(CASES))]
    with ThreadPoolExecutor(4) as callers:
        results = list(callers.map(passes, range(12 * len(CASES))))
    assert all(result == expected[k % len(CASES)] for k, result in enumerate(results))
    print("the same bits,", _core.threads_started(), "workers,", _core.times_late(), "late")


main()
