"""Plain data that JSON can hold, and what it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def as_plain(value: Any, name: str) -> Any:
    """Return a parameter of an estimator as plain data; TypeError if that can't be."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple, np.ndarray)):
        return [as_plain(part, name) for part in value]
    if isinstance(value, Mapping):
        return {"pairs": [[as_plain(key, name), as_plain(part, name)] for key, part in value.items()]}
    expected = "a number, a string or None, or several, which a file can hold"
    raise TypeError(f"{name}: expected {expected}, got {value!r}; set_params changes it")


def from_plain(value: Any) -> Any:
    """Return what `as_plain` made plain; ValueError or TypeError if it made nothing of the kind."""
    if isinstance(value, list):
        return tuple(map(from_plain, value))
    if isinstance(value, dict):
        pairs = entries(value.get("pairs"), "pairs", list)
        return {from_plain(key): from_plain(part) for key, part in pairs}
    return value


def entry(description: Mapping[str, Any], name: str, *kinds: type) -> Any:
    """Return an entry of plain data, of one of these kinds; ValueError if it is none."""
    return _checked(description.get(name), name, kinds)


def entries(value: object, name: str, *kinds: type) -> list[Any]:
    """Return a list whose entries are all of one of these kinds; ValueError if it is none."""
    parts: list[Any] = _checked(value, name, (list,))
    return [_checked(part, f"{name}[{k}]", kinds) for k, part in enumerate(parts)]


def _checked(value: object, name: str, kinds: tuple[type, ...]) -> Any:
    if type(value) not in kinds:
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"{name}: expected {expected}, got {value!r}")
    return value
