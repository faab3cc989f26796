"""Numbers of fewer bits: which of a model's weights have them, and how they are made of floats and back.

A model of `precision="int8"` has whole numbers from -127 to 127 for parameters, each row of a matrix with a
scale of its own, what one of them is worth: `weight_ih_l0` and `weight_ih_l0_scale`. One of "int4" has whole
numbers from -7 to 7, and a scale for each 64 neighbours of a row. One of "bfloat16" has
floats, which are rounded where they are packed. So are those of any model while `rounded` says so, which is
how a model learns what rounding will do to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .checks import Array, as_choice, as_integers, as_positive, as_size

if TYPE_CHECKING:
    from .parameters import Parameterised

Shape = tuple[int, ...]

INT8 = np.dtype(np.int8)
LARGEST = 127
"""The largest whole number; -128 is not used, so that a weight and its negative are alike."""

LARGEST_WEIGHTS = {"int8": LARGEST, "int4": 7}
"""The largest whole number that a weight is, for precisions whose weights are whole numbers."""

SCALED = 64
"""How many neighbours in a row of int4 share a scale."""

MOST_PRODUCTS = (2**31 - 1) // LARGEST**2
"""How many products of two whole numbers have a sum that fits 32 bits whatever they are."""

LEAST = np.float32(1e-30)
"""Rows whose numbers are all smaller are zeros: their scale's inverse might be infinite."""

UNIT_SCALE = 1 / LARGEST
"""What one of the whole numbers is worth that numbers from -1 to 1 become."""


# Options


PRECISIONS = ("bfloat16", "int8", "int4")


def as_precision(value: Any, name: str) -> str | None:
    """Return a precision; ValueError if it is none."""
    return None if value is None else as_choice(*PRECISIONS)(value, name)


def as_scale(value: Any, name: str) -> float | None:
    """Return what one whole number is worth, or None: found for each row."""
    return None if value is None else as_positive(value, name)


def as_x_bits(value: Any, name: str) -> int:
    """Return the bits that a number of x becomes; TypeError or ValueError if those can't be had."""
    bits = as_size(value, name)
    if bits not in (8, 16):
        raise ValueError(f"{name}: expected 8 or 16, got {bits}")
    return bits


USUAL_X = {"x_scale": None, "x_bits": 8}
"""What a model has that does not round x otherwise than others, or not at all."""


def check_heads(model: Any, precision: str | None) -> None:
    """Raise ValueError if a model's weights are blocks, and 64 neighbours of these are to share a scale."""
    heads = getattr(model, "heads", 1)
    if precision == "int4" and heads > 1:
        raise ValueError(f"precision: expected another than 'int4' for {heads} heads")


def check_usual(of_x: Mapping[str, Any], where: str) -> None:
    """Raise ValueError if x is to be rounded otherwise than usually, where it isn't rounded."""
    for name, usual in USUAL_X.items():
        if of_x[name] != usual:
            raise ValueError(f"{name}: expected {usual} {where}, got {of_x[name]}")


def check_precision(model: Any) -> None:
    """Raise ValueError unless the precision of a model goes with its dtype, and how it rounds x with that."""
    if not model._precisions:
        return
    check_heads(model, model.precision)
    if model.precision is not None and model.dtype != np.float32:
        raise ValueError(f"precision: expected None with dtype={model.dtype.name!r}, got {model.precision!r}")
    if model._scales_x and model.precision not in LARGEST_WEIGHTS:
        check_usual(vars(model), "without precision='int8' or 'int4'")


# Parameters


def is_whole(name: str, shape: Shape, precision: str | None) -> bool:
    """Return whether a parameter consists of whole numbers: a matrix that something is multiplied with."""
    return precision in LARGEST_WEIGHTS and name.startswith("weight") and len(shape) == 2


def scale_name(name: str) -> str:
    """Return the name of what the whole numbers of a matrix are worth."""
    return f"{name}_scale"


def forms(
    shapes: Iterable[tuple[str, Shape]], dtype: np.dtype[Any], precision: str | None
) -> Iterator[tuple[str, Shape, np.dtype[Any]]]:
    """Yield name, shape and dtype of each parameter, from names and shapes of those of a model of floats."""
    for name, shape in shapes:
        if is_whole(name, shape, precision):
            yield name, shape, INT8
            yield scale_name(name), scale_shape(shape, precision), dtype
        else:
            yield name, shape, dtype


