"""Do many calling threads get what the cores can give?"""

from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import fastlstm
from fastlstm.config import available_cores

from .shapes import model_and_input

MEASURED_SECONDS = 0.3


class Callers:
    """Sixteen Python threads that call one model at once, beside one thread that calls it alone."""

    param_names = ("T, B, H", "threads of a pass")
    params = (("100, 1, 128", "50, 16, 128", "100, 32, 256"), (1, 2))

    def setup(self, name, threads):
        self.model, self.x = model_and_input(name, threads)
        self.model(self.x)

    def _rate(self, callers):
        """Return how many calls a second the callers get through together."""
        end = perf_counter() + MEASURED_SECONDS

        def call_until_then(_):
            calls = 0
            while perf_counter() < end:
                self.model(self.x)
                calls += 1
            return calls

        with ThreadPoolExecutor(callers) as pool:
            calls = sum(pool.map(call_until_then, range(callers)))
            return calls / (perf_counter() - end + MEASURED_SECONDS)

    def track_share_of_the_cores(self, name, threads):
        """Return calls a second of sixteen callers over those of one with one thread, times the cores."""
        together = alone = 0
        for _turn in range(5):
            fastlstm.set_num_threads(threads)
            together = max(together, self._rate(16))
            fastlstm.set_num_threads(1)
            alone = max(alone, self._rate(1))
        return together / alone / available_cores()

    track_share_of_the_cores.unit = "of all cores"
