"""Named weights that can't go stale.

Weights are only ever replaced whole. The arrays of a model rest on immutable memory, and whatever is
derived from them (packed panels) lives on the same `Weights` object: a change makes a new object, so a
pass that has begun goes on with the weights it began with, and nothing ever sees half of a change.

A model of several layers reads and replaces the weights of all at one moment: under a lock, held for no
longer than it takes to exchange references.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from ._arrays import Array, as_floats, check_shape


def _frozen(array: Array) -> Array:
    """Return a copy that nobody can make writable: its memory is a bytes object."""
    return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)


class Weights:
    """One state of a model's parameters, and what was derived from it."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays: Mapping[str, Array] = MappingProxyType(dict(arrays))
        self.derived: Any = None


_exchange = threading.RLock()
if hasattr(os, "register_at_fork"):  # a child must find the lock free, and no exchange half done
    os.register_at_fork(
        before=_exchange.acquire, after_in_parent=_exchange.release, after_in_child=_exchange.release
    )


def weights_of(layers: Sequence[Parameterised]) -> list[Weights]:
    """Return the weights that several layers have at one moment."""
    with _exchange:
        return [layer._weights for layer in layers]


def replace(layers: Sequence[Parameterised], changes: Sequence[Mapping[str, Array]]) -> None:
    """Give several layers checked and frozen arrays at one moment."""
    with _exchange:
        fresh = [
            Weights({**layer._weights.arrays, **change})
            for layer, change in zip(layers, changes, strict=True)
        ]
        for layer, weights in zip(layers, fresh, strict=True):
            layer._weights = weights


_stored: ContextVar[Mapping[str, Array] | None] = ContextVar("stored parameters", default=None)


@contextmanager
def stored_parameters(arrays: Mapping[str, Array]) -> Iterator[None]:
    """Let a layer made in the block have these parameters, which are its own, and draw none.

    What does not fit is refused with a ValueError before memory is asked for.
    """
    token = _stored.set(arrays)
    try:
        yield
    finally:
        _stored.reset(token)


def _taken(arrays: Mapping[str, Array], name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return the stored array of that name; ValueError if it does not fit."""
    if name not in arrays:
        raise ValueError(f"{name}: expected an array of shape {shape}, got none")
    array = arrays[name]
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{name}: expected {shape} of {dtype}, got {array.shape} of {array.dtype}")
    return array


class Parameterised:
    """Base of everything that has weights.

    A subclass calls `_draw_initial` or `_set_initial` once; its parameters' names, shapes and dtype are
    fixed from then on.
    """

    _weights: Weights

    def _draw_initial(
        self,
        shapes: Iterable[tuple[str, tuple[int, ...]]],
        dtype: np.dtype[Any],
        draw: Callable[[str, tuple[int, ...]], Array],
    ) -> None:
        """Draw initial values by name and shape, unless there are stored ones."""
        stored = _stored.get()
        if stored is None:
            self._set_initial({name: draw(name, shape).astype(dtype) for name, shape in shapes})
        else:
            self._set_initial({name: _taken(stored, name, shape, dtype) for name, shape in shapes})

    def _set_initial(self, arrays: Mapping[str, Array]) -> None:
        self._weights = Weights({name: _frozen(array) for name, array in arrays.items()})

    @property
    def parameters(self) -> Mapping[str, Array]:
        """Read-only views of the parameters by name.

        They stay as they are when the model's weights change: ask again for the new ones.
        """
        return self._weights.arrays

    @property
    def num_parameters(self) -> int:
        """How many numbers the parameters hold together."""
        return sum(array.size for array in self.parameters.values())

    @property
    def generators(self) -> tuple[np.random.Generator, ...]:
        """What draws in training, as dropout does; its state belongs to a run that is to be resumed."""
        return ()

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters by name, as `torch.nn.Module.state_dict` names them."""
        return {name: array.copy() for name, array in self.parameters.items()}

    def load_state_dict(self, mapping: Mapping[str, ArrayLike]) -> Self:
        """Replace all parameters.

        Parameters
        ----------
        mapping : mapping of str to array
            Exactly the names of `parameters`, each with its shape, of any float dtype; arrays, or
            whatever becomes one (`torch` tensors do).

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a name is missing or surplus, or a shape is not the parameter's.
        TypeError
            If a value is not an array of floats.

        Notes
        -----
        After an exception every weight is as it was.
        """
        if not isinstance(mapping, Mapping):
            raise TypeError(f"mapping: expected a mapping of names to arrays, got {type(mapping).__name__}")
        missing = [name for name in self.parameters if name not in mapping]
        if missing:
            raise ValueError(f"mapping: expected all parameters, missing {', '.join(missing)}")
        return self.update(mapping)

    def update(self, mapping: Mapping[str, ArrayLike]) -> Self:
        """Replace some parameters, all at once: as `load_state_dict`, but names may be missing."""
        current = self.parameters
        surplus = [str(name) for name in mapping if name not in current]
        if surplus:
            raise ValueError(f"mapping: expected only {', '.join(current)}; surplus {', '.join(surplus)}")
        fresh = {}
        for name, value in mapping.items():
            array = as_floats(value, name, current[name].dtype)
            check_shape(array, name, current[name].shape)
            fresh[name] = _frozen(array)
        self._replace(fresh)
        return self

    def _replace(self, arrays: Mapping[str, Array]) -> None:
        """Replace some parameters by checked and frozen arrays, all at one moment."""
        replace([self], [arrays])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_weights": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        arrays = state.pop("_weights")
        self.__dict__.update(state)
        self._set_initial(arrays)
