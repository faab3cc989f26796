"""Quantiles moved by as much as they missed what was held out."""

from __future__ import annotations

import numpy as np

from ..model.checks import Array


def shifts(misses: Array, quantiles: tuple[float, ...]) -> Array:
    """Return by how much each quantile is to be moved, so that intervals cover what they say.

    Parameters
    ----------
    misses : array (N, ..., Q)
        What came less each quantile that was forecast, of N forecasts.
    quantiles : tuple of Q floats

    Returns
    -------
    array (..., Q)
        Of two quantiles that bound an interval, the same to both sides.

    Notes
    -----
    The rule is that of conformalised quantile regression [1]_: of N + 1 exchangeable forecasts, the interval
    of the last holds with at least its probability. Where N is too small for that, intervals are as wide as
    the worst miss asks for.

    References
    ----------
    .. [1] Y. Romano, E. Patterson and E. Candès, "Conformalized Quantile Regression", NeurIPS 2019.
    """
    N = len(misses)
    moved = np.zeros(misses.shape[1:])
    for k, probability in enumerate(quantiles):
        sign = np.sign(round(probability - 0.5, 9))
        if not sign:
            continue
        beyond = sign * misses[..., k]
        inside = max(probability, 1 - probability)
        mirrored = np.flatnonzero(np.isclose(quantiles, 1 - probability, rtol=0, atol=1e-9))
        if len(mirrored):
            beyond = np.maximum(beyond, -sign * misses[..., mirrored[0]])
            inside = 2 * inside - 1
        place = min(N, int(np.ceil((N + 1) * inside - 1e-9))) - 1
        moved[..., k] = sign * np.sort(beyond, axis=0)[place]
    return moved
