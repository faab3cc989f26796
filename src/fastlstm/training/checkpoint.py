"""A training run in a file, to be gone on with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._container import DAMAGED, as_dict, read, write

FORMAT = "fastlstm checkpoint"

Tensors = dict[str, NDArray[Any]]


class Saved:
    """What a checkpoint holds: numbers as JSON, and arrays by name in groups.

    Attributes
    ----------
    setup : dict
        What the run was set up with; a run that differs in it can't go on from here.
    numbers : dict
    tensors : dict of str to dict of str to array
        By group: "model", "optimizer", "best", ...
    """

    def __init__(
        self, setup: Mapping[str, Any], numbers: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self.setup = dict(setup)
        self.numbers = dict(numbers)
        self.tensors = {group: dict(arrays) for group, arrays in tensors.items()}

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it, whole or not at all."""
        flat = {
            f"{group}/{name}": np.asarray(array, order="C")
            for group, arrays in self.tensors.items()
            for name, array in arrays.items()
        }
        write(path, FORMAT, {"setup": self.setup, "numbers": self.numbers}, flat)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Saved:
        """Return what a file holds.

        Raises
        ------
        ValueError
            If it is not a whole checkpoint.
        """
        try:
            description, flat = read(path, FORMAT)
            parts = as_dict(description, "checkpoint")
            setup, numbers = as_dict(parts.get("setup"), "setup"), as_dict(parts.get("numbers"), "numbers")
        except DAMAGED as error:
            expected = "a checkpoint that this fastlstm's fit wrote"
            raise ValueError(f"checkpoint: expected {expected}, got {os.fspath(path)!r} ({error})") from error
        tensors: dict[str, Tensors] = {}
        for full_name, array in flat.items():
            group, _, name = full_name.partition("/")
            tensors.setdefault(group, {})[name] = array
        return cls(setup, numbers, tensors)

    def check(self, setup: Mapping[str, Any]) -> None:
        """Raise ValueError if a run was set up otherwise."""
        for name, expected in setup.items():
            if self.setup.get(name) != expected:
                raise ValueError(
                    f"checkpoint: expected one of a run with {name} {expected!r}, "
                    f"got one with {self.setup.get(name)!r}; another file starts afresh"
                )


def generator_states(generators: Sequence[np.random.Generator]) -> list[Any]:
    """Return the states of random number generators, ready for JSON."""
    return [_plain(generator.bit_generator.state) for generator in generators]


def set_generator_states(generators: Sequence[np.random.Generator], states: Sequence[Any]) -> None:
    """Undo `generator_states`.

    Raises
    ------
    ValueError
        If they are not as many, or of another kind.
    """
    if len(generators) != len(states):
        raise ValueError(f"checkpoint: expected {len(generators)} states of generators, got {len(states)}")
    for generator, state in zip(generators, states, strict=True):
        generator.bit_generator.state = _arrays(state)


def _plain(state: Any) -> Any:
    if isinstance(state, dict):
        return {name: _plain(part) for name, part in state.items()}
    if isinstance(state, np.ndarray):
        return {"array": state.tolist(), "dtype": state.dtype.name}
    return state


def _arrays(state: Any) -> Any:
    if not isinstance(state, dict):
        return state
    if state.keys() == {"array", "dtype"}:
        return np.array(state["array"], state["dtype"])
    return {name: _arrays(part) for name, part in state.items()}


def flat_state(state: Any) -> Tensors:
    """Return the arrays of a model's state by their place in it: "0.1" is the first part's second."""
    return dict(_leaves(state, ""))


def _leaves(state: Any, name: str) -> Iterator[tuple[str, NDArray[Any]]]:
    if isinstance(state, tuple):
        for k, part in enumerate(state):
            yield from _leaves(part, f"{name}.{k}" if name else str(k))
    elif state is not None:
        yield name or "state", state


def nested_state(flat: Mapping[str, NDArray[Any]]) -> Any:
    """Undo `flat_state`; None if there is nothing."""
    if not flat:
        return None
    if "state" in flat:
        return flat["state"]
    parts: dict[int, Tensors] = {}
    for name, array in flat.items():
        first, _, rest = name.partition(".")
        parts.setdefault(int(first), {})[rest or "state"] = array
    return tuple(nested_state(parts[k]) for k in sorted(parts))
