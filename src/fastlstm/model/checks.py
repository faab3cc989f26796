"""Checks of what users hand in. Every error names the argument, what was expected and what came."""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]

MOST = 1 << 48
"""More numbers than any memory holds: an array of more repeats them, as `numpy.broadcast_to` does."""


def _as_array(value: object, name: str) -> NDArray[Any]:
    """Return `value` as an array, without a copy where it can be shared."""
    array = value if type(value) is np.ndarray else _converted(value, name)
    if array.size > MOST:
        raise ValueError(f"{name}: expected an array that memory can hold, got shape {array.shape}")
    return array


def _converted(value: object, name: str) -> NDArray[Any]:
    """Return anything but a plain array as an array."""
    check_not_packed(value, name)
    if _is_masked(value) or (isinstance(value, (list, tuple)) and any(map(_is_masked, value))):
        expected = "an array without masked numbers"
        raise TypeError(f"{name}: expected {expected}, got a masked array: fill it, or use lengths or a mask")
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)
        return np.asarray(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"{name}: expected an array, got {type(value).__name__} ({error})") from error


def _is_masked(value: object) -> bool:
    """Return whether numbers are masked: NumPy would calculate with what is behind the mask."""
    # A plain array does not need the import of `numpy.ma`.
    if type(value) is np.ndarray or not isinstance(value, np.ndarray):
        return False
    return isinstance(value, np.ma.MaskedArray) and bool(np.ma.is_masked(value))


def check_not_packed(value: object, name: str) -> None:
    """Raise TypeError if `value` is a `PackedSequence` of PyTorch, a tuple that looks like four arrays."""
    if type(value).__name__ == "PackedSequence":
        raise TypeError(
            f"{name}: expected padded sequences and their lengths, got a PackedSequence: "
            "torch.nn.utils.rnn.pad_packed_sequence returns both, unpack_sequence a list for fit"
        )


def as_floats(
    value: ArrayLike, name: str, dtype: np.dtype[Any] | None = None, shape: tuple[int, ...] | None = None
) -> Array:
    """Return `value` as a float array, of `dtype` if one is given; that of bfloat16 (ml_dtypes) as float32.

    The shape is compared before a cast asks for memory: a broadcast array may have any size for nothing.

    Raises
    ------
    TypeError
        If it is no array, or one of integers, booleans, complex numbers or objects.
    ValueError
        If it has another `shape`, where one is given, or more numbers than any memory.
    """
    array = _as_array(value, name)
    if array.dtype.kind != "f":
        array = _from_bfloat16(array, name, shape)
    if shape is not None:
        check_shape(array, name, shape)
    if not array.flags.aligned:
        array = array.copy()
    return array if dtype is None else array.astype(dtype, copy=False)


def _from_bfloat16(array: NDArray[Any], name: str, shape: tuple[int, ...] | None) -> Array:
    """Return numbers of ml_dtypes as float32, which has all of them; TypeError for others than bfloat16."""
    if array.dtype.name != "bfloat16":
        raise TypeError(f"{name}: expected an array of floats, got dtype {array.dtype}")
    if shape is not None:
        check_shape(array, name, shape)
    return array.astype(np.float32)


def as_integers(value: ArrayLike, name: str, shape: tuple[int, ...] | None = None) -> NDArray[np.int64]:
    """Return `value` as an int64 array.

    Raises
    ------
    TypeError
        If it is no array, or not one of integers. An empty list counts as integers.
    ValueError
        If it has another `shape`, where one is given, or a number that int64 can't hold.
    """
    array = _as_array(value, name)
    if array.dtype.kind not in "iu" and not (array.size == 0 and isinstance(value, (list, tuple))):
        numbering = "; numpy.unique(..., return_inverse=True) numbers strings" if _of_strings(array) else ""
        raise TypeError(f"{name}: expected an array of integers, got dtype {array.dtype}{numbering}")
    if shape is not None:
        check_shape(array, name, shape)
    if array.dtype.kind == "u" and array.itemsize == 8 and array.size:
        largest = _unrepeated(array).max()
        if largest >= 1 << 63:
            raise ValueError(f"{name}: expected integers below 2**63, got {largest}")
    return array.astype(np.int64, copy=False)


