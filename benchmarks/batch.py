"""How long does a batch take?"""

from .shapes import model_and_input


class Batch:
    """A dense batch through one layer, float32."""

    param_names = ("T, B, H", "threads")
    params = (
        ("100, 2, 256", "100, 12, 256", "100, 32, 128", "100, 32, 256", "25, 32, 512", "50, 64, 512"),
        (1, 2),
    )

    def setup(self, name, threads):
        self.model, self.x = model_and_input(name, threads)
        self.model(self.x)

    def time_batch(self, *_):
        self.model(self.x)
