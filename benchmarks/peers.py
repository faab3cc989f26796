"""How near does it come to the machine's limit, and how far before other libraries is it?

A few cells of `python -m benchmarks.compare`, all libraries and the limits measured in one run; what is not
installed has no figure.
"""

from contextlib import ExitStack
from math import nan

from . import limits
from .compare.bound import least_seconds
from .compare.cells import GROUPS
from .compare.crew import Effort, Worker, compare
from .compare.inputs import seeded
from .compare.libraries import CUDA, LIBRARIES, OURS
from .compare.results import Row

CELLS = {
    f"{cell.group}: {cell.name}": cell
    for group, name in (
        ("step", "1, 1, 64"),
        ("step", "1, 1, 256"),
        ("sequence", "100, 1, 128"),
        ("batch", "100, 32, 256"),
        ("training", "100, 32, 128"),
        ("ragged", "100, 32, 128, ragged"),
    )
    for cell in GROUPS[group]
    if cell.name == name
}
THREADS = (1, 2)
PEERS = tuple(name for name in LIBRARIES if name not in (OURS, CUDA) and LIBRARIES[name].counts)
EFFORT = Effort(rounds=3, seconds=0.1)


class Peers:
    """Ratios of best times, each library in a process of its own, taking turns."""

    timeout = 600
    param_names = ("cell", "threads")
    params = (tuple(CELLS), THREADS)

    def setup_cache(self):
        """Return the row of each cell and number of threads."""
        present = [name for name in (OURS, *PEERS) if LIBRARIES[name].installed]
        rows = {}
        for threads, limit in limits.measure(THREADS).items():
            with ExitStack() as stack:
                workers = [stack.enter_context(Worker(name, threads)) for name in present]
                for name, cell in CELLS.items():
                    given = seeded(cell)
                    results = compare(workers, cell, given, EFFORT, lambda: None)
                    rows[name, threads] = Row(cell, threads, results, least_seconds(cell, given, limit))
        return rows

    setup_cache.timeout = 900

    def track_share_of_the_limit(self, rows, name, threads):
        return rows[name, threads].share

    track_share_of_the_limit.unit = "of the machine's limit"

    def _times_as_long(self, rows, name, threads, peer):
        results = rows[name, threads].results
        return results[peer].best / results[OURS].best if peer in results else nan

    def track_torch(self, rows, name, threads):
        return self._times_as_long(rows, name, threads, "torch")

    def track_onnxruntime(self, rows, name, threads):
        return self._times_as_long(rows, name, threads, "onnxruntime")

    def track_openvino(self, rows, name, threads):
        return self._times_as_long(rows, name, threads, "openvino")


for track in (Peers.track_torch, Peers.track_onnxruntime, Peers.track_openvino):
    track.unit = "times our time"
