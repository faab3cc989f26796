"""What all estimators share: their parameters, the model these describe, and how it learns."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from .._arrays import as_nonnegative, as_positive, as_probability, as_share
from ..layers import Dropout, LastStep, Linear, MaxOverTime, MeanOverTime
from ..recurrent import LSTM
from ..sequential import Sequential
from ..training import AdamW, History, fit
from ..training.objective import Loss

READOUTS = {"last": LastStep, "mean": MeanOverTime, "max": MaxOverTime}


@dataclass(kw_only=True, eq=False, repr=False)
class LSTMEstimator(BaseEstimator):
    """Base of the estimators: an LSTM, a readout, dropout and a linear layer, trained with AdamW.

    The parameters are fields, which gives each subclass the constructor that scikit-learn asks for: it
    stores what it is given, and nothing is checked before `fit`.
    """

    hidden_size: int = 64
    num_layers: int = 1
    bidirectional: bool = False
    dropout: float = 0.0
    readout: str = "last"
    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    max_norm: float | None = 1.0
    validation_fraction: float = 0.0
    patience: int | None = None
    warm_start: bool = False
    random_state: int | np.random.RandomState | None = None
    verbose: bool = False

    def _check_parameters(self) -> None:
        """Raise ValueError or TypeError for what layers and `fastlstm.fit` know by another name."""
        as_probability(self.dropout, "dropout")
        as_positive(self.learning_rate, "learning_rate")
        as_nonnegative(self.weight_decay, "weight_decay")
        as_share(self.validation_fraction, "validation_fraction")
        if self.readout not in READOUTS:
            raise ValueError(f"readout: expected one of {', '.join(READOUTS)}, got {self.readout!r}")

    def _is_new(self, partial: bool) -> bool:
        """Return whether the next fit makes a new model."""
        return not hasattr(self, "model_") or not (partial or self.warm_start)

    def _prepare(self, input_size: int, output_size: int, partial: bool) -> None:
        """Have a model and an optimiser: new ones, or those that go on."""
        shape = {"inputs": input_size, "outputs": output_size}
        names = ("hidden_size", "num_layers", "bidirectional", "dropout", "readout")
        shape |= {name: getattr(self, name) for name in names}
        if self._is_new(partial):
            self._rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
            self.model_ = self._model(input_size, output_size)
            self._shape = shape
        elif shape != self._shape:
            raise ValueError(f"model: expected {self._shape} as before, got {shape}")
        if not partial or not hasattr(self, "_optimizer"):
            self._optimizer = AdamW([self.model_], self.learning_rate, weight_decay=self.weight_decay)

    def _model(self, input_size: int, output_size: int) -> Sequential:
        of_lstm, of_dropout, of_linear = self._rng.spawn(3)
        lstm = LSTM(
            input_size,
            self.hidden_size,
            self.num_layers,
            batch_first=True,
            dropout=self.dropout if self.num_layers > 1 else 0.0,
            bidirectional=self.bidirectional,
            rng=of_lstm,
        )
        dropout = [Dropout(self.dropout, rng=of_dropout)] if self.dropout else []
        linear = Linear(lstm.directions * lstm.output_size, output_size, rng=of_linear)
        return Sequential(lstm, READOUTS[self.readout](), *dropout, linear)

    def _learn(
        self, training: Sequence[Any], validation: Sequence[Any] | None, loss: Loss, partial: bool
    ) -> None:
        """Train the model: once through the data if `partial`, else as the parameters say."""
        history = fit(
            self.model_,
            training,
            loss,
            optimizer=self._optimizer,
            epochs=1 if partial else self.epochs,
            batch_size=self.batch_size,
            validation=validation,
            patience=None if partial else self.patience,
            max_norm=self.max_norm,
            progress=bool(self.verbose),
            rng=self._rng,
        )
        if partial and hasattr(self, "history_"):
            history = joined(self.history_, history)
        self.history_: History = history
        if history.stopped == "interrupted":
            warnings.warn("fit: interrupted; the model has what was learned until then", stacklevel=5)


def joined(*histories: History) -> History:
    """Return the epochs of several trainings as those of one."""
    whole = History()
    for history in histories:
        whole.append_all(history)
        whole.stopped = history.stopped
    return whole


@contextmanager
def unchanged_if_refused(estimator: LSTMEstimator) -> Iterator[None]:
    """Give an estimator the attributes back that it had, if the block raises."""
    before = estimator.__dict__.copy()
    try:
        yield
    except BaseException:
        estimator.__dict__ = before
        raise
