"""Linear autoregression: each step of a variable from the same variable's last ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..model.checks import Array
from ._scaling import stored


@dataclass(frozen=True, eq=False)
class Autoregression:
    """A linear forecast that goes on from itself; each variable is read alone.

    Attributes
    ----------
    weight : float64 array (P, n)
        Of the last step, the one before it, and so on.
    bias : float64 array (n,)
    """

    weight: Array
    bias: Array

    def forecast(self, windows: Array, horizon: int) -> Array:
        """Return the steps (N, horizon, n) after windows (N, W, n), which have at least P steps."""
        N, _, n = windows.shape
        path = np.concatenate([windows, np.empty((N, horizon, n))], axis=1)
        for step in range(windows.shape[1], path.shape[1]):
            path[:, step] = self.bias
            for lag, weight in enumerate(self.weight, 1):  # one by one: the same bits for any N
                path[:, step] += weight * path[:, step - lag]
        ahead: Array = path[:, windows.shape[1] :]
        return ahead

    def tensors(self, name: str) -> dict[str, Array]:
        """Return what a file keeps."""
        return {f"{name}.weight": self.weight, f"{name}.bias": self.bias}

    @classmethod
    def stored(cls, tensors: Mapping[str, NDArray[Any]], name: str, longest: int, size: int) -> Self:
        """Return what a file kept of `size` variables, with at most `longest` steps; ValueError if none."""
        order = next(iter(np.shape(tensors.get(f"{name}.weight", ()))), 0)
        if order > longest:
            raise ValueError(f"{name}.weight: expected at most {longest} steps, got {order}")
        return cls(stored(tensors, f"{name}.weight", (order, size)), stored(tensors, f"{name}.bias", (size,)))
