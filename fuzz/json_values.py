"""Changes to a JSON document that keep it one."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

ODD = (
    *(None, True, False, "", "a", "float64", "object", "relu", "Sequential", "LSTM", "Linear", [], {}, [[]]),
    *(0, 1, -1, 2, 7, 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *(2**31, 2**32, 2**53 + 1, 2**61, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63)),
)
"""What stands where something else is expected."""


def mutated(document: Any, rng: random.Random) -> Any:
    """Return a copy with one place changed: replaced, left out, doubled or given another's value."""
    document = [copy.deepcopy(document)]  # so that the whole has a place, too
    places = list(_places(document))
    container, key = rng.choice(places)
    change = rng.randrange(5)
    if change == 0 and container is not document:
        del container[key]
    elif change == 1 and isinstance(container, list) and container is not document:
        container[key:key] = [container[key]] * rng.choice([1, 2, 30])
    elif change == 2 and isinstance(container, dict):
        container[rng.choice(["", "class", "layers", str(key) + "0"])] = container.pop(key)
    elif change == 3:
        other, other_key = rng.choice(places)
        container[key] = copy.deepcopy(other[other_key])
    else:
        container[key] = near(container[key], rng) if rng.random() < 0.5 else rng.choice(ODD)
    return document[0]


def near(value: Any, rng: random.Random) -> Any:
    """Return a value of the same kind, not far away."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + rng.choice([-2, -1, 1, 2]) if rng.random() < 0.7 else value ^ (1 << rng.randrange(64))
    if isinstance(value, float):
        return value * rng.choice([-1, 0, 2, 1e300])
    if isinstance(value, str):
        return value[: rng.randrange(len(value) + 1)] + rng.choice(["", "0", "\x00", "é"])
    return rng.choice(ODD)


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container with each of its keys or indices."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(items):
        yield document, key
        if isinstance(value, (dict, list)):
            yield from _places(value)
