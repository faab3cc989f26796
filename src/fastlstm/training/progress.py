"""A bar on the terminal."""

from __future__ import annotations

from typing import Any

from .history import History


class Bar:
    """How far training has come, with loss and throughput; nothing where there is no terminal.

    Parameters
    ----------
    epochs : int
    steps : int
        Of all epochs.
    shown : bool, str or None
        None shows it on a terminal, as does what steps of sequences are called.
    """

    def __init__(self, epochs: int, steps: int, shown: bool | str | None) -> None:
        from tqdm import tqdm

        self._epochs = epochs
        self._epoch, self._validation = 0, ""
        self._steps_called = shown if isinstance(shown, str) else "real steps"
        hidden = not shown if isinstance(shown, bool) else None
        # What training came to is in its history: a bar that stays would stand between what is printed.
        self._bar: Any = tqdm(
            total=steps, unit="step", dynamic_ncols=True, mininterval=0.2, disable=hidden, leave=False
        )

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def start(self, epochs: int, steps: int) -> None:
        """Begin where a checkpoint ended."""
        self._epoch = epochs
        self._bar.update(steps)
        self._describe()

    def step(self, loss: float, rate: float) -> None:
        """Show one more step, and the epoch's mean loss and throughput so far."""
        shown = f"loss {loss:.4g}{self._validation}, {rate:,.0f} {self._steps_called}/s"
        self._bar.set_postfix_str(shown, refresh=False)
        self._bar.update()

    def end_epoch(self, history: History) -> None:
        """Show the next epoch, and what validation found."""
        self._epoch = history.epochs
        self._validation = "".join(
            f", {name} {numbers[-1]:.4g}" for name, numbers in history.items() if name.startswith("val_")
        )
        self._describe()

    def _describe(self) -> None:
        self._bar.set_description_str(f"epoch {min(self._epoch + 1, self._epochs)}/{self._epochs}")
