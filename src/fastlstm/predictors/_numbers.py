"""Numbers, and the names of their columns, from whatever they came as."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.checks import Array, _as_array


def check_convertible(value: Any, name: str) -> None:
    """Raise TypeError or ValueError if entries of `value` are strings, dates or objects that are no numbers.

    Complex numbers and sparse arrays are left to scikit-learn, which has sentences of its own for them.
    """
    if hasattr(value, "toarray"):  # sparse
        return
    array = _as_array(value, name)
    if array.dtype.kind in "mM":
        raise TypeError(f"{name}: expected numbers, got dtype {array.dtype}")
    if array.dtype.kind not in "OUS":
        return
    try:
        array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: expected numbers, got dtype {array.dtype} ({error})") from error


def as_finite(value: Any, name: str, dtype: type[np.floating[Any]]) -> Array:
    """Return a copy of `value` as finite numbers of `dtype`.

    Raises
    ------
    TypeError
        If it is no array of integers, floats or booleans.
    ValueError
        If they are not all finite.
    """
    check_convertible(value, name)
    array = _as_array(value, name)
    if array.dtype.kind not in "biufO":
        raise TypeError(f"{name}: expected numbers, got dtype {array.dtype}")
    with np.errstate(over="ignore"):  # what is too large is infinite then, and refused
        numbers: Array = array.astype(dtype)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name}: expected finite numbers, got some that are not")
    return numbers


def names_of(value: Any) -> NDArray[Any] | None:
    """Return the columns' names of a frame, if all are strings, as scikit-learn takes them; else None."""
    columns = getattr(value, "columns", None)
    if columns is None or not all(isinstance(name, str) for name in columns):
        return None
    return np.array(list(columns), object)
