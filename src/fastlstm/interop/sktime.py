"""Our forecaster and classifier for sktime.

They need sktime: ``pip install 'fastlstm[sktime]'``.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

try:
    import pandas as pd
    from sktime.classification.base import BaseClassifier
    from sktime.forecasting.base import BaseForecaster
except ImportError as error:
    raise ImportError("fastlstm.interop.sktime needs sktime: pip install 'fastlstm[sktime]'") from error

from .. import estimators
from ..model.checks import Array
from .parameters import estimator_of, takes_parameters_of

__all__ = ["LSTMClassifier", "LSTMForecaster"]


@takes_parameters_of(estimators.LSTMForecaster)
class LSTMForecaster(BaseForecaster):
    """`fastlstm.estimators.LSTMForecaster` as a forecaster of sktime, with intervals.

    Parameters
    ----------
    horizon, window, quantiles, seasonal_period, linear, calibration_fraction, hidden_size, num_layers, \
bidirectional, dropout, readout, epochs, batch_size, learning_rate, weight_decay, max_norm, \
validation_fraction, patience, warm_start, random_state, verbose, cell
        As `fastlstm.estimators.LSTMForecaster` takes them.

    Attributes
    ----------
    estimator_ : fastlstm.estimators.LSTMForecaster

    Notes
    -----
    Steps are taken for equally spaced, whatever the index is. Of `fh`, steps up to `horizon` are forecast at
    once; those beyond go on from their own forecasts, and their quantiles are those of sampled paths. Steps
    in sample are forecast one step ahead from what was before them; before the first step the series is
    taken for constant. Exogenous X is read as far as it is known together with y, as more variables of the
    windows: what is given of it for the steps to come is not read, and need not be given.

    `update` goes once through the new steps (`partial_fit`), or with `update_params=False` only takes them
    for known. Probabilities must be between the least and the greatest of `quantiles`.

    Examples
    --------
    >>> import warnings
    >>> warnings.simplefilter("ignore", FutureWarning)  # sktime's, of a default that will change
    >>> import numpy as np, pandas as pd
    >>> from fastlstm.interop.sktime import LSTMForecaster
    >>> index = pd.period_range("2000-01", periods=96, freq="M")
    >>> y = pd.Series(np.sin(np.arange(96) * 2 * np.pi / 12), index=index)
    >>> forecaster = LSTMForecaster(horizon=6, window=12, random_state=0).fit(y)
    >>> forecaster.predict(fh=[1, 6]).index.astype(str).tolist()
    ['2008-01', '2008-06']
    >>> forecaster.predict_interval(fh=[1, 6], coverage=0.8).shape
    (2, 2)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": ["The fastlstm developers"],
        "python_dependencies": ["scikit-learn"],
        "y_inner_mtype": "pd.DataFrame",
        "X_inner_mtype": "pd.DataFrame",
        "capability:multivariate": True,
        "capability:exogenous": True,
        "capability:categorical_in_X": False,
        "capability:insample": True,
        "capability:pred_int": True,
        "capability:pred_int:insample": True,
        "capability:update": True,
        "capability:random_state": True,
        "requires-fh-in-fit": False,
    }

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters that sktime's checks are run with."""
        small = {"hidden_size": 4, "epochs": 2, "window": 4, "random_state": 0}
        return [small | {"horizon": 2}, small | {"horizon": 3, "seasonal_period": 2, "cell": "gru"}]

    def _fit(self, y: Any, X: Any, fh: Any) -> Self:
        self._known = _joined(y, X)
        self._variables = y.columns
        self._reads_x = X is not None
        self.estimator_ = estimator_of(self, estimators.LSTMForecaster).fit(self._values())
        return self

    def _update(self, y: Any, X: Any = None, update_params: bool = True) -> Self:
        if (X is not None) != self._reads_x:
            raise ValueError(f"X: expected {'X as in fit' if self._reads_x else 'none, as in fit'}")
        new = _joined(y, X)
        self._known = pd.concat([self._known[~self._known.index.isin(new.index)], new]).sort_index()
        windows = self.estimator_._windows
        if update_params:
            learned = windows.needed + windows.horizon - 1 + len(new)  # the windows whose last step is new
            self.estimator_.partial_fit(self._values()[-learned:])
        return self

    def _values(self) -> Array:
        return np.asarray(self._known.to_numpy(np.float64))

    def _predict(self, fh: Any, X: Any) -> Any:
        rows = self._rows(fh, [0.5], medians=True)[:, :, 0]
        return pd.DataFrame(rows, index=fh.to_absolute_index(self.cutoff), columns=self._variables)

    def _predict_quantiles(self, fh: Any, X: Any, alpha: list[float]) -> Any:
        rows = self._rows(fh, alpha, medians=False)
        columns = self._get_columns(method="predict_quantiles", alpha=alpha)
        index = fh.to_absolute_index(self.cutoff)
        return pd.DataFrame(rows.reshape(len(rows), -1), index=index, columns=columns)

    def _rows(self, fh: Any, probabilities: list[float], *, medians: bool) -> Array:
        """Return quantiles of the steps of a horizon, (steps, variables, Q)."""
        steps = np.asarray(fh.to_relative(self.cutoff).to_pandas(), np.int64)
        values, n = self._values(), len(self._variables)
        rows = np.empty((len(steps), n, len(probabilities)))
        ahead = steps > 0
        if not ahead.all():
            rows[~ahead] = self._in_sample(values, steps[~ahead] - 1 + len(values), probabilities)[:, :n]
        if ahead.any():
            horizon = int(steps.max())
            if medians:
                told = [self.estimator_.predict(values, horizon)]
            else:
                told = self.estimator_.predict_quantiles(probabilities, values, horizon)
            rows[ahead] = np.stack(told, axis=2)[steps[ahead] - 1, :n]
        return rows

    def _in_sample(self, values: Array, places: NDArray[np.int64], probabilities: list[float]) -> Array:
        """Return quantiles of known steps, each forecast from those before it, (steps, variables, Q)."""
        if places.min() < 0:
            raise ValueError(f"fh: expected steps of the {len(values)} known, got some before them")
        needed = self.estimator_._windows.needed
        before = np.concatenate([np.repeat(values[:1], needed, axis=0), values])
        told = self.estimator_.quantiles_at(before, places + needed, probabilities)
        return np.asarray(told[:, 0])


