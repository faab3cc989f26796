"""Runs the fastlstm that is installed, prints what it runs on, and fails if a bit of its results is another.

Results have the same bits on every processor and system, so their digest stands here.
"""

import hashlib
import platform
import sys

import numpy as np

import fastlstm

DIGEST = "a1485913e82d1df0"


def results():
    """Yield arrays: whole passes, ragged ones, steps and fewer bits, of several cells and sizes."""
    rng = np.random.default_rng(0)
    x = (rng.integers(-1000, 1000, (20, 3, 19)) / 500).astype(np.float32)
    lengths = [20, 0, 7]
    for cell in (fastlstm.LSTM, fastlstm.GRU, fastlstm.RNN):
        for size in (5, 33):
            model = cell(19, size, 2, bidirectional=True, rng=0)
            yield model(x)[0]
            yield model.forward(x, lengths=lengths)[0]
    lstm = fastlstm.LSTM(19, 40, proj_size=9, rng=0)
    stream = lstm.stream()
    yield np.stack([stream.step(row) for row in x[:, 0]])
    yield fastlstm.quantize(lstm, "int8")(x)[0]
    yield fastlstm.LSTM(19, 17, dtype="float64", rng=0)(x)[0]
    wide = fastlstm.LSTM(19, 200, rng=0)  # enough work for a second thread
    yield wide(np.repeat(x, 20, axis=1))[0]


def main():
    """Print a line, and compare the digest."""
    digest = hashlib.sha256(b"".join(array.tobytes() for array in results())).hexdigest()[:16]
    y, _, tape = fastlstm.LSTM(3, 8, rng=0).forward(np.ones((4, 2, 3), np.float32))
    assert all(np.isfinite(gradient).all() for gradient in tape.backward(y).parameters.values())
    config = fastlstm.show_config("dicts")
    print(
        f"fastlstm {fastlstm.__version__} {digest}",
        f"{config['instruction set']} of {', '.join(config['available'])}; {config['threads']} threads",
        f"{platform.python_implementation()} {platform.python_version()}",
        f"{platform.system()} {platform.machine()}, {platform.libc_ver()[0] or 'no glibc'}",
        sep="; ",
    )
    if digest != DIGEST:
        sys.exit(f"digest: expected {DIGEST}, got {digest}")


if __name__ == "__main__":
    main()
