"""How long does a training step's forward and backward take, and how much does it keep?"""

import numpy as np

import fastlstm


class Training:
    """Forward with a tape and backward for every gradient, float32, input size = hidden size."""

    param_names = ("T,B,H", "lengths", "threads")
    params = (((100, 32, 64), (100, 32, 128), (25, 16, 512)), ("dense", "ragged"), (1, 2))

    def setup(self, sizes, lengths, threads):
        T, B, H = sizes
        rng = np.random.default_rng(0)
        fastlstm.set_num_threads(threads)
        self.model = fastlstm.LSTM(H, H, rng=0)
        self.x = rng.standard_normal((T, B, H)).astype(np.float32)
        self.lengths = None if lengths == "dense" else rng.integers(T // 10, T + 1, B)
        self.dy = np.ones((T, B, H), np.float32)
        self.time_forward_and_backward()

    def time_forward_and_backward(self, *_):
        _, _, tape = self.model.forward(self.x, lengths=self.lengths)
        tape.backward(self.dy)

    def peakmem_forward_and_backward(self, *_):
        self.time_forward_and_backward()
