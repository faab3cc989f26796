"""How does the cost of a forward pass grow with steps, sequences, units and threads?"""

from .shapes import model_and_input


class _Growth:
    """One of T, B, H and threads grows, and the others stay."""

    param_names = ("T, B, H, threads",)

    def setup(self, name):
        *three, threads = name.split(",")
        self.model, self.x = model_and_input(",".join(three), int(threads))
        self.model(self.x)

    def time_forward(self, name):
        self.model(self.x)


class WithT(_Growth):
    params = (tuple(f"{T}, 16, 128, 1" for T in (1, 10, 100, 1000)),)


class WithB(_Growth):
    params = (tuple(f"50, {B}, 128, 1" for B in (1, 2, 4, 6, 8, 12, 16, 24, 32, 64, 128)),)


class WithH(_Growth):
    params = (tuple(f"50, 16, {H}, 1" for H in (1, 5, 17, 32, 64, 100, 128, 130, 256, 300, 512)),)


class WithThreads(_Growth):
    params = (tuple(f"{sizes}, {n}" for sizes in ("100, 1, 256", "100, 32, 256") for n in (1, 2, 3, 4)),)
