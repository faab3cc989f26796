"""How long does a forward pass over a sequence or a batch take?"""

import numpy as np

import fastlstm


class Forward:
    """Whole sequences, float32, input size = hidden size."""

    param_names = ("T,B,H", "threads")
    params = (((100, 1, 64), (100, 1, 256), (100, 32, 128), (25, 32, 512)), (1, 2))

    def setup(self, sizes, threads):
        T, B, H = sizes
        fastlstm.set_num_threads(threads)
        self.model = fastlstm.LSTM(H, H, rng=0)
        self.x = np.random.default_rng(0).standard_normal((T, B, H)).astype(np.float32)
        self.model(self.x)

    def time_forward(self, sizes, threads):
        self.model(self.x)
