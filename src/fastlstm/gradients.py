"""What a backward pass returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from ._arrays import Array

State = TypeVar("State")


@dataclass(frozen=True)
class Gradients(Generic[State]):
    """Gradients by what they are gradients of, each of its shape and dtype.

    Attributes
    ----------
    input : array or None
        None where the input has no gradient, as indices have none, or where nobody asked for it.
    state : array, tuple of arrays or None
        Of the initial state, shaped as the state; None for layers without one.
    parameters : mapping of str to array
        By the names of the layer's `parameters`.
    """

    input: Array | None
    state: State
    parameters: Mapping[str, Array]
