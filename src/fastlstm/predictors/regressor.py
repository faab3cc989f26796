"""Sequences to numbers, once these were learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from ..model.checks import Array, as_size
from ..model.sequential import Sequential
from ._scaling import Standardisation
from .sequences import SequencePredictor


class Regressor(SequencePredictor):
    """Gives numbers for sequences; what is left of an `LSTMRegressor` without scikit-learn.

    Attributes
    ----------
    scaler_ : fastlstm.predictors.Standardisation
        From targets to standardised ones.
    """

    scaler_: Standardisation
    _target_shape: tuple[int, ...]

    def predict(self, X: Any) -> Array:
        """Return the targets that the model expects.

        Parameters
        ----------
        X : as `fit` takes it

        Returns
        -------
        array (N,), or (N, K) if y had K columns
        """
        return self._of_outputs(self._outputs(X))

    def _of_outputs(self, outputs: Array) -> Array:
        return self.scaler_.inverse_transform(outputs).reshape(len(outputs), *self._target_shape)

    @property
    def _output_size(self) -> int:
        return self._target_shape[0] if self._target_shape else 1

    def _described(self) -> dict[str, Any]:
        columns = self._target_shape[0] if self._target_shape else None
        return super()._described() | {"columns": columns}

    def _tensors(self) -> dict[str, Array]:
        return self.scaler_.tensors("scaler")

    def _restore(
        self, description: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], model: Sequential
    ) -> None:
        columns = description.get("columns")
        self._target_shape = () if columns is None else (as_size(columns, "columns"),)
        super()._restore(description, tensors, model)
        self.scaler_ = Standardisation.stored(tensors, "scaler", self._output_size)