def _unrepeated(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array without the repetitions of `numpy.broadcast_to`, which take no memory but time."""
    return array[tuple(slice(1) if stride == 0 else slice(None) for stride in array.strides)]


def as_numbers(value: ArrayLike, name: str, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    """Return `value` as an array of integers or of floats, whichever it is, as `as_integers`, `as_floats`."""
    array = _as_array(value, name)
    if array.dtype.kind in "iu" or _of_strings(array):
        return as_integers(array, name, shape)
    return as_floats(array, name, shape=shape)


def _of_strings(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "USO" and array.size > 0 and isinstance(array.flat[0], (str, bytes))


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
    """Raise ValueError unless all of `array` are finite numbers of at least 0."""
    wrong = array[~((array >= 0) & (array < np.inf))]
    if wrong.size:
        raise ValueError(f"{name}: expected finite numbers of at least 0, got {wrong[0]}")


def check_finite(array: NDArray[Any], name: str) -> None:
    """Raise ValueError unless all of `array` are finite numbers."""
    finite = np.isfinite(array)
    if not finite.all():
        raise ValueError(f"{name}: expected finite numbers, got {array[~finite][0]}")


def check_indices(array: NDArray[np.int64], name: str, end: int, called: str = "indices") -> None:
    """Raise ValueError unless all of `array` are from 0 to `end`, exclusive."""
    once = _unrepeated(array)
    if once.size and (once.min() < 0 or once.max() >= end):
        wrong = once.min() if once.min() < 0 else once.max()
        raise ValueError(f"{name}: expected {called} from 0 to {end - 1}, got {wrong}")


def as_size(value: int, name: str, least: int = 1, most: float = sys.maxsize) -> int:
    """Return `value` as an int from `least` to `most`; TypeError or ValueError otherwise."""
    try:
        size = operator.index(value)
    except TypeError:
        size = None
    if size is None or isinstance(value, bool):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if size < least:
        raise ValueError(f"{name}: expected an integer of at least {least}, got {size}")
    if size > most:
        raise ValueError(f"{name}: expected an integer of at most {most}, got {size}")
    return size


def as_index(value: int, name: str, end: int) -> int:
    """Return `value` as an int from 0 to `end`, exclusive; TypeError or ValueError otherwise."""
    index = as_size(value, name, least=0)
    if index >= end:
        raise ValueError(f"{name}: expected an index from 0 to {end - 1}, got {index}")
    return index


def as_boolean(value: bool, name: str) -> bool:
    """Return `value` as a bool; TypeError if it is anything else, such as a string or 1."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, got {value!r}")
    return bool(value)


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


def alternatives(names: Iterable[str]) -> str:
    """Return names for a sentence, as 'sum', 'mean' or 'mul'."""
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}" if others else last


def as_choice(*names: str) -> Callable[[Any, str], str]:
    """Return a check that a value is one of these names; ValueError otherwise."""

    def check(value: Any, name: str) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"{name}: expected {alternatives(names)}, got {value!r}")
        return value

    return check


def as_dtype(value: object) -> np.dtype[Any]:
    """Return `value` as the dtype float32 or float64; TypeError otherwise."""
    for real in (np.dtype(np.float32), np.dtype(np.float64)):
        try:
            # Other objects may compare element by element, or raise.
            if isinstance(value, (str, type, np.dtype)) and real == value:
                return real
        except TypeError:  # not a dtype's name at all
            break
    raise TypeError(f"dtype: expected float32 or float64, got {value!r}")


def as_generator(value: Any) -> np.random.Generator:
    """Return `value`, an argument `rng`, as a generator; TypeError or ValueError otherwise."""
    try:
        return np.random.default_rng(value)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        expected = "a numpy.random.Generator, a seed or None"
        raise kind(f"rng: expected {expected}, got {value!r} ({error})") from error


def as_mapping(value: Any, name: str, of: str) -> Mapping[str, Any]:
    """Return `value` if it is a mapping; TypeError, naming what it should be `of`, otherwise."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name}: expected a mapping of {of}, got {type(value).__name__}")
    return value


def as_path(value: str | os.PathLike[str], name: str) -> Path:
    """Return `value` as a path; TypeError or ValueError otherwise."""
    if not isinstance(value, (str, os.PathLike)) or not isinstance(os.fspath(value), str):
        raise TypeError(f"{name}: expected a str or path, got {value!r}")
    path = Path(value)
    if "\0" in os.fspath(path):
        raise ValueError(f"{name}: expected a path without null characters, got {value!r}")
    return path


# What state dictionaries and checkpoints hold

MOST_STEPS = 2**53
"""No training takes as many; up to here a float holds every whole number."""


def as_count(value: int, name: str) -> int:
    """Return `value` as an int from 0 to `MOST_STEPS`; TypeError or ValueError otherwise."""
    count = as_size(value, name, least=0)
    if count > MOST_STEPS:
        raise ValueError(f"{name}: expected an integer of at most {MOST_STEPS}, got {count}")
    return int(count)


def as_finite(value: float, name: str) -> float:
    """Return `value` as a float that is neither infinite nor nan; TypeError or ValueError otherwise."""
    number = as_number(value, name, "a finite number")
    if not np.isfinite(number):
        raise ValueError(f"{name}: expected a finite number, got {value!r}")
    return number


def as_amount(value: float, name: str) -> float:
    """Return `value` as a finite float of at least 0; TypeError or ValueError otherwise."""
    return as_finite(as_nonnegative(value, name), name)


def as_least(value: float, name: str) -> float:
    """Return `value`, the least that was seen, as a float; ValueError if it is nan, as nothing is less."""
    number = as_number(value, name)
    if np.isnan(number):
        raise ValueError(f"{name}: expected a number, got {value!r}")
    return number


def as_dict(value: object, name: str) -> dict[str, Any]:
    """Return a mapping of a description; ValueError if it is none."""
    if not isinstance(value, dict):
        raise ValueError(f"{name}: expected a mapping, got {type(value).__name__}")
    return value


def as_fields(value: object, name: str, checks: Mapping[str, Callable[[Any, str], Any]]) -> dict[str, Any]:
    """Return a mapping of just the names of `checks`, each value as its check returns it.

    Raises
    ------
    TypeError, ValueError
        If it is no mapping, a name is missing or surplus, or a check raises it.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{name}: expected a mapping, got {type(value).__name__}")
    if value.keys() != checks.keys():
        raise ValueError(f"{name}: expected {', '.join(checks)}, got {', '.join(map(str, value))}")
    return {part: check(value[part], part) for part, check in checks.items()}
