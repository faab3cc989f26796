"""How fast do a thousand streams advance, a frame each?"""

from math import nan
from time import perf_counter

import numpy as np

import fastlstm

from .compare.cells import GROUPS
from .compare.crew import Effort, Worker, compare
from .compare.inputs import seeded
from .compare.libraries import LIBRARIES
from .shapes import model_and_input

STREAMS = 1000
ORDERS = ("in order", "shuffled")
PEER = "onnxruntime"
SINGLE_STEP = next(cell for cell in GROUPS["step"] if cell.H == 128)


class Pool:
    """A thousand streams of a pool, in the order in which they were opened or in another."""

    param_names = ("order", "threads")
    params = (ORDERS, (1, 2))

    def setup(self, order, threads):
        self.model, x = model_and_input(f"1, {STREAMS}, 128", threads)
        self.x = x[0]
        self.pool = fastlstm.StreamPool(self.model, STREAMS)
        self.ids = np.array([self.pool.open() for _ in range(STREAMS)])
        if order == "shuffled":
            np.random.default_rng(0).shuffle(self.ids)
        self.out = np.empty((STREAMS, 128), np.float32)
        self.time_step()

    def time_step(self, *_):
        self.pool.step(self.ids, self.x, out=self.out)

    def _best(self, call):
        times = []
        for _turn in range(50):
            begin = perf_counter()
            call()
            times.append(perf_counter() - begin)
        return min(times)

    def track_share_of_plain_forward(self, *_):
        """Return the speed of a step over that of calling the model with as many rows."""
        batch = self.x[None]
        best = {}
        for _turn in range(5):
            for name, call in (("plain", lambda: self.model(batch)), ("pool", self.time_step)):
                best[name] = min(best.get(name, np.inf), self._best(call))
        return best["plain"] / best["pool"]

    def track_over_single_calls_of_onnxruntime(self, _order, threads):
        """Return frames a second over those of ONNX Runtime, called for one frame at a time on one thread."""
        if not LIBRARIES[PEER].installed:
            return nan
        given = seeded(SINGLE_STEP)
        with Worker(PEER, 1) as worker:
            results = compare([worker], SINGLE_STEP, given, Effort(rounds=3), lambda: None)
        return STREAMS * results[PEER].best / self._best(self.time_step)
