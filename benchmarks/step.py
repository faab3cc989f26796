"""How long does one step of a stream take, from Python and back?"""

import numpy as np

import fastlstm


class Step:
    """One sequence, float32, state carried, result written into an array of the caller's."""

    param_names = ("H",)
    params = ((32, 64, 128, 256, 512, 1024),)

    def setup(self, H):
        fastlstm.set_num_threads(1)
        self.stream = fastlstm.LSTM(H, H, rng=0).stream()
        self.x = np.random.default_rng(0).standard_normal(H).astype(np.float32)
        self.out = np.empty(H, np.float32)
        self.stream.step(self.x, out=self.out)

    def time_step(self, H):
        self.stream.step(self.x, out=self.out)
