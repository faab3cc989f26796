"""States of random number generators, as JSON and back."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = {"pos": 624, "buffer_pos": 4, "has_uint32": 1}
"""The largest positions in buffers. NumPy does not check them, and would read past the buffer."""


def generator_states(generators: Sequence[np.random.Generator]) -> list[Any]:
    """Return the states of random number generators, ready for JSON."""
    return [_plain(generator.bit_generator.state) for generator in generators]


def restored(generators: Sequence[np.random.Generator], states: object) -> list[np.random.Generator]:
    """Return generators like these, in the states that `generator_states` returned.

    Raises
    ------
    ValueError
        If they are not as many, or not states that such generators can be in.
    """
    if not isinstance(states, list) or len(states) != len(generators):
        got = len(states) if isinstance(states, list) else type(states).__name__
        raise ValueError(f"states: expected those of {len(generators)} generators, got {got}")
    return [_restored(generator, state) for generator, state in zip(generators, states, strict=True)]


def take_over(generators: Sequence[np.random.Generator], others: Sequence[np.random.Generator]) -> None:
    """Give generators the states of others of their kinds."""
    for generator, other in zip(generators, others, strict=True):
        generator.bit_generator.state = other.bit_generator.state


def _restored(generator: np.random.Generator, state: object) -> np.random.Generator:
    twin = copy.deepcopy(generator)
    try:
        twin.bit_generator.state = _like(generator.bit_generator.state, state, "state")
    except OverflowError as error:
        kind = type(generator.bit_generator).__name__
        raise ValueError(f"state: expected one of {kind}, got another ({error})") from error
    return twin


def _plain(state: Any) -> Any:
    if isinstance(state, dict):
        return {name: _plain(part) for name, part in state.items()}
    if isinstance(state, np.ndarray):
        return {"array": state.tolist(), "dtype": state.dtype.name}
    return state


def _like(current: Any, given: Any, name: str) -> Any:
    """Undo `_plain`; ValueError if what is given has another form than the current state."""
    if isinstance(current, np.ndarray):
        return _array_like(current, given, name)
    if type(given) is not type(current):
        raise ValueError(f"{name}: expected {type(current).__name__}, got {type(given).__name__}")
    if isinstance(current, dict):
        if given.keys() != current.keys():
            raise ValueError(f"{name}: expected {', '.join(current)}, got {', '.join(given)}")
        return {part: _like(value, given[part], part) for part, value in current.items()}
    if isinstance(current, int) and not 0 <= given <= LARGEST.get(name, given):
        raise ValueError(f"{name}: expected 0 to {LARGEST.get(name, 'a larger number')}, got {given}")
    if isinstance(current, str) and given != current:
        raise ValueError(f"{name}: expected {current!r}, got {given!r}")
    return given


def _array_like(current: NDArray[Any], given: Any, name: str) -> NDArray[Any]:
    """Return an array of the current one's shape and dtype, and of just the numbers that are given."""
    expected = _plain(current)
    if not isinstance(given, dict) or given.keys() != expected.keys() or given["dtype"] != expected["dtype"]:
        raise ValueError(f"{name}: expected an array of {current.dtype}, got something else")
    numbers = given["array"]
    try:
        array = np.array(numbers, current.dtype)
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected numbers of {current.dtype}, got others ({error})") from error
    if array.shape != current.shape or array.tolist() != numbers:
        raise ValueError(f"{name}: expected {current.shape} of {current.dtype}, got others")
    return array
