"""Estimators in files: what a file says beside the model, and the estimator that is made of it.

Without scikit-learn, a predictor is made in the estimator's place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib.util import find_spec
from typing import Any

from numpy.typing import NDArray

from ..model.checks import Array, as_dict
from ..model.sequential import Sequential
from ..predictors import Classifier, Forecaster, Predictor, Regressor
from ..predictors._plain import from_plain

KINDS: dict[str, type[Predictor]] = {
    "LSTMClassifier": Classifier,
    "LSTMForecaster": Forecaster,
    "LSTMRegressor": Regressor,
}
"""What a file may name, and what predicts where scikit-learn is not installed."""

LATER: dict[str, dict[str, Any]] = {
    "LSTMClassifier": {"cell": "lstm"},
    "LSTMForecaster": {"cell": "lstm", "linear": False, "calibration_fraction": 0.0},
    "LSTMRegressor": {"cell": "lstm"},
}
"""Parameters that files of version 0.1 don't have, as such files mean them."""


def parts(predictor: Predictor) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return what a file says of an estimator, and the arrays it keeps beside the model's.

    Raises
    ------
    ValueError, TypeError
        If it was not fitted, or has what a file can't hold.
    """
    name = _name(predictor)
    predictor._check_fitted()
    return {"class": name} | predictor._described(), predictor._tensors()


def _name(predictor: Predictor) -> str:
    kind = type(predictor)
    for name, plain in KINDS.items():
        if kind is plain or (kind.__name__, kind.__module__.rpartition(".")[0]) == (
            name,
            "fastlstm.estimators",
        ):
            return name
    raise TypeError(f"model: expected {', '.join(KINDS)}, got {kind.__name__}")


def restored(description: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], model: object) -> Predictor:
    """Return the estimator that `parts` described; ValueError or TypeError if it is none."""
    name = description.get("class")
    if not isinstance(name, str) or name not in KINDS:
        raise ValueError(f"class: expected one of {', '.join(KINDS)}, got {name!r}")
    if not isinstance(model, Sequential):
        raise ValueError(f"model: expected a Sequential, got {type(model).__name__}")
    given = as_dict(description.get("parameters"), "parameters")
    predictor = _unfitted(name, {parameter: from_plain(value) for parameter, value in given.items()})
    predictor._restore(description, tensors, model)
    surplus = tensors.keys() - predictor._tensors().keys()
    if surplus:
        raise ValueError(f"tensors: expected those of {name}, surplus {', '.join(sorted(surplus))}")
    return predictor


def _unfitted(name: str, parameters: dict[str, Any]) -> Predictor:
    """Return an estimator of these parameters; without scikit-learn, what predicts in its place."""
    if find_spec("sklearn") is None:
        predictor = KINDS[name]()
        predictor._stored_parameters = parameters
        return predictor
    from .. import estimators

    kind: Any = getattr(estimators, name)
    parameters = LATER[name] | parameters
    expected = {field.name for field in fields(kind)}
    if parameters.keys() != expected:
        raise ValueError(f"parameters: expected {', '.join(sorted(expected))}, got {', '.join(parameters)}")
    estimator: Predictor = kind(**parameters)
    return estimator