def scale_shape(shape: Shape, precision: str | None) -> Shape:
    """Return the shape of the scales of a matrix: one a row, or one for SCALED neighbours in it."""
    return (shape[0], -(-shape[1] // SCALED)) if precision == "int4" else shape[:1]


def in_precision(arrays: Mapping[str, Array], precision: str | None) -> dict[str, NDArray[Any]]:
    """Return the parameters that a model of that precision has, from those of one of floats."""
    converted: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        if is_whole(name, array.shape, precision):
            converted[scale_name(name)] = scale = scales_of(array, precision)
            converted[name] = whole_numbers(array, scale)
        else:
            converted[name] = array
    return converted


def scales_of(rows: Array, precision: str | None) -> Array:
    """Return what one of the whole numbers is worth that a matrix (M, K) becomes."""
    return stretch_scales(rows) if precision == "int4" else row_scales(rows)


def row_scales(rows: Array, largest: int = LARGEST) -> Array:
    """Return what one of the whole numbers is worth that each row becomes, (...) of (..., n); 1 for zeros."""
    widest = np.abs(rows).max(axis=-1)
    return np.where(widest < LEAST, 1, widest / np.float32(largest)).astype(np.float32)


def stretch_scales(rows: Array) -> Array:
    """Return the same of each SCALED neighbours in a row, for int4: (M, ceil(K / 64))."""
    M, K = rows.shape
    stretches = np.zeros((M, -(-K // SCALED), SCALED), np.float32)
    stretches.reshape(M, -1)[:, :K] = rows
    return row_scales(stretches, LARGEST_WEIGHTS["int4"])


def whole_numbers(rows: Array, scale: Array) -> NDArray[np.int8]:
    """Return rows in units of their scales, as the nearest whole numbers, or the even ones of two."""
    precision = "int4" if scale.ndim == rows.ndim else "int8"
    largest = LARGEST_WEIGHTS[precision]
    return np.clip(np.rint(rows / _by_number(scale, rows)), -largest, largest).astype(np.int8)


def widened(numbers: NDArray[Any], scale: Array) -> Array:
    """Return the floats that whole numbers stand for."""
    return numbers * _by_number(scale, numbers)


def _by_number(scale: Array, numbers: NDArray[Any]) -> Array:
    """Return scales to multiply numbers by: of rows, or of SCALED neighbours in a row."""
    if scale.ndim < numbers.ndim:
        return scale[..., None]
    return np.repeat(scale, SCALED, axis=-1)[..., : numbers.shape[-1]]


def matrix(arrays: Mapping[str, NDArray[Any]], name: str, kept_as: str | None) -> tuple[Array, Array | None]:
    """Return a matrix of a model's parameters as floats, and its scales if it is to be kept as whole numbers.

    ValueError if its rows are too long for int8.
    """
    array = arrays[name]
    if kept_as == "int8" and array.shape[1] > MOST_PRODUCTS:
        expected = f"at most {MOST_PRODUCTS} columns with precision 'int8'"
        raise ValueError(f"{name}: expected {expected}, got {array.shape[1]}")
    if array.dtype == INT8:
        scale = arrays[scale_name(name)]
        return widened(array, scale), scale
    return array, scales_of(array, kept_as) if kept_as in LARGEST_WEIGHTS else None


def largest_weight(arrays: Mapping[str, NDArray[Any]], name: str) -> int:
    """Return the largest whole number that a parameter of whole numbers may have."""
    return LARGEST_WEIGHTS["int4" if arrays[scale_name(name)].ndim == 2 else "int8"]


def as_whole_numbers(value: Any, name: str, shape: Shape, largest: int) -> NDArray[np.int8]:
    """Return `value` as whole numbers of so many at most; TypeError or ValueError otherwise."""
    array = as_integers(value, name, shape)
    check_whole(array, name, largest)
    return array.astype(np.int8)


def check_whole(array: NDArray[Any], name: str, largest: int) -> None:
    """Raise ValueError if a parameter of whole numbers has one beyond the largest or its negative."""
    wrong = array[(array < -largest) | (array > largest)]
    if wrong.size:
        raise ValueError(f"{name}: expected whole numbers from -{largest} to {largest}, got {wrong[0]}")


def check_scale(array: NDArray[Any], name: str) -> None:
    """Raise ValueError unless a parameter, if it is rows' scales, consists of finite numbers above 0."""
    if not name.endswith(scale_name("")):
        return
    wrong = array[~((array > 0) & (array < np.inf))]
    if wrong.size:
        raise ValueError(f"{name}: expected finite scales above 0, got {wrong[0]}")


# Training


def check_trains(model: Parameterised, name: str = "model") -> None:
    """Raise ValueError if a model's weights are whole numbers, which no gradient moves."""
    if model._is_whole:
        raise ValueError(
            f"{name}: expected one of floats to train, got {model!r}: train that which it was made of, "
            'with fit(..., quantize="int8") to have it learn with its weights rounded'
        )


@contextmanager
def rounded(layers: Iterable[Any], precision: str | None) -> Iterator[None]:
    """Let layers of floats run with their products in that precision for the length of a block."""
    if precision is None:
        yield
        return
    chosen = [layer for layer in layers if precision in layer._precisions]
    for layer in chosen:
        check_heads(layer, precision)
        if layer.dtype != np.float32:
            raise ValueError(f"quantize: expected None for layers of {layer.dtype.name}, got {precision!r}")
    before = [layer._kept_as for layer in chosen]
    _keep_as(chosen, [precision] * len(chosen))
    try:
        yield
    finally:
        _keep_as(chosen, before)


def _keep_as(layers: list[Any], formats: list[str | None]) -> None:
    for layer, kept_as in zip(layers, formats, strict=True):
        layer._kept_as = kept_as
        layer._replace({})  # what was packed before is in another format
