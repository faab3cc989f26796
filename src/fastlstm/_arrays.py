"""What users hand in, checked: every refusal names the argument, what was expected and what came."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]


def _as_array(value: object, name: str) -> NDArray[Any]:
    """Return `value` as an array, without a copy where it can be shared."""
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)
        return np.asarray(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"{name}: expected an array, got {type(value).__name__} ({error})") from error


def as_floats(value: ArrayLike, name: str, dtype: np.dtype[Any] | None = None) -> Array:
    """Return `value` as a float array, of `dtype` if one is given.

    Raises
    ------
    TypeError
        If it is no array, or one of integers, booleans, complex numbers or objects.
    """
    array = _as_array(value, name)
    if array.dtype.kind != "f":
        raise TypeError(f"{name}: expected an array of floats, got dtype {array.dtype}")
    if not array.flags.aligned:
        array = array.copy()
    return array if dtype is None else array.astype(dtype, copy=False)


def as_integers(value: ArrayLike, name: str) -> NDArray[np.int64]:
    """Return `value` as an int64 array.

    Raises
    ------
    TypeError
        If it is no array, or not one of integers. An empty list counts as integers.
    """
    array = _as_array(value, name)
    if array.dtype.kind not in "iu" and not (array.size == 0 and isinstance(value, (list, tuple))):
        raise TypeError(f"{name}: expected an array of integers, got dtype {array.dtype}")
    return array.astype(np.int64, copy=False)


def as_booleans(value: ArrayLike, name: str) -> NDArray[np.bool_]:
    """Return `value` as an array of booleans; TypeError if it is not one."""
    array = _as_array(value, name)
    if array.dtype.kind != "b":
        raise TypeError(f"{name}: expected an array of booleans, got dtype {array.dtype}")
    return array


def check_shape(array: NDArray[Any], name: str, expected: tuple[int, ...]) -> None:
    """Raise ValueError unless `array` has the `expected` shape."""
    if array.shape != expected:
        raise ValueError(f"{name}: expected shape {expected}, got {array.shape}")


def check_nonnegative(array: NDArray[Any], name: str) -> None:
    """Raise ValueError unless all of `array` are numbers of at least 0."""
    if not (array >= 0).all():
        raise ValueError(f"{name}: expected numbers of at least 0, got {array.min()}")


def as_size(value: int, name: str, least: int = 1) -> int:
    """Return `value` as an int of at least `least`; TypeError or ValueError otherwise."""
    try:
        size = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {value!r}") from None
    if size < least:
        raise ValueError(f"{name}: expected an integer of at least {least}, got {size}")
    return size


def as_index(value: int, name: str, end: int) -> int:
    """Return `value` as an int from 0 to `end`, exclusive; TypeError or ValueError otherwise."""
    index = as_size(value, name, least=0)
    if index >= end:
        raise ValueError(f"{name}: expected an index from 0 to {end - 1}, got {index}")
    return index


def as_number(value: float, name: str, expected: str = "a number") -> float:
    """Return `value` as a float; TypeError otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: expected {expected}, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: expected {expected}, got an integer that no float can hold") from None


def as_probability(value: float, name: str) -> float:
    """Return `value` as a float in [0, 1]; TypeError or ValueError otherwise."""
    number = as_number(value, name, "a number in [0, 1]")
    if not 0 <= number <= 1:
        raise ValueError(f"{name}: expected a number in [0, 1], got {value!r}")
    return number


def as_positive(value: float, name: str) -> float:
    """Return `value` as a float above 0; TypeError or ValueError otherwise."""
    number = as_number(value, name, "a number above 0")
    if not number > 0:
        raise ValueError(f"{name}: expected a number above 0, got {value!r}")
    return number


def as_nonnegative(value: float, name: str) -> float:
    """Return `value` as a float of at least 0; TypeError or ValueError otherwise."""
    number = as_number(value, name, "a number of at least 0")
    if not number >= 0:
        raise ValueError(f"{name}: expected a number of at least 0, got {value!r}")
    return number


def as_share(value: float, name: str) -> float:
    """Return `value` as a float in [0, 1); TypeError or ValueError otherwise."""
    number = as_number(value, name, "a number in [0, 1)")
    if not 0 <= number < 1:
        raise ValueError(f"{name}: expected a number in [0, 1), got {value!r}")
    return number


def as_dtype(value: object) -> np.dtype[Any]:
    """Return `value` as the dtype float32 or float64; TypeError otherwise."""
    for real in (np.dtype(np.float32), np.dtype(np.float64)):
        try:
            if value is not None and real == value:
                return real
        except TypeError:  # not a dtype's name at all
            break
    raise TypeError(f"dtype: expected float32 or float64, got {value!r}")
