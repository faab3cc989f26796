"""Run the tests that PyTorch and Keras have for their recurrent layers on ours, and count what came of them.

    python tools/peer_tests.py torch test/test_nn.py      # a file of PyTorch's repository
    python tools/peer_tests.py keras                      # they are in Keras's package; KERAS_BACKEND counts

What follows goes to pytest, as `-k LSTM`. The tables in docs/pytorch.md and docs/keras.md are made so.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

KERAS_FILES = ("lstm_test.py", "gru_test.py", "simple_rnn_test.py", "bidirectional_test.py")


class Counts:
    """A plugin of pytest's that counts outcomes."""

    def __init__(self) -> None:
        self.by_outcome: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note how a test ended; a test that is skipped ends where it is set up."""
        if report.when == "call" or report.outcome != "passed":
            self.by_outcome[report.outcome] += 1
            print(f"\n{report.outcome:8}{report.nodeid.partition('::')[2]}", end="")


def torch_on_ours(arguments: list[str]) -> list[str]:
    """Put our modules in the place of PyTorch's; return pytest's arguments."""
    import torch

    from fastlstm.interop import torch as ours
    from fastlstm.interop.torch import modules

    for name in ("LSTM", "GRU", "RNN"):
        setattr(torch.nn, name, getattr(ours, name))
    # Few steps of training take PyTorch's pass, which would be tested in our place.
    modules.FEWEST_STEPS.update(dict.fromkeys(modules.FEWEST_STEPS, 0))
    return arguments


def keras_on_ours(arguments: list[str]) -> list[str]:
    """Put our layers in the place of Keras's; return pytest's arguments."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    from keras.src import layers

    from fastlstm.interop import keras as ours

    for name in ("LSTM", "GRU", "SimpleRNN"):
        setattr(layers, name, getattr(ours, name))
    folder = Path(layers.__file__).parent / "rnn"
    return [*(str(folder / name) for name in KERAS_FILES), *arguments]


def main(peer: str, *arguments: str) -> int:
    """Run a peer's tests and print their counts; return pytest's status."""
    chosen = {"torch": torch_on_ours, "keras": keras_on_ours}[peer]([*arguments])
    counts = Counts()
    status = pytest.main(["-q", "-p", "no:cacheprovider", "-c", os.devnull, *chosen], plugins=[counts])
    print(dict(counts.by_outcome))
    return int(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
