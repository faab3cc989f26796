"""Models that own no weights: each pass is lent some, of another framework's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from ..model.checks import Array
from ..model.parameters import Weights, stored_parameters
from ..model.recurrent import Recurrent

Model = TypeVar("Model", bound=Recurrent[Any])


def without_weights(make: Callable[[], Model], shapes: Mapping[str, tuple[int, ...]], dtype: Any) -> Model:
    """Return the model that `make` makes, with zeros in no memory for its parameters, which are so named."""
    with stored_parameters({name: np.zeros(shape, dtype) for name, shape in shapes.items()}):
        model = make()
    zero = np.zeros((), dtype)
    model._weights = Weights({name: np.broadcast_to(zero, shape) for name, shape in shapes.items()})
    return model


def lent(named: Mapping[str, Array]) -> Weights:
    """Return arrays as the weights of a pass; views of what they are, where they are contiguous."""
    return Weights({name: np.ascontiguousarray(array) for name, array in named.items()})
