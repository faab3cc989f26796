"""What else happens while a model is trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import ArrayLike

from ..model.base import Model
from .averaging import WeightAverage
from .history import History
from .optimizers import Optimizer


class Progress:
    """Where a training stands, for callbacks.

    Attributes
    ----------
    model : LSTM, RNN or Sequential
    optimizer : Optimizer
    history : History
        Of all epochs and steps until here.
    loss : float
        Of the last step's batch.
    norm : float
        Of the last step's gradients, before they were clipped.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.training import Progress, mean_squared_error
    >>> def once_small(progress: Progress) -> None:
    ...     if progress.history["loss"][-1] < 1e-3:
    ...         progress.stop("small enough")
    >>> model, x = fastlstm.LSTM(1, 1, rng=0), np.zeros((4, 3, 1))
    >>> fastlstm.fit(model, (x, x), mean_squared_error, epochs=1000, callbacks=[once_small]).stopped
    'small enough'
    """

    def __init__(self, model: Model, optimizer: Optimizer, history: History) -> None:
        self.model = model
        self.optimizer = optimizer
        self.history = history
        self.loss = float("nan")
        self.norm = float("nan")
        self.reason: str | None = None

    def stop(self, reason: str) -> None:
        """End the training after this step; `History.stopped` will be the reason."""
        self.reason = str(reason)


class Callback:
    """Base of the callbacks of `fastlstm.fit`; a subclass overrides what it needs.

    A plain function counts as its `on_epoch`.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.training import Callback, mean_squared_error
    >>> class Norms(Callback):
    ...     seen = []
    ...     def on_step(self, progress):
    ...         self.seen.append(progress.norm)
    >>> model, x = fastlstm.LSTM(1, 1, rng=0), np.ones((4, 3, 1))
    >>> _ = fastlstm.fit(model, (x, x), mean_squared_error, epochs=2, callbacks=[norms := Norms()])
    >>> len(norms.seen)
    2
    """

    def on_step(self, progress: Progress) -> None:
        """Do something after each step of the optimiser."""

    def on_epoch(self, progress: Progress) -> None:
        """Do something after each epoch, and its validation."""

    def state_dict(self) -> Mapping[str, ArrayLike]:
        """Return arrays of float32, float64 or int64 that a checkpoint is to keep."""
        return {}

    def load_state_dict(self, mapping: Mapping[str, Any]) -> None:
        """Go on as the callback would have whose `state_dict` this is.

        The mapping may be of a damaged file: an exception refuses it, and the state before is loaded again.
        """


class Averaging(Callback):
    """Takes the weights into an average after each step.

    Parameters
    ----------
    average : WeightAverage

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.training import Averaging, ExponentialAverage, mean_squared_error
    >>> model, x = fastlstm.LSTM(1, 1, rng=0), np.ones((4, 3, 1))
    >>> average = ExponentialAverage(model)
    >>> _ = fastlstm.fit(model, (x, x), mean_squared_error, epochs=2, callbacks=[Averaging(average)])
    >>> average.count
    2
    """

    def __init__(self, average: WeightAverage) -> None:
        if not isinstance(average, WeightAverage):
            raise TypeError(f"average: expected an average of weights, got {average!r}")
        self.average = average

    def on_step(self, progress: Progress) -> None:
        """Take the weights into the average."""
        self.average.update()

    def state_dict(self) -> Mapping[str, ArrayLike]:
        """Return the average's."""
        return self.average.state_dict()

    def load_state_dict(self, mapping: Mapping[str, Any]) -> None:
        """Load the average's."""
        self.average.load_state_dict(mapping)


class EpochFunction(Callback):
    """A plain function, called after each epoch."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def on_epoch(self, progress: Progress) -> None:
        """Call the function."""
        self._function(progress)


def as_callbacks(values: Any) -> list[Callback]:
    """Return callbacks, functions among them as such; TypeError otherwise."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise TypeError(f"callbacks: expected a list of Callback objects or functions, got {values!r}")
    return [_as_callback(value) for value in values]


def _as_callback(value: Any) -> Callback:
    if isinstance(value, Callback):
        return value
    if not callable(value) or isinstance(value, type):
        raise TypeError(f"callbacks: expected Callback objects or functions, got {value!r}")
    return EpochFunction(value)