def _joined(y: Any, X: Any) -> Any:
    """Return y and X as one frame."""
    return y if X is None else pd.concat([y, X], axis=1)


@takes_parameters_of(estimators.LSTMClassifier)
class LSTMClassifier(BaseClassifier):
    """`fastlstm.estimators.LSTMClassifier` as a classifier of sktime, for series of different lengths, too.

    Parameters
    ----------
    hidden_size, num_layers, bidirectional, dropout, readout, epochs, batch_size, learning_rate, \
weight_decay, max_norm, validation_fraction, patience, warm_start, random_state, verbose, cell, class_weight
        As `fastlstm.estimators.LSTMClassifier` takes them.

    Attributes
    ----------
    estimator_ : fastlstm.estimators.LSTMClassifier

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.interop.sktime import LSTMClassifier
    >>> X = np.random.default_rng(0).standard_normal((60, 2, 10))  # sequences, variables, steps
    >>> y = np.where(X[:, 0].sum(axis=1) > 0, "up", "down")
    >>> LSTMClassifier(hidden_size=16, random_state=0).fit(X, y).predict(X[:4]).shape
    (4,)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": ["The fastlstm developers"],
        "python_dependencies": ["scikit-learn"],
        "X_inner_mtype": "df-list",
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:predict_proba": True,
        "capability:random_state": True,
    }

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters that sktime's checks are run with."""
        small = {"hidden_size": 4, "epochs": 3, "random_state": 0}
        return [small, small | {"cell": "gru", "readout": "last", "bidirectional": False}]

    def _fit(self, X: list[Any], y: NDArray[Any]) -> Self:
        self.estimator_ = estimator_of(self, estimators.LSTMClassifier).fit(_arrays(X), y)
        return self

    def _predict(self, X: list[Any]) -> NDArray[Any]:
        return np.asarray(self.estimator_.predict(_arrays(X)))

    def _predict_proba(self, X: list[Any]) -> Array:
        return np.asarray(self.estimator_.predict_proba(_arrays(X)))


def _arrays(frames: list[Any]) -> list[Array]:
    """Return the steps of sequences without the names of their variables, of which sktime takes care."""
    return [np.asarray(frame.to_numpy()) for frame in frames]
