"""How long does a training step's forward and backward take?"""

import numpy as np

import fastlstm

from .shapes import model_and_input

VARIANTS = {
    "projection to 64": {"proj_size": 64},
    "float64": {"dtype": "float64"},
    "plain tanh": {"kind": fastlstm.RNN},
}


class Training:
    """Forward with a tape, then backward for the gradients of the input and of all parameters; float32."""

    param_names = ("T, B, H", "threads")
    params = (("100, 32, 64", "100, 32, 128", "100, 32, 256", "25, 16, 512", "50, 64, 512"), (1, 2))

    def setup(self, name, threads, **options):
        self.model, self.x = model_and_input(name, threads, **options)
        y, _, tape = self.model.forward(self.x)
        self.dy = np.ones_like(y)
        tape.backward(self.dy)

    def time_forward_and_backward(self, *_):
        _, _, tape = self.model.forward(self.x)
        tape.backward(self.dy)


class Variants(Training):
    """The same where other libraries leave their fast path."""

    param_names = ("T, B, H", "threads", "variant")
    params = (("100, 32, 128",), (1, 2), tuple(VARIANTS))

    def setup(self, name, threads, variant):
        super().setup(name, threads, **VARIANTS[variant])
