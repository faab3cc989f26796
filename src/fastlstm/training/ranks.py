"""Several processes that train one model, over MPI.

All ranks hold the same data and the same weights. Each takes its share of each batch, and all use the mean of
their gradients.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..model.checks import Array
from ..model.sequences import Indices

FORWARDED_SECONDS = 0.2
"""How long a rank that failed waits before it ends the job, so that the launcher forwards what it said."""


class Ranks:
    """The processes of a communicator, or this process alone.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional

    Raises
    ------
    TypeError
        If `comm` is something else.
    """

    def __init__(self, comm: Any = None) -> None:
        if comm is not None and not all(hasattr(comm, name) for name in ("Allreduce", "bcast", "Abort")):
            raise TypeError(f"comm: expected an mpi4py communicator, got {type(comm).__name__}")
        self._comm = comm
        self.rank = 0 if comm is None else comm.Get_rank()
        self.size = 1 if comm is None else comm.Get_size()

    @property
    def first(self) -> bool:
        """Whether this is the one that shows and writes."""
        return bool(self.rank == 0)

    def share(self, chosen: Indices) -> Indices:
        """Return which sequences of a batch are this rank's."""
        return chosen[self.rank :: self.size]

    def same(self, value: Any) -> Any:
        """Return the first rank's value."""
        return value if self.size == 1 else self._comm.bcast(value, 0)

    def gathered(self, value: Any) -> list[Any]:
        """Return all ranks' values on the first, nothing on others."""
        return [value] if self.size == 1 else self._comm.gather(value, 0) or []

    def sums(self, *numbers: float) -> list[float]:
        """Return the sums over all ranks."""
        if self.size == 1:
            return list(numbers)
        total = np.array(numbers, np.float64)
        self._comm.Allreduce(self._in_place(), total)
        return [float(number) for number in total]

    def mean(self, gradients: Mapping[str, Array], share: float) -> dict[str, Array]:
        """Return the mean gradients of all ranks, this one's counting for its share of the batch."""
        if self.size == 1:
            return dict(gradients)
        means = {}
        for dtype in {array.dtype for array in gradients.values()}:
            named = {name: array for name, array in gradients.items() if array.dtype == dtype}
            flat = np.concatenate([array.reshape(-1) for array in named.values()])
            flat *= share
            self._comm.Allreduce(self._in_place(), flat)
            ends = np.cumsum([array.size for array in named.values()])[:-1]
            for (name, array), part in zip(named.items(), np.split(flat, ends), strict=True):
                means[name] = part.reshape(array.shape)
        return {name: means[name] for name in gradients}

    @contextmanager
    def together(self) -> Iterator[None]:
        """End the whole job if this rank fails: the others would wait for it without end."""
        try:
            yield
        except Exception as error:
            if self.size > 1:
                print(
                    f"{traceback.format_exc()}"
                    f"fastlstm.fit: rank {self.rank} of {self.size} (process {os.getpid()}) ended with "
                    f"{type(error).__name__}: {error}; the job ends. A checkpoint can be gone on with.",
                    file=sys.stderr,
                    flush=True,
                )
                time.sleep(FORWARDED_SECONDS)
                self._comm.Abort(1)
            raise

    def _in_place(self) -> Any:
        from mpi4py import MPI

        return MPI.IN_PLACE
