"""How what standardises numbers is learned."""

from __future__ import annotations

import numpy as np
from sklearn.preprocessing import StandardScaler

from ..model.checks import Array
from ..predictors import Standardisation


def standardisation(values: Array, name: str, weight: Array | None = None) -> Standardisation:
    """Return what standardises columns like these (N, n); ValueError if their deviation is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large is refused below
        scaler = StandardScaler().fit(values, sample_weight=weight)
    if not np.isfinite(scaler.var_).all():
        raise ValueError(
            f"{name}: expected numbers whose squares float64 can hold, got {np.abs(values).max()}"
        )
    return Standardisation(scaler.mean_, scaler.scale_)
