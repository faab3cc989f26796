"""Sequences to classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, column_or_1d

from ..model.checks import Array, _as_array
from ..predictors import Classifier
from ..predictors._numbers import check_convertible
from ..training import softmax_cross_entropy
from ._base import unchanged_if_refused
from ._supervised import SupervisedEstimator, Targets, as_weight


@dataclass(kw_only=True, eq=False, repr=False)
class LSTMClassifier(ClassifierMixin, SupervisedEstimator, Classifier):
    """An LSTM that tells classes of sequences apart.

    Parameters
    ----------
    hidden_size : int, default 64
        Of each layer and direction.
    num_layers : int, default 1
    bidirectional : bool, default True
        Whether sequences are read in both directions.
    dropout : float, default 0.0
        Between layers, and before the last.
    readout : {"last", "mean", "max"}, default "max"
        What the classes are told from: the last step's output, or the mean or maximum over all steps.
    epochs : int, default 50
        How often all sequences are gone through.
    batch_size : int, default 32
    learning_rate : float, default 3e-3
        AdamW's.
    weight_decay : float, default 0.0
        AdamW's.
    max_norm : float or None, default 1.0
        What the norm of a step's gradients is held to.
    validation_fraction : float, default 0.0
        What share of the sequences is kept apart, for a loss at the end of each epoch.
    patience : int, optional
        After how many epochs without a smaller validation loss (training loss, without validation) to
        stop, with the best epoch's weights.
    warm_start : bool, default False
        Whether `fit` goes on with the model of the last one.
    random_state : int, RandomState or None
        Draws weights, batches, dropout and what is kept apart.
    verbose : bool, default False
        Whether to show a bar.
    cell : {"lstm", "gru", "rnn"}, default "lstm"
        What the layers are: `LSTM`, `GRU` or `RNN`.
    class_weight : "balanced", dict or None
        How much each class counts; "balanced" makes all count the same.

    Attributes
    ----------
    classes_ : array (C,)
    model_ : Sequential
        From sequences to logits.
    history_ : History
    n_features_in_ : int
        How many numbers a step has; of a table, how many columns.
    feature_names_in_ : array of str
        The columns of a DataFrame, or of a list of them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.estimators import LSTMClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.standard_normal((length, 2)) for length in rng.integers(5, 15, size=60)]
    >>> y = ["up" if sequence[:, 0].sum() > 0 else "down" for sequence in X]
    >>> classifier = LSTMClassifier(hidden_size=16, random_state=0).fit(X, y)
    >>> classifier.score(X, y) > 0.9
    True
    >>> classifier.predict_proba(X[:3]).shape
    (3, 2)
    """

    class_weight: str | Mapping[Any, float] | None = None

    def partial_fit(
        self, X: Any, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Go once through some sequences, with the model and the optimiser as the last call left them.

        Parameters
        ----------
        X, y, sample_weight
            As `fit` takes them.
        classes : array (C,)
            All classes that there will be; needed in the first call only.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As `fit`; if there are no classes in the first call, or others than in it; or if
            `class_weight` is "balanced", which some sequences can't tell.
        """
        if self.class_weight == "balanced":
            raise ValueError('class_weight: expected None or a dict with partial_fit, got "balanced"')
        with unchanged_if_refused(self):
            self._note_classes(classes)
            return self._fit(X, y, sample_weight, partial=True)

    def _note_classes(self, classes: ArrayLike | None) -> None:
        first = not hasattr(self, "model_")
        if classes is None and first:
            raise ValueError("classes: expected all classes in the first call of partial_fit, got None")
        if first:
            self.classes_ = _classes(classes)
        elif classes is not None and not np.array_equal(_classes(classes), self.classes_):
            raise ValueError(f"classes: expected {self.classes_} as before, got {classes}")

    def _targets(self, y: ArrayLike, weight: Array | None, partial: bool) -> Targets:
        _check_one_kind(y, "y")
        labels = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        if self._is_new(partial) and not partial:
            self.classes_ = np.unique(labels)
        unknown = np.setdiff1d(labels, self.classes_)
        if unknown.size:
            raise ValueError(f"y: expected labels among {self.classes_}, got {unknown[0]!r}")
        codes = np.searchsorted(self.classes_, labels)
        if self.class_weight is not None:
            if isinstance(self.class_weight, Mapping):
                check_convertible(list(self.class_weight.values()), "class_weight")
            by_class = compute_class_weight(self.class_weight, classes=self.classes_, y=labels)
            by_sequence = by_class[codes] * (1.0 if weight is None else weight)
            weight = as_weight(by_sequence, "class_weight", len(labels))
        return Targets(codes, softmax_cross_entropy, weight, len(self.classes_), strata=codes)


def _classes(given: Any) -> NDArray[Any]:
    """Return all classes, each once, in order; ValueError or TypeError if there are none."""
    _check_one_kind(given, "classes")
    labels = _as_array(given, "classes")
    if labels.ndim != 1 or not len(labels):
        raise ValueError(f"classes: expected shape (C,), at least one, got {labels.shape}")
    return np.unique(labels)


def _check_one_kind(labels: Any, name: str) -> None:
    """Raise TypeError if labels are of several kinds: NumPy would make strings of numbers among strings."""
    entries = labels if isinstance(labels, (list, tuple)) else _as_array(labels, name)
    if isinstance(entries, np.ndarray) and (entries.dtype != object or not entries.ndim):
        return
    kinds = sorted({_kind(label) for label in entries})
    if len(kinds) > 1:
        raise TypeError(f"{name}: expected labels of one kind, got {' and '.join(kinds)}")


def _kind(label: object) -> str:
    if isinstance(label, str):
        return "strings"
    return "numbers" if isinstance(label, (bool, int, float, np.bool_, np.number)) else type(label).__name__
