"""A graph whose values are batches of sequences: how each lies, and which of its steps are real."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .writer import Writer, number_of


class Ends(NamedTuple):
    """Where the sequences of a value end: names of values.

    Attributes
    ----------
    lengths : str
        int64 (B,)
    steps : str
        The number of each step, int64 (T, 1).
    real : str
        Whether a sequence has a step, bool (T, B).
    some : str
        Whether it has any, bool (B, 1).
    """

    lengths: str
    steps: str
    real: str
    some: str


class Value(NamedTuple):
    """What a layer reads or gives.

    Attributes
    ----------
    name : str
    dtype : numpy.dtype
    leading : tuple of str
        Its axes but for the last: ("time", "batch"), ("batch", "time"), or ("batch",) behind a readout.
    size : int, str or None
        Of the last axis; None where there is none, as indices have none.
    ends : Ends or None
        None where all steps are real, or there are none.
    is_zeroed : bool
        Whether it is zero past its sequences' ends.
    """

    name: str
    dtype: np.dtype[Any]
    leading: tuple[str, ...]
    size: int | str | None
    ends: Ends | None = None
    is_zeroed: bool = False

    @property
    def shape(self) -> list[int | str]:
        """All axes."""
        return [*self.leading, *([] if self.size is None else [self.size])]

    def made(self, name: str, size: int | str | None = None) -> Value:
        """Return what a layer gives that read this: other numbers, maybe more or fewer for each step."""
        return self._replace(name=name, size=self.size if size is None else size, is_zeroed=False)


class SequenceWriter(Writer):
    """A writer that knows how the model's sequences lie.

    Parameters
    ----------
    batch_first : bool
    """

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.time = 1 if batch_first else 0
        """Which axis of x is time."""

    def turned(self, name: str) -> str:
        """Return a value (B, T, n) as (T, B, n) in models with batches first, and the other way about."""
        return self.add("Transpose", name, perm=[1, 0, 2]) if self.batch_first else name

    def number(self, value: float, dtype: DTypeLike) -> str:
        """Add a tensor of one number."""
        return self.constant(value, "number", dtype)

    def cast(self, value: Value, dtype: DTypeLike) -> Value:
        """Return a value in another dtype."""
        if value.dtype == np.dtype(dtype):
            return value
        name = self.add("Cast", value.name, to=number_of(dtype))
        return value._replace(name=name, dtype=np.dtype(dtype))

    def ends_of(self, lengths: str, x: str) -> Ends:
        """Return where sequences end that have such lengths, int64, and lie in x."""
        zero, one = (self.number(value, np.int64) for value in (0, 1))
        count = self.squeeze(self.size(x, self.time), 0)
        steps = self.unsqueeze(self.add("Range", zero, count, one), 1)
        real = self.add("Less", steps, lengths)
        return Ends(lengths, steps, real, self.unsqueeze(self.add("Greater", lengths, zero), 1))

    def where_real(self, name: str, value: Value, otherwise: float) -> str:
        """Return `name`, which is `value` as (T, B, n), with a number past the sequences' ends."""
        if value.ends is None:
            return name
        real = self.unsqueeze(value.ends.real, 2)
        return self.add("Where", real, name, self.number(otherwise, value.dtype))

    def where_some(self, name: str, value: Value, otherwise: float = 0) -> str:
        """Return `name`, a vector for each sequence of `value`, with a number where it has no steps."""
        if value.ends is None:
            return name
        return self.add("Where", value.ends.some, name, self.number(otherwise, value.dtype))

    def zero_past_ends(self, value: Value) -> Value:
        """Return a value with zeros past its sequences' ends."""
        if value.ends is None or value.is_zeroed:
            return value
        name = self.turned(self.where_real(self.turned(value.name), value, 0))
        return value._replace(name=name, is_zeroed=True)
