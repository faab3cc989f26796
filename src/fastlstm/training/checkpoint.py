"""A training run in a file, from which it can go on."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files.container import DAMAGED, read, refusal, shortened, write
from ..model.checks import as_amount, as_count, as_dict, as_fields, as_finite, as_least
from .history import History

FORMAT = "fastlstm checkpoint"
TOLD = 3
"""How many differences a sentence names."""

Tensors = dict[str, NDArray[Any]]


class Saved:
    """What a checkpoint holds: numbers as JSON, and arrays by name in groups.

    Attributes
    ----------
    setup : dict
        What the run was set up with; a run that differs in it can't go on from here.
    numbers : dict
    tensors : dict of str to dict of str to array
        By group: "model", "optimizer", "best", ...; groups of none are not there.
    """

    def __init__(
        self, setup: Mapping[str, Any], numbers: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self.setup = dict(setup)
        self.numbers = dict(numbers)
        self.tensors = {group: dict(arrays) for group, arrays in tensors.items()}

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        flat = {
            f"{group}/{name}": np.asarray(array)
            for group, arrays in self.tensors.items()
            for name, array in arrays.items()
        }
        write(path, FORMAT, {"setup": self.setup, "numbers": self.numbers}, flat)

    @classmethod
    def read(cls, path: Path) -> Saved:
        """Return what a file holds.

        Raises
        ------
        ValueError
            If it is not a whole checkpoint.
        """
        with understood(path):
            description, flat = read(path, FORMAT)
            parts = as_fields(description, "description", {"setup": as_dict, "numbers": as_dict})
        tensors: dict[str, Tensors] = {}
        for full_name, array in flat.items():
            group, _, name = full_name.partition("/")
            tensors.setdefault(group, {})[name] = array
        return cls(parts["setup"], parts["numbers"], tensors)

    def group(self, name: str) -> Tensors:
        """Return the arrays of a group, none where there is no such group."""
        return self.tensors.get(name, {})

    def check(self, setup: Mapping[str, Any]) -> None:
        """Raise ValueError if a run was set up otherwise."""
        different = list(differences(dict(setup), self.setup))
        if different:
            names, expected, found = zip(*different[:TOLD], strict=True)
            run = ", ".join(f"{name} {value}" for name, value in zip(names, expected, strict=True))
            more = f" ({len(different) - TOLD} more differ)" if len(different) > TOLD else ""
            raise ValueError(
                f"checkpoint: expected one of a run with {run}, got one with {', '.join(found)}{more}; "
                "another file starts afresh"
            )


def differences(expected: object, found: object, name: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield name and both values, as text, of each place where two setups differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        # Other classes have other arguments: that the class is another says it all.
        keys = ["class"] if expected.get("class") != found.get("class") else {**expected, **found}
        for key in keys:
            place = name if key == "arguments" else f"{name}.{key}" if name else key
            yield from differences(expected.get(key), found.get(key), place)
    elif isinstance(expected, (list, tuple)) and isinstance(found, list):
        if len(expected) != len(found):
            yield f"len({shortened(name)})", str(len(expected)), str(len(found))
            return
        for k, pair in enumerate(zip(expected, found, strict=True)):
            yield from differences(*pair, f"{name}[{k}]")
    elif expected != found:
        yield shortened(name), shortened(repr(expected)), shortened(repr(found))


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Turn what the block raises for damaged content into an error that names the file."""
    try:
        yield
    except DAMAGED as error:
        expected = "a checkpoint that this fastlstm's fit wrote"
        raise refusal("checkpoint", expected, path, error) from error


def _as_sums(value: object, name: str) -> dict[str, Any]:
    amounts = dict.fromkeys(("count", "real_steps", "seconds"), as_amount)
    return as_fields(value, name, {"total": as_finite, "done": as_count, **amounts})


def _as_best(value: object, name: str) -> dict[str, Any]:
    def as_epoch(epoch: Any, name: str) -> int | None:
        return None if epoch is None else as_count(epoch, name)

    return as_fields(value, name, {"loss": as_least, "waited": as_count, "epoch": as_epoch})


def _as_it_is(value: Any, name: str) -> Any:
    """Return a value that is checked where it is used."""
    return value


NUMBERS = {
    "sums": _as_sums,
    "best": _as_best,
    "step": as_count,
    "rng": _as_it_is,
    "order": _as_it_is,
    "draws": _as_it_is,
    "schedule": _as_it_is,
}
"""The numbers of a run, and what checks them."""


def check_form(arrays: Tensors, expected: Mapping[str, NDArray[Any]], group: str) -> None:
    """Raise ValueError unless arrays have the names, shapes and dtypes of others."""
    if arrays.keys() != expected.keys():
        raise ValueError(f"{group}: expected {', '.join(expected)}, got {', '.join(arrays)}")
    for name, array in expected.items():
        found = arrays[name]
        if found.shape != array.shape or found.dtype != array.dtype:
            raise ValueError(
                f"{group} {name}: expected {array.shape} of {array.dtype}, got {found.shape} of {found.dtype}"
            )


def as_history(curves: Tensors) -> History:
    """Return a history of such curves; ValueError if there are none like them."""
    epochs = curves["loss"].size if "loss" in curves else 0
    for name, curve in curves.items():
        if curve.ndim != 1 or curve.dtype != np.float64 or not 1 <= curve.size <= epochs:
            expected = f"a number for each of 1 to {epochs} epochs"
            raise ValueError(f"history {name}: expected {expected}, got {curve.shape} of {curve.dtype}")
    return History({name: curve.tolist() for name, curve in curves.items()})


def load_all(parts: Iterable[tuple[Any, Any]]) -> None:
    """Let each part of a run load its state: all of them or none. A part may be a user's own.

    Raises
    ------
    TypeError, ValueError
        If one can't; those that could have the states they had before.
    """
    with ExitStack() as undo:
        for part, state in parts:
            # A copy, as a part may hand out its own arrays, and load by writing to them.
            undo.callback(part.load_state_dict, copy.deepcopy(dict(part.state_dict())))
            try:
                part.load_state_dict(state)
            except (ArithmeticError, AttributeError, LookupError) as error:
                name = type(part).__name__
                raise ValueError(f"{name}: expected what it can load, got {error!r}") from error
        undo.pop_all()


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
