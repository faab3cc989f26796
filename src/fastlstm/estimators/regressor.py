"""Sequences to numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils import check_array

from ..model.checks import Array
from ..predictors import Regressor
from ..predictors._numbers import check_convertible
from ..training import mean_squared_error
from ._scaling import standardisation
from ._supervised import SupervisedEstimator, Targets


@dataclass(kw_only=True, eq=False, repr=False)
class LSTMRegressor(RegressorMixin, SupervisedEstimator, Regressor):
    """An LSTM from sequences to one number or several.

    It learns targets standardised by the mean and deviation of those it is given first, so their scale
    and unit don't matter; `model_` gives, and `history_` has the squared errors of, standardised ones.

    Parameters
    ----------
    hidden_size, num_layers, bidirectional, dropout, readout, epochs, batch_size, learning_rate, \
weight_decay, max_norm, validation_fraction, patience, warm_start, random_state, verbose, cell
        As `LSTMClassifier` takes them.

    Attributes
    ----------
    model_ : Sequential
        From sequences to standardised targets.
    scaler_ : fastlstm.predictors.Standardisation
        From targets to standardised ones: `mean_`, `scale_`, `transform` and `inverse_transform`.
    history_ : History
    n_features_in_ : int
        How many numbers a step has; of a table, how many columns.
    feature_names_in_ : array of str
        The columns of a DataFrame, or of a list of them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.estimators import LSTMRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((60, 10, 2))
    >>> y = 100 + 20 * X[:, :, 0].mean(axis=1)
    >>> regressor = LSTMRegressor(hidden_size=16, random_state=0).fit(X, y)
    >>> regressor.score(X, y) > 0.9
    True
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def partial_fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Go once through some sequences, with the model and the optimiser as the last call left them.

        Targets remain standardised by the first call's mean and deviation.

        Parameters
        ----------
        X, y, sample_weight
            As `fit` takes them.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As `fit`.
        """
        return self._fit(X, y, sample_weight, partial=True)

    def _targets(self, y: ArrayLike, weight: Array | None, partial: bool) -> Targets:
        check_convertible(y, "y")
        given = check_array(y, input_name="y", ensure_2d=False, dtype=np.float64)
        columns = given.reshape(len(given), -1)
        if self._is_new(partial):
            self.scaler_ = standardisation(columns, "y", weight)
            self._target_shape = given.shape[1:]
        elif given.shape[1:] != self._target_shape:
            raise ValueError(f"y: expected shape (N, *{self._target_shape}) as before, got {given.shape}")
        values = self.scaler_.transform(columns).astype(np.float32)
        return Targets(values, mean_squared_error, weight, values.shape[1])
