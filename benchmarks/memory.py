"""How much memory does it take?"""

import numpy as np

import fastlstm

from .shapes import model_and_input, sizes


class Imported:
    """What a process needs that only imports the package."""

    def peakmem_import(self):
        return fastlstm

    def timeraw_import(self):
        return "import fastlstm"

    def timeraw_import_of_what_it_needs(self):
        return "import numpy, scipy.linalg.cython_blas"


class Passes:
    """The peak of a process, its imports included."""

    param_names = ("T, B, H",)
    params = (("100, 32, 64", "100, 32, 256", "1000, 32, 256", "25, 64, 1024"),)

    def setup(self, name):
        self.model, self.x = model_and_input(name, 2)

    def peakmem_inputs_and_weights_alone(self, name):
        return self.x

    def peakmem_forward(self, name):
        self.model(self.x)

    def peakmem_training(self, name):
        y, _, tape = self.model.forward(self.x)
        tape.backward(np.ones_like(y))

    def track_numbers_kept_for_backward(self, name):
        """Return how many numbers a tape keeps, in hidden sizes for each row and step, its y included."""
        T, B, H = sizes(name)
        *_, tape = self.model.forward(self.x)
        return tape.nbytes / self.x.itemsize / (T * B * H)

    track_numbers_kept_for_backward.unit = "H a row and step"
