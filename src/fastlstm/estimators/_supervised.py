"""What the classifier and the regressor share: sequences, and a target for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import train_test_split

from ..model.checks import Array, _as_array, check_shape
from ..predictors._numbers import check_convertible
from ..predictors.sequences import SequencePredictor
from ..training.objective import Loss
from ._base import LSTMEstimator, unchanged_if_refused
from ._sequences import as_sequences


@dataclass
class Targets:
    """What a model learns of its sequences.

    Attributes
    ----------
    values : array (N, ...)
    loss : Loss
        Of the model's output and the values.
    weight : array (N,), or None
        How much each counts.
    outputs : int
        How many numbers the model has to give.
    strata : array (N,), or None
        What validation should have the same shares of.
    """

    values: NDArray[Any]
    loss: Loss
    weight: Array | None
    outputs: int
    strata: NDArray[Any] | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class SupervisedEstimator(LSTMEstimator, SequencePredictor):
    """Base of the estimators that learn a target for each sequence."""

    bidirectional: bool = True
    readout: str = "max"

    def _targets(self, y: ArrayLike, weight: Array | None, partial: bool) -> Targets:
        """Return y as targets; note what it is, or compare with what was noted."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on sequences and their targets.

        Parameters
        ----------
        X : array (N, T, I), list of N arrays or DataFrames (T_k, I), DataFrame or table (N, T)
            N sequences of steps of I numbers. The DataFrames of a list have a row for each step, and the same
            columns in one order. The index of a single DataFrame has two levels, (sequence, step); its
            sequences come in the order in which they begin, their steps sorted. A DataFrame with a plain
            index, or a 2-D array, is a table: each row a sequence of T steps of one number.
        y : array (N,); of a regressor also (N, K)
            The target of each sequence.
        sample_weight : array (N,), optional
            How much each sequence counts, 0 or more.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If an argument or a parameter is not as it should be; the estimator is as it was.
        FloatingPointError, KeyboardInterrupt
            If the loss is no longer a number, or at Ctrl-C; the estimator is as it was.
        """
        return self._fit(X, y, sample_weight, partial=False)

    def _fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None, partial: bool) -> Self:
        with unchanged_if_refused(self):
            self._check_parameters()
            x = as_sequences(self, X, reset=self._is_new(partial))
            self._check_count(y, len(x))
            weight = None if sample_weight is None else as_weight(sample_weight, "sample_weight", len(x))
            targets = self._targets(y, weight, partial)
            self._prepare(x[0].shape[1], targets.outputs, partial)
            training, validation = (x, targets.values, targets.weight), None
            if self.validation_fraction and not partial:
                training, validation = self._split(x, targets)
            self._learn(training, validation, targets.loss, partial)
        return self

    def _check_count(self, y: ArrayLike, count: int) -> None:
        if y is None:
            name = type(self).__name__
            raise ValueError(f"y: This {name} estimator requires y to be passed, but the target y is None")
        shape = _as_array(y, "y").shape
        if shape[:1] != (count,):
            raise ValueError(f"y: expected one for each of {count} sequences, got shape {shape}")

    def _split(self, x: list[Array], targets: Targets) -> tuple[Any, Any]:
        """Return sequences, targets and weights to train with, and those to validate with."""
        weights = [] if targets.weight is None else [targets.weight]
        try:
            parts = train_test_split(
                x,
                targets.values,
                *weights,
                test_size=self.validation_fraction,
                stratify=targets.strata,
                random_state=int(self._rng.integers(2**31)),
            )
        except ValueError as error:
            expected = "a share that leaves sequences, of each class if there are any, on both sides"
            given = self.validation_fraction
            raise ValueError(f"validation_fraction: expected {expected}, got {given} ({error})") from error
        return tuple(parts[0::2]), tuple(parts[1::2])

    def _sequences(self, X: Any) -> list[Array]:
        self._check_fitted()
        return as_sequences(self, X, reset=False)


def as_weight(value: ArrayLike, name: str, count: int) -> Array:
    """Return how much each sequence counts; ValueError or TypeError if that is nothing at all."""
    check_convertible(value, name)
    weight = np.asarray(value, np.float64)
    check_shape(weight, name, (count,))
    if not (weight >= 0).all() or not np.isfinite(weight).all() or not weight.any():
        raise ValueError(f"{name}: expected finite numbers of at least 0, not all zero")
    return weight
