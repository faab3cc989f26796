"""What training recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from ..model.checks import as_mapping, as_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNDRAWN = ("lr", "seconds", "steps_per_second")


class History(Mapping[str, list[float]]):
    """One number an epoch, by name.

    "loss" is the mean over the epoch's steps as they were taken, "val_loss" that of the validation data at
    its end; "lr" the rate at its end, "seconds" its duration, validation included, "steps_per_second" the
    sequences' real steps that training went through in one. The metric "accuracy" is named "val_accuracy".

    Attributes
    ----------
    stopped : str
        Why training ended: "finished", "patience", "interrupted", or what a callback said.
    epochs : int
        How many were finished.
    total_seconds : float
        How long all epochs took.
    steps : int
        How many steps were taken, those of an epoch that was not finished included.
    best_epoch : int or None
        With `patience`, the epoch whose weights the model has, counted from 1.

    Examples
    --------
    >>> from fastlstm.training import History
    >>> history = History({"loss": [2.0, 1.5]})
    >>> history["loss"][-1], len(history)
    (1.5, 1)
    """

    def __init__(self, records: Mapping[str, list[float]] | None = None) -> None:
        given = {} if records is None else as_mapping(records, "records", "names to lists of numbers")
        self._records = {name: _as_record(numbers, name) for name, numbers in given.items()}
        self.stopped = "finished"
        self.steps = 0
        self.best_epoch: int | None = None

    def __getitem__(self, name: str) -> list[float]:
        return self._records[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        latest = ", ".join(
            f"{name} {numbers[-1]:.4g}" for name, numbers in self.items() if name not in UNDRAWN
        )
        took = f" in {self.total_seconds:.3g} s" if "seconds" in self else ""
        epochs = f"{self.epochs} {'epoch' if self.epochs == 1 else 'epochs'}"
        return f"<History: {epochs}{took}, {self.stopped}{'; last ' + latest if latest else ''}>"

    @property
    def epochs(self) -> int:
        """How many epochs were finished."""
        return len(self._records.get("loss", ()))

    @property
    def total_seconds(self) -> float:
        """How long all epochs took, their validation included, as "seconds" has them one by one."""
        return sum(self._records.get("seconds", ()))

    def or_interrupt(self) -> Self:
        """Return the history; raise the KeyboardInterrupt that ended the training, if one did.

        For code that judges a model by its training: one that Ctrl-C cut short tells nothing.
        """
        if self.stopped == "interrupted":
            raise KeyboardInterrupt
        return self

    def append(self, numbers: Mapping[str, float]) -> None:
        """Add an epoch."""
        for name, number in numbers.items():
            self._records.setdefault(name, []).append(float(number))

    def append_all(self, records: Mapping[str, list[float]]) -> None:
        """Add the epochs of another history."""
        for name, numbers in records.items():
            self._records.setdefault(name, []).extend(numbers)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw the learning curves, as `fastlstm.plot.history`; needs the extra `plot`."""
        from .. import plot

        return plot.history({name: curve for name, curve in self.items() if name not in UNDRAWN}, ax=ax)


def _as_record(numbers: Any, name: str) -> list[float]:
    if not isinstance(numbers, (list, tuple)):
        raise TypeError(f"records {name!r}: expected a list of numbers, got {type(numbers).__name__}")
    return [as_number(number, f"records {name!r}") for number in numbers]
