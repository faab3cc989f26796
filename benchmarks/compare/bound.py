"""The least time that a cell can take on a machine with given limits."""

from __future__ import annotations

import numpy as np

from ..limits import Limits
from .cells import Cell
from .inputs import Inputs

FLOAT32_BYTES = 4
BYTES_OF = {"int8": 1, "int4": 9 / 16, "bfloat16": 2}
"""Of a weight: 64 of int4 have a scale of 4 bytes beside them."""

RATES = {"int8": "int8", "int4": "int8", "bfloat16": "bfloat16"}
"""Whose multiply-adds there are: weights of int4 are multiplied as bytes."""
TRAINING_PASSES = 3  # the products of forward, and twice as many in backward


def least_seconds(cell: Cell, inputs: Inputs, limits: Limits) -> float | None:
    """Return the time of the matrix products alone, at the limits; None where there is none for them.

    That is the time of all multiply-adds, or that of reading all matrices from the levels of memory that
    hold them, whichever is longer: one can go on beside the other. Recurrent matrices are read again at every
    step, those of the input once for all. For one step all matrices have to stay together in their level
    until the next one.
    """
    rate = _rate(cell, limits)
    if rate is None:
        return None
    matrices = {name: array for name, array in inputs.parameters.items() if array.ndim == 2}
    itemsize = BYTES_OF[cell.precision] if cell.precision else np.dtype(cell.dtype).itemsize
    together = sum(array.size for array in matrices.values()) * itemsize
    rows = int(inputs.lengths.sum())
    multiplying = reading = 0.0
    for name, array in matrices.items():
        reads, size = 1 if "_ih_" in name else cell.T, array.size * itemsize
        multiplying += 2 * array.size * rows / rate
        reading += reads * size / limits.bandwidth(together if cell.T == 1 else size)
    return max(multiplying, reading) * (TRAINING_PASSES if cell.training else 1)


def _rate(cell: Cell, limits: Limits) -> float | None:
    """Return how many operations a second there are of what a cell multiplies."""
    if cell.precision:
        rate: float | None = getattr(limits, RATES[cell.precision])
        return rate
    return limits.flops * FLOAT32_BYTES / np.dtype(cell.dtype).itemsize
