"""The recurrent cells: one entry each for all that Python has to know of what differs between them."""

from __future__ import annotations

from dataclasses import dataclass

from .._core import cells

_OF_CORE = cells()


@dataclass(frozen=True)
class Cell:
    """What one kind of cell has of its own.

    Attributes
    ----------
    name : str
        The core's name of it.
    model : str
        The class whose models have it.
    states : tuple of str
        What goes from step to step: first the output, of P numbers, then others, of H.
    gates : tuple of str
        What a forward pass keeps of each step beside the states, H numbers each, in the order of its columns.
    """

    name: str
    model: str
    states: tuple[str, ...]
    gates: tuple[str, ...] = ()

    @property
    def weight_rows(self) -> int:
        """Rows of its weights for each unit, as the core has them."""
        return _OF_CORE[self.name]["gates"]


CELLS = {
    cell.name: cell
    for cell in (
        Cell("lstm", "LSTM", states=("h", "c"), gates=("i", "f", "g", "o")),
        Cell("lstm_norm", "LSTM", states=("h", "c"), gates=("i", "f", "g", "o")),
        Cell("tanh", "RNN", states=("h",)),
        Cell("relu", "RNN", states=("h",)),
        Cell("rnn", "RNN", states=("h",), gates=("n",)),
        Cell("gru", "GRU", states=("h",), gates=("n", "r", "z", "n_h")),
        Cell("gru_reset_first", "GRU", states=("h",), gates=("r", "z", "n", "rh")),
        Cell("slstm", "SLSTM", states=("h", "c", "n", "m"), gates=("i", "f", "z", "o", "s")),
        Cell("slstm_exp", "SLSTM", states=("h", "c", "n", "m"), gates=("i", "f", "z", "o", "s")),
    )
}

ROWS = {cell.model: cell.weight_rows for cell in CELLS.values()}
"""Rows of weights for each unit, by the class whose models have them."""


def one_of(*others: str) -> str:
    """Return the names of the recurrent classes, and others, for a sentence: "LSTM, RNN or Sequential"."""
    *names, last = *dict.fromkeys(cell.model for cell in CELLS.values()), *others
    return f"{', '.join(names)} or {last}"
