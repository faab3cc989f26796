"""Sequences to classes, once these were learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.checks import Array, as_dict
from ..model.sequential import Sequential
from ._plain import entries
from .sequences import SequencePredictor

LABELS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "object": (str,),
    "bool": (bool,),
    **{f"{sign}int{bits}": (int,) for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": (float,) for bits in (16, 32, 64)},
}
"""By the name of an array's dtype: of which kinds labels may be in a file."""

CHARACTERS = 1 << 24
"""How many an array of strings may have: each takes as much room as the longest."""


class Classifier(SequencePredictor):
    """Tells classes of sequences apart; what is left of an `LSTMClassifier` without scikit-learn.

    Attributes
    ----------
    classes_ : array (C,)
    """

    classes_: NDArray[Any]

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each sequence, (N,)."""
        return self._of_outputs(self._outputs(X))

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class for each sequence.

        Parameters
        ----------
        X : as `fit` takes it

        Returns
        -------
        array (N, C)
            In the order of `classes_`.
        """
        return self._probabilities(self._outputs(X))

    def _probabilities(self, outputs: Array) -> Array:
        from scipy.special import softmax  # takes as long as all that a server imports of this package

        probabilities: Array = softmax(outputs, axis=1)
        return probabilities

    def _of_outputs(self, outputs: Array) -> NDArray[Any]:
        classes: NDArray[Any] = self.classes_[self._probabilities(outputs).argmax(axis=1)]
        return classes

    @property
    def _output_size(self) -> int:
        return len(self.classes_)

    def _described(self) -> dict[str, Any]:
        return super()._described() | {"classes": _described_labels(self.classes_)}

    def _restore(
        self, description: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], model: Sequential
    ) -> None:
        self.classes_ = _stored_labels(as_dict(description.get("classes"), "classes"))
        super()._restore(description, tensors, model)


def _described_labels(classes: NDArray[Any]) -> dict[str, Any]:
    dtype = "str" if classes.dtype.kind == "U" else classes.dtype.name
    labels = classes.tolist()
    if dtype not in LABELS or not all(isinstance(label, LABELS[dtype]) for label in labels):
        expected = "strings, integers, booleans or floats, which a file can hold"
        raise TypeError(f"classes: expected {expected}, got {classes!r}")
    _check_characters(labels)
    return {"dtype": dtype, "labels": labels}


def _check_characters(labels: list[Any]) -> None:
    """Raise ValueError if the labels of a few bytes each would take the room of a few long ones."""
    longest = max((len(label) for label in labels if isinstance(label, str)), default=0)
    if longest * len(labels) > CHARACTERS:
        expected = f"at most {CHARACTERS} characters, all as long as the longest"
        raise ValueError(f"labels: expected {expected}, got {len(labels)} of {longest}")


def _stored_labels(description: Mapping[str, Any]) -> NDArray[Any]:
    """Return the classes that a file names; ValueError if they are none."""
    dtype = description.get("dtype")
    if not isinstance(dtype, str) or dtype not in LABELS:
        raise ValueError(f"dtype of classes: expected one of {', '.join(LABELS)}, got {dtype!r}")
    labels = entries(description.get("labels"), "labels", *LABELS[dtype])
    _check_characters(labels)
    try:
        classes = np.array(labels, dtype)
    except OverflowError as error:
        raise ValueError(f"labels: expected numbers of {dtype} ({error})") from error
    if not np.array_equal(np.unique(classes), classes):
        raise ValueError(f"labels: expected each once, in order, got {classes}")
    return classes
