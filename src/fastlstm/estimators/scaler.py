"""Sequences with mean 0 and deviation 1."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..model.checks import Array
from ..predictors import Standardisation
from ..predictors._rows import Rows
from ._scaling import standardisation
from ._sequences import checked_rows


class SequenceScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Standardises each variable of sequences over all steps of all of them, for a pipeline.

    Attributes
    ----------
    mean_, scale_ : float64 array (I,)
        What is taken off each variable, and then divided by; of a table one number each. A variable that
        never changes is divided by 1.
    n_features_in_ : int
        How many numbers a step has; of a table, how many columns.
    feature_names_in_ : array of str
        The columns of a DataFrame, or of a list of them.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from fastlstm.estimators import LSTMClassifier, SequenceScaler
    >>> rng = np.random.default_rng(0)
    >>> X = [1000 + 50 * rng.standard_normal((length, 2)) for length in rng.integers(5, 15, size=60)]
    >>> y = ["up" if sequence[:, 0].mean() > 1000 else "down" for sequence in X]
    >>> pipeline = make_pipeline(SequenceScaler(), LSTMClassifier(hidden_size=16, random_state=0))
    >>> pipeline.fit(X, y).score(X, y) > 0.9
    True
    """

    mean_: Array
    scale_: Array
    _reads_table: bool

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(self, X: Any, y: None = None) -> Self:
        """Learn mean and deviation of each variable.

        Parameters
        ----------
        X : array (N, T, I), list of N arrays or DataFrames (T_k, I), DataFrame or table (N, T)
            As `LSTMClassifier.fit` takes it, with at least one step.
        y : None
            There because pipelines hand it in.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If X is nothing of the kind, or has numbers that are not finite.
        """
        _, steps = self._steps(X, reset=True)
        if not len(steps):
            raise ValueError("X: expected sequences with at least one step, got none")
        learned = standardisation(steps, "X")
        self.mean_, self.scale_ = learned.mean_, learned.scale_
        return self

    def transform(self, X: Any) -> Any:
        """Return sequences standardised.

        Parameters
        ----------
        X : as `fit` takes it

        Returns
        -------
        array (N, T, I), list of N arrays (T_k, I), or table (N, T)
            An array for an array, a list for lists and for a DataFrame of steps; float32 for float32,
            else float64.

        Raises
        ------
        ValueError, TypeError
            As `fit`, or if X is not as in `fit`.
        """
        return self._changed(X, "transform")

    def inverse_transform(self, X: Any) -> Any:
        """Return standardised sequences as they were.

        Parameters
        ----------
        X : as `fit` takes it

        Returns
        -------
        As `transform`.

        Raises
        ------
        ValueError, TypeError
            As `transform`.
        """
        return self._changed(X, "inverse_transform")

    def _changed(self, X: Any, way: str) -> Any:
        check_is_fitted(self)
        rows, steps = self._steps(X, reset=False)
        changed: Array = getattr(Standardisation(self.mean_, self.scale_), way)(steps)
        changed = changed.astype(steps.dtype)
        if rows.is_table:
            return changed.reshape(-1, self.n_features_in_)
        return changed.reshape(X.shape) if getattr(X, "ndim", 0) == 3 else rows.cut(changed)

    def _steps(self, X: Any, *, reset: bool) -> tuple[Rows, Array]:
        """Return the steps of sequences as rows, and as numbers (steps, I)."""
        rows, checked = checked_rows(self, X, (np.float64, np.float32), reset=reset)
        return rows, checked.reshape(-1, 1) if rows.is_table else checked
