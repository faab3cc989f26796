"""Numbers with mean 0 and deviation 1, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.checks import Array
from ..model.parameters import taken


@dataclass(frozen=True, eq=False)
class Standardisation:
    """From columns of numbers to standardised ones, and back; under the names that scikit-learn has for it.

    Attributes
    ----------
    mean_, scale_ : float64 array (n,)
        What is taken off, and then divided by.
    """

    mean_: Array
    scale_: Array

    def transform(self, values: Array) -> Array:
        """Return values (..., n) standardised."""
        standardised: Array = (values - self.mean_) / self.scale_
        return standardised

    def inverse_transform(self, standardised: Array) -> Array:
        """Return standardised values (..., n) as they were."""
        values: Array = standardised * self.scale_ + self.mean_
        return values

    def tensors(self, name: str) -> dict[str, Array]:
        """Return what a file keeps."""
        return {f"{name}.mean": self.mean_, f"{name}.scale": self.scale_}

    @classmethod
    def stored(cls, tensors: Mapping[str, NDArray[Any]], name: str, size: int) -> Standardisation:
        """Return what a file kept of `size` columns; ValueError if it is none."""
        mean, scale = (stored(tensors, f"{name}.{part}", (size,)) for part in ("mean", "scale"))
        if not (scale > 0).all():
            raise ValueError(f"{name}.scale: expected numbers above 0, got {scale.min()}")
        return cls(mean, scale)


def stored(tensors: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...]) -> Array:
    """Return a tensor of a file; ValueError unless it has finite float64 numbers of that shape."""
    array = taken(tensors, name, shape, np.dtype(np.float64))
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got some that are not")
    return array
