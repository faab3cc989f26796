"""X as scikit-learn checks it: its sentences, its names of features, its warnings."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from ..model.checks import Array
from ..predictors._numbers import check_convertible
from ..predictors._rows import Rows, rows_of


def as_sequences(estimator: Any, X: Any, *, reset: bool) -> list[Array]:
    """Return sequences (T_k, I) of float32; note what an estimator reads, or compare.

    Parameters
    ----------
    estimator, X, reset
        As `checked_rows` takes them.

    Raises
    ------
    ValueError, TypeError
        As `checked_rows`.
    """
    rows, checked = checked_rows(estimator, X, np.float32, reset=reset)
    return rows.cut(checked)


def checked_rows(estimator: Any, X: Any, dtype: Any, *, reset: bool) -> tuple[Rows, Array]:
    """Return the steps of sequences, and their numbers (steps, I); of a table (N, T).

    Parameters
    ----------
    estimator : BaseEstimator
        Has or gets `n_features_in_` and, from a frame or a list of frames, `feature_names_in_`.
    X : table, array, list of arrays or frames, or frame
        As `LSTMClassifier.fit` takes it.
    dtype : dtype, or several
        What the numbers become, unless they are of one of these.
    reset : bool
        Whether to note rather than to compare.

    Raises
    ------
    ValueError, TypeError
        If X is none of these, has numbers that are not finite, or is not as noted.
    """
    rows = rows_of(X)
    if reset:
        estimator._reads_table = rows.is_table
    else:
        rows.check_kind(estimator._reads_table)
    check_convertible(rows.values, "X")
    least = 1 if rows.is_table else 0  # of a sequence all steps may be missing
    checked = check_array(
        rows.values, input_name="X", estimator=estimator, dtype=dtype, ensure_min_samples=least
    )
    # The steps of a list are one array, which has lost the names that the list's frames have.
    validate_data(estimator, rows.named, reset=reset, skip_check_array=True)
    return rows, checked
