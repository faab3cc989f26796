"""What the classifier and the regressor share in prediction: sequences, and an answer for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..model.checks import Array
from ..model.predict import predict
from ..model.sequential import Sequential
from ._numbers import as_finite
from ._rows import rows_of
from .base import Predictor, check_model


class SequencePredictor(Predictor):
    """Base of the predictors that answer each sequence."""

    _reads_table: bool

    def _of_outputs(self, outputs: Array) -> NDArray[Any]:
        """Return the prediction for each row of the model's outputs."""
        raise NotImplementedError

    def _outputs(self, X: Any) -> Array:
        """Return the model's output for each sequence, as float64."""
        return self._outputs_of(self._sequences(X))

    def _outputs_of(self, sequences: Sequence[Array]) -> Array:
        return np.asarray(predict(self.model_, sequences), np.float64)

    def _sequences(self, X: Any) -> list[Array]:
        """Return sequences (T_k, I) of float32; ValueError or TypeError if they are not as in fit."""
        rows = rows_of(X)
        rows.check_kind(self._reads_table)
        checked = as_finite(rows.values, "X", np.float32)
        if checked.ndim != 2:
            raise ValueError(f"X: expected shape (N, {self.n_features_in_}), got {checked.shape}")
        self._check_features(rows.named, checked.shape[1], "X")
        self._warn_of_names(rows.named, "X")
        return rows.cut(checked)

    def _request(self, x: ArrayLike) -> Array:
        numbers = as_finite(x, "x", np.float32)
        axes, shape = (1, "(T,)") if self._reads_table else (2, "(T, I)")
        if numbers.ndim != axes:
            raise ValueError(f"x: expected shape {shape}, got {numbers.shape}")
        self._check_features(x, numbers.shape[-1], "x")
        return numbers[:, None] if self._reads_table else numbers

    def _answers(self, requests: Sequence[Array]) -> list[Any]:
        predictions = self._of_outputs(self._outputs_of(requests))
        # Rows of one array are copied: else each caller would keep all of it alive.
        return list(predictions) if predictions.ndim == 1 else [row.copy() for row in predictions]

    def _described(self) -> dict[str, Any]:
        return super()._described() | {"table": self._reads_table}

    def _restore(
        self, description: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], model: Sequential
    ) -> None:
        super()._restore(description, tensors, model)
        self._reads_table = description.get("table") is True
        check_model(model, 1 if self._reads_table else self.n_features_in_, self._output_size)

    @property
    def _output_size(self) -> int:
        """How many numbers the model has to give."""
        raise NotImplementedError
