"""What all predictors share: a model, what it reads, and what a file keeps of both."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..layers import Dropout, Linear
from ..model.checks import Array, as_size
from ..model.layer import Readout
from ..model.recurrent import Recurrent
from ..model.sequential import Sequential
from ._numbers import names_of
from ._plain import as_plain, entries


class Predictor:
    """Base of all that predicts in the user's units: the estimators, and what is loaded without scikit-learn.

    Attributes
    ----------
    model_ : Sequential
    n_features_in_ : int
        How many numbers a step has; of a table, how many columns.
    feature_names_in_ : array of str
        The columns of a DataFrame, where it was fitted with one.

    Examples
    --------
    >>> import os, tempfile, numpy as np, fastlstm
    >>> from fastlstm.estimators import LSTMRegressor
    >>> from fastlstm.predictors import Predictor
    >>> X = np.random.default_rng(0).standard_normal((20, 5, 2))
    >>> regressor = LSTMRegressor(hidden_size=4, epochs=2).fit(X, X[:, 0, 0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "regressor.safetensors")
    ...     fastlstm.save(regressor, path)
    ...     loaded = fastlstm.load(path)
    >>> isinstance(loaded, Predictor), bool((loaded.predict(X) == regressor.predict(X)).all())
    (True, True)
    """

    model_: Sequential
    n_features_in_: int
    feature_names_in_: NDArray[Any]
    _stored_parameters: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.model_!r}>"

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            name = type(self).__name__
            raise ValueError(f"model: expected a fitted {name}, got one whose fit was not called")

    def _check_features(self, named: Any, count: int, name: str) -> None:
        """Raise ValueError unless there are as many columns as in fit, of the same names if they have any."""
        if count != self.n_features_in_:
            raise ValueError(f"{name}: expected {self.n_features_in_} features as in fit, got {count}")
        names, known = names_of(named), getattr(self, "feature_names_in_", None)
        if names is not None and known is not None and list(names) != list(known):
            expected, got = ", ".join(known), ", ".join(names)
            raise ValueError(f"{name}: expected the features {expected}, in the order of fit, got {got}")

    def _warn_of_names(self, named: Any, name: str) -> None:
        """Warn where only one of what is read and what was fitted has names, as scikit-learn does."""
        has, had = names_of(named) is not None, hasattr(self, "feature_names_in_")
        kind = type(self).__name__
        if has and not had:
            warnings.warn(f"{name} has feature names, but {kind} was fitted without", stacklevel=5)
        if had and not has:
            warnings.warn(f"{name} has no feature names, but {kind} was fitted with them", stacklevel=5)

    # For a batcher: sequences that come one by one, and are answered together

    def _request(self, x: ArrayLike) -> Array:
        """Return a copy of what is to be answered; ValueError or TypeError if it can't be."""
        raise NotImplementedError

    def _answers(self, requests: Sequence[Array]) -> list[Any]:
        """Return the prediction for each request, each an object of its own."""
        raise NotImplementedError

    # What a file keeps

    def _parameters(self) -> Mapping[str, Any]:
        """Return what the estimator was made with."""
        return self._stored_parameters

    def _described(self) -> dict[str, Any]:
        """Return what JSON can hold of all but the model and the tensors; TypeError if it can't."""
        names = getattr(self, "feature_names_in_", None)
        return {
            "parameters": {name: as_plain(value, name) for name, value in self._parameters().items()},
            "features": self.n_features_in_,
            "names": None if names is None else [str(name) for name in names],
        }

    def _tensors(self) -> dict[str, Array]:
        """Return what a file keeps as arrays, beside the model's."""
        return {}

    def _restore(
        self, description: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], model: Sequential
    ) -> None:
        """Take over what `_described` and `_tensors` returned; ValueError or TypeError if it does not fit."""
        self.model_ = model
        self.n_features_in_ = as_size(description.get("features", 0), "features")
        names = description.get("names")
        if names is not None:
            if len(entries(names, "names", str)) != self.n_features_in_:
                raise ValueError(f"names: expected {self.n_features_in_}, got {len(names)}")
            self.feature_names_in_ = np.array(names, object)


def check_model(model: Sequential, inputs: int, outputs: int) -> None:
    """Raise ValueError unless it is a model that an estimator makes, of these sizes."""
    match [layer for layer in model.layers if not isinstance(layer, Dropout)]:
        case [Recurrent(input_size=reads), Readout(), Linear(out_features=gives)] if (reads, gives) == (
            inputs,
            outputs,
        ):
            return
    recurrent = f"an LSTM, GRU or RNN that reads {inputs} numbers"
    expected = f"{recurrent}, a readout, and a Linear that gives {outputs}"
    raise ValueError(f"model: expected {expected}, got {model!r}")
