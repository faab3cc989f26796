"""How long does one step of a stream take, from Python and back?"""

import numpy as np

from .shapes import model_and_input


class Step:
    """One sequence, float32, state carried, result written into an array of the caller's."""

    param_names = ("H", "threads")
    params = ((1, 17, 32, 64, 100, 128, 256, 512, 1024), (1, 2))

    def setup(self, H, threads):
        model, x = model_and_input(f"1, 1, {H}", threads)
        self.stream, self.x = model.stream(), x[0, 0]
        self.out = np.empty(H, np.float32)
        self.stream.step(self.x, out=self.out)

    def time_step(self, H, threads):
        self.stream.step(self.x, out=self.out)
