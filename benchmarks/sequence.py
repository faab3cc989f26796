"""How long does one sequence take, through one layer, two, or both directions?"""

from .shapes import model_and_input

NETWORKS = {"one layer": {}, "2 layers": {"num_layers": 2}, "2 directions": {"bidirectional": True}}


class Sequence:
    """A whole sequence by itself, float32."""

    param_names = ("T, B, H", "network", "threads")
    params = (("100, 1, 64", "100, 1, 128", "100, 1, 256", "100, 1, 512"), tuple(NETWORKS), (1, 2))

    def setup(self, name, network, threads):
        self.model, self.x = model_and_input(name, threads, **NETWORKS[network])
        self.model(self.x)

    def time_sequence(self, *_):
        self.model(self.x)
