"""The least time that a cell can take on a machine with given limits."""

from __future__ import annotations

from ..limits import Limits
from .cells import Cell
from .inputs import Inputs

FLOAT32_BYTES = 4
TRAINING_PASSES = 3  # the products of forward, and twice as many in backward


def least_seconds(cell: Cell, inputs: Inputs, limits: Limits) -> float:
    """Return the time of the matrix products alone, at the limits.

    That is the time of all multiply-adds, or that of reading all matrices from the levels of memory that
    hold them, whichever is longer: one can go on beside the other. Recurrent matrices are read again at every
    step, those of the input once for all. For one step all matrices have to stay together in their level
    until the next one.
    """
    matrices = {name: array for name, array in inputs.parameters.items() if array.ndim == 2}
    together = sum(array.nbytes for array in matrices.values())
    rows = int(inputs.lengths.sum())
    multiplying = reading = 0.0
    for name, array in matrices.items():
        reads = 1 if "_ih_" in name else cell.T
        multiplying += 2 * array.size * rows * array.itemsize / (limits.flops * FLOAT32_BYTES)
        reading += reads * array.nbytes / limits.bandwidth(together if cell.T == 1 else array.nbytes)
    return max(multiplying, reading) * (TRAINING_PASSES if cell.training else 1)
