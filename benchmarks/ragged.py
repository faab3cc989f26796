"""What do sequences of different lengths cost, beside a dense batch with as many steps?"""

from time import perf_counter

import numpy as np

from .shapes import SEED, model_and_input, sizes

LEAST_LENGTH = 10


class Ragged:
    """Training on lengths that are uniform from 10 to T, float32."""

    param_names = ("T, B, H", "directions", "threads")
    params = (("100, 32, 128",), (1, 2), (1, 2))

    def setup(self, name, directions, threads):
        T, B, _ = sizes(name)
        self.model, self.x = model_and_input(name, threads, bidirectional=directions == 2)
        self.lengths = np.random.default_rng(SEED).integers(LEAST_LENGTH, T + 1, B)
        self.dy = np.ones((T, B, directions * self.model.output_size), np.float32)
        self.time_training()

    def train(self, lengths):
        _, _, tape = self.model.forward(self.x, lengths=lengths)
        tape.backward(self.dy)

    def time_training(self, *_):
        self.train(self.lengths)

    def track_cost_of_a_real_step(self, *_):
        """Return the time of a real step over that of a dense batch's, best of some turns: 1 is ideal."""
        best = {}
        for _turn in range(15):
            for kind, lengths in (("ragged", self.lengths), ("dense", None)):
                begin = perf_counter()
                self.train(lengths)
                best[kind] = min(best.get(kind, np.inf), perf_counter() - begin)
        return best["ragged"] / best["dense"] / (self.lengths.mean() / len(self.x))

    track_cost_of_a_real_step.unit = "times a dense step"
