"""What a backward pass returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from .checks import Array
from .parameters import shapes

State = TypeVar("State")


@dataclass(frozen=True, repr=False)
class Gradients(Generic[State]):
    """The gradients of a backward pass; each has the shape and dtype of the array it belongs to.

    Attributes
    ----------
    input : array or None
        None for indices, which have no gradient, and where it was not asked for.
    state : array, tuple of arrays or None
        Of the initial state, shaped as the state; None for layers without one.
    parameters : mapping of str to array
        By the names of the layer's `parameters`.
    """

    input: Array | None
    state: State
    parameters: Mapping[str, Array]

    def __repr__(self) -> str:
        given = "none" if self.input is None else str(self.input.shape)
        return f"<gradients: input {given}; parameters {shapes(self.parameters) or 'none'}>"
