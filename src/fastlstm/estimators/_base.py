"""What all estimators share: their parameters, the model these describe, and how it learns."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..layers import Dropout, LastStep, Linear, MaxOverTime, MeanOverTime
from ..model.checks import as_nonnegative, as_positive, as_probability, as_share
from ..model.gru import GRU
from ..model.lstm import LSTM
from ..model.recurrent import Recurrent
from ..model.rnn import RNN
from ..model.sequential import Sequential
from ..predictors import Predictor
from ..training import AdamW, History, fit
from ..training.objective import Loss

CELLS: dict[str, type[LSTM] | type[GRU] | type[RNN]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
READOUTS = {"last": LastStep, "mean": MeanOverTime, "max": MaxOverTime}


@dataclass(kw_only=True, eq=False, repr=False)
class LSTMEstimator(BaseEstimator, Predictor):
    """Base of the estimators: an LSTM or its like, a readout, dropout and a linear layer, trained with AdamW.

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
    cell: str = "lstm"

    def _check_parameters(self) -> None:
        """Raise ValueError or TypeError for what layers and `fastlstm.fit` know by another name."""
        as_probability(self.dropout, "dropout")
        as_positive(self.learning_rate, "learning_rate")
        as_nonnegative(self.weight_decay, "weight_decay")
        as_share(self.validation_fraction, "validation_fraction")
        for name in ("bidirectional", "warm_start"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise TypeError(f"{name}: expected True or False, got {getattr(self, name)!r}")
        for name, known in (("readout", READOUTS), ("cell", CELLS)):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}")

    def _is_new(self, partial: bool) -> bool:
        """Return whether the next fit makes a new model."""
        return not hasattr(self, "model_") or not (partial or self.warm_start)

    def _prepare(self, input_size: int, output_size: int, partial: bool) -> None:
        """Have a model and an optimiser: new ones, or those that go on."""
        if self._is_new(partial):
            self._rng = self._generator()
            self.model_ = self._model(input_size, output_size)
        else:
            self._check_shape(input_size, output_size)
            # What goes on learns as a copy, so that a fit which comes to nothing leaves what was there.
            going_on = ("model_", "_rng", "_optimizer")
            self.__dict__ |= copy.deepcopy(
                {name: getattr(self, name) for name in going_on if hasattr(self, name)}
            )
        if not partial or not hasattr(self, "_optimizer"):
            self._optimizer = AdamW([self.model_], self.learning_rate, weight_decay=self.weight_decay)

    def _generator(self) -> np.random.Generator:
        try:
            state = check_random_state(self.random_state)
        except ValueError as error:
            expected = "an integer, a RandomState or None"
            raise ValueError(f"random_state: expected {expected}, got {self.random_state!r}") from error
        return np.random.default_rng(state.randint(2**31 - 1))

    def _check_shape(self, input_size: int, output_size: int) -> None:
        """Raise ValueError unless the model that goes on is one that the parameters describe."""
        before = shape_of(self.model_)
        shape = {"inputs": input_size, "outputs": output_size}
        shape |= {name: getattr(self, name) for name in before if name not in shape}
        if shape != before:
            raise ValueError(f"model: expected {before} as before, got {shape}")

    def _model(self, input_size: int, output_size: int) -> Sequential:
        of_recurrent, of_dropout, of_linear = self._rng.spawn(3)
        recurrent = CELLS[self.cell](
            input_size,
            self.hidden_size,
            self.num_layers,
            batch_first=True,
            dropout=self.dropout if self.num_layers > 1 else 0.0,
            bidirectional=self.bidirectional,
            rng=of_recurrent,
        )
        dropout = [Dropout(self.dropout, rng=of_dropout)] if self.dropout else []
        linear = Linear(recurrent.directions * recurrent.output_size, output_size, rng=of_linear)
        return Sequential(recurrent, READOUTS[self.readout](), *dropout, linear)

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
        ).or_interrupt()
        if partial and hasattr(self, "history_"):
            history = joined(self.history_, history)
        self.history_: History = history

    # Predictions and files, as a predictor has them

    def _check_fitted(self) -> None:
        check_is_fitted(self, "model_")

    def _parameters(self) -> Mapping[str, Any]:
        parameters: Mapping[str, Any] = self.get_params(deep=False)
        return parameters

    def _restore(
        self, description: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], model: Sequential
    ) -> None:
        super()._restore(description, tensors, model)
        self._rng = self._generator()


def shape_of(model: Sequential) -> dict[str, Any]:
    """Return the sizes of a model that `LSTMEstimator` made, under the names of its parameters."""
    recurrent, readout, *dropout, linear = model.layers
    assert isinstance(recurrent, Recurrent)
    assert isinstance(linear, Linear)
    return {
        "inputs": recurrent.input_size,
        "outputs": linear.out_features,
        "cell": next(name for name, kind in CELLS.items() if isinstance(recurrent, kind)),
        "hidden_size": recurrent.hidden_size,
        "num_layers": recurrent.num_layers,
        "bidirectional": recurrent.bidirectional,
        "dropout": next((layer.p for layer in dropout if isinstance(layer, Dropout)), 0.0),
        "readout": next(name for name, kind in READOUTS.items() if isinstance(readout, kind)),
    }


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
