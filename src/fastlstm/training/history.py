"""What training recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNDRAWN = ("lr", "seconds", "steps_per_second")


class History(Mapping[str, list[float]]):
    """One number an epoch, by name.

    "loss" is the mean over the epoch's steps as they were taken, "val_loss" that of the validation data at
    its end; "lr" the rate at its end, "seconds" its duration, "steps_per_second" the sequences' real steps
    it went through in one. Metrics are named "val_" and their name.

    Attributes
    ----------
    stopped : str
        Why training ended: "finished", "patience", "interrupted", or what a callback said.
    epochs : int
        How many were finished.
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
        self._records = {name: list(numbers) for name, numbers in (records or {}).items()}
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
        latest = ", ".join(f"{name} {numbers[-1]:.4g}" for name, numbers in self.items())
        return f"<History: {self.epochs} epochs, {self.stopped}{', last ' + latest if latest else ''}>"

    @property
    def epochs(self) -> int:
        """How many epochs were finished."""
        return len(self._records.get("loss", ()))

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
