"""Metrics that `fastlstm.fit` knows by name: from the outputs and targets of all sequences to a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..model.checks import Array, as_mapping

Metric = Callable[[list[Array], list[Any]], float]
"""From the outputs and the targets of all validation sequences to a number."""


def accuracy(outputs: Sequence[ArrayLike], targets: Sequence[ArrayLike]) -> float:
    """Return the share of targets that the model says.

    Parameters
    ----------
    outputs : sequence of arrays
        One for each sequence. Logits (C,), or (T_k, C) at each step, of which the largest is what the model
        says; or those of yes, laid out as the targets, for `binary_cross_entropy_with_logits`.
    targets : sequence of arrays
        One for each sequence: classes, (), or (T_k,) at each step. Negative ones don't count. Of yes and no
        1 and 0.

    Returns
    -------
    float
        From 0 to 1; not a number where nothing counts.

    Raises
    ------
    ValueError
        If shapes don't go together.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.training.metrics import accuracy
    >>> accuracy([np.array([0.1, 2.0]), np.array([3.0, 1.0])], [1, 1])
    0.5
    """
    right, count = 0, 0
    for said, wanted in _pairs(outputs, targets):
        if said.ndim == wanted.ndim + 1:
            counted = wanted >= 0
            same = (said.argmax(axis=-1) == wanted) & counted
        else:
            _check_alike(said, wanted)
            counted = np.ones(wanted.shape, bool)
            same = (said > 0) == (wanted > 0.5)
        right, count = right + int(same.sum()), count + int(counted.sum())
    return right / count if count else float("nan")


def mean_absolute_error(outputs: Sequence[ArrayLike], targets: Sequence[ArrayLike]) -> float:
    """Return the mean of |output - target| over all numbers of all sequences.

    Examples
    --------
    >>> from fastlstm.training.metrics import mean_absolute_error
    >>> mean_absolute_error([[1.0], [2.0]], [[1.5], [2.0]])
    0.25
    """
    return float(np.abs(_errors(outputs, targets)).mean())


def root_mean_squared_error(outputs: Sequence[ArrayLike], targets: Sequence[ArrayLike]) -> float:
    """Return the root of the mean of (output - target)² over all numbers of all sequences.

    Examples
    --------
    >>> from fastlstm.training.metrics import root_mean_squared_error
    >>> root_mean_squared_error([[3.0], [1.0]], [[1.0], [-1.0]])
    2.0
    """
    return float(np.sqrt(np.square(_errors(outputs, targets)).mean()))


METRICS: dict[str, Metric] = {
    function.__name__: function for function in (accuracy, mean_absolute_error, root_mean_squared_error)
}


def as_metrics(metrics: Any) -> dict[str, Metric]:
    """Return metrics by name; TypeError or ValueError if they are none.

    Names of `METRICS` stand for themselves: in a list, or for what a mapping calls otherwise.
    """
    if isinstance(metrics, (list, tuple, set, frozenset)):
        return {name: _as_metric(name, name) for name in map(_as_name, metrics)}
    of_names = as_mapping(metrics, "metrics", "names to functions, or a list of names")
    return {name: _as_metric(metric, name) for name, metric in of_names.items()}


def _as_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"metrics: expected a list of names, got {name!r} in it")
    return name


def _as_metric(metric: Any, name: str) -> Metric:
    if isinstance(metric, str):
        if metric not in METRICS:
            raise ValueError(f"metrics: expected a function or one of {', '.join(METRICS)}, got {metric!r}")
        return METRICS[metric]
    if not callable(metric):
        raise TypeError(f"metrics: expected functions, got {metric!r} as {name!r}")
    known: Metric = metric
    return known


def _pairs(
    outputs: Sequence[ArrayLike], targets: Sequence[ArrayLike]
) -> Sequence[tuple[NDArray[Any], NDArray[Any]]]:
    if len(outputs) != len(targets):
        raise ValueError(f"targets: expected one for each of {len(outputs)} outputs, got {len(targets)}")
    return [(np.asarray(said), np.asarray(wanted)) for said, wanted in zip(outputs, targets, strict=True)]


def _errors(outputs: Sequence[ArrayLike], targets: Sequence[ArrayLike]) -> Array:
    """Return output - target, all numbers of all sequences."""
    errors = []
    for said, wanted in _pairs(outputs, targets):
        _check_alike(said, wanted)
        errors.append(np.subtract(said, wanted, dtype=np.float64).ravel())
    return np.concatenate(errors)


def _check_alike(said: NDArray[Any], wanted: NDArray[Any]) -> None:
    if said.shape != wanted.shape:
        raise ValueError(f"targets: expected shape {said.shape} as the output, got {wanted.shape}")
