"""Named weights that can't go stale.

Weights are only ever replaced whole. The arrays of a model rest on immutable memory, and whatever is
derived from them (packed panels) lives on the same `Weights` object: a change makes a new object, so a
pass that has begun goes on with the weights it began with, and nothing ever sees half of a change.

A model of several layers reads and replaces the weights of all at one moment: under a lock, held for no
longer than it takes to exchange references.
"""

from __future__ import annotations

import copy
import math
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .attributes import Fixed
from .checks import MOST, Array, as_dtype, as_floats, as_mapping, check_finite
from .precision import (
    INT8,
    LARGEST_WEIGHTS,
    USUAL_X,
    as_whole_numbers,
    check_precision,
    check_scale,
    check_whole,
    forms,
    in_precision,
    largest_weight,
)

if TYPE_CHECKING:
    from .summary import Summary

Value = TypeVar("Value")

LISTED = 12
"""How many names a sentence shows."""


def frozen(array: Array) -> Array:
    """Return a copy that nobody can make writable: its memory is a bytes object."""
    return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)


def shapes(arrays: Mapping[str, Array]) -> str:
    """Return the names and shapes of arrays for a `repr`: their numbers would fill the screen."""
    return listed([f"{name} {array.shape}" for name, array in arrays.items()]) if arrays else ""


class Weights:
    """One state of a model's parameters, and what was derived from it.

    Attributes
    ----------
    arrays : mapping of str to array
    derived : object
        Packed layers, or None until a pass needs them.
    borrowed : Weights or None
        What the last pass had in the place of these that borrowed some.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays: Mapping[str, Array] = MappingProxyType(dict(arrays))
        self.derived: Any = None
        self.borrowed: Weights | None = None


class Parameters(Mapping[str, Array]):
    """Read-only arrays by name."""

    __slots__ = ("_arrays",)

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = arrays

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return f"<{shapes(self) or 'no'} parameters>"

    def __call__(self) -> NoReturn:
        """Refuse to be called, as PyTorch's would be."""
        raise TypeError(
            "parameters: expected `parameters`, a mapping of names to arrays, got a call; "
            "an optimiser takes a list of models, as in Adam([model])"
        )


_exchange = threading.RLock()
if hasattr(os, "register_at_fork"):  # a child must find the lock free, and no exchange half done
    os.register_at_fork(
        before=_exchange.acquire, after_in_parent=_exchange.release, after_in_child=_exchange.release
    )


def weights_of(layers: Sequence[Parameterised]) -> list[Weights]:
    """Return the weights that several layers have at one moment."""
    with _exchange:
        return [layer._weights for layer in layers]


def replace(layers: Sequence[Parameterised], changes: Sequence[Mapping[str, Array]]) -> None:
    """Give several layers checked and frozen arrays at one moment."""
    with _exchange:
        fresh = [
            Weights({**layer._weights.arrays, **change})
            for layer, change in zip(layers, changes, strict=True)
        ]
        for layer, weights in zip(layers, fresh, strict=True):
            layer._weights = weights


def full_names(layers: Iterable[str], by_layer: Iterable[Mapping[str, Array]]) -> dict[str, Array]:
    """Return what layers have by name, by the layer's name and their own."""
    return {
        f"{layer}.{name}": array
        for layer, named in zip(layers, by_layer, strict=True)
        for name, array in named.items()
    }


def by_layer(named: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
    """Return what has full names by the layer's name, and there by their own."""
    layers: dict[str, dict[str, Value]] = {}
    for full_name, value in named.items():
        layer, _, name = full_name.partition(".")
        layers.setdefault(layer, {})[name] = value
    return layers


_stored: ContextVar[Mapping[str, Array] | None] = ContextVar("stored parameters", default=None)


@contextmanager
def stored_parameters(arrays: Mapping[str, Array]) -> Iterator[None]:
    """Let a layer made in the block have these parameters, which are its own, and draw none.

    What does not fit is refused with a ValueError before memory is asked for.
    """
    token = _stored.set(arrays)
    try:
        yield
    finally:
        _stored.reset(token)


def taken(arrays: Mapping[str, Array], name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return the stored array of that name; ValueError if it does not fit."""
    if name not in arrays:
        raise ValueError(f"{name}: expected an array of shape {shape}, got none")
    array = arrays[name]
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{name}: expected {shape} of {dtype}, got {array.shape} of {array.dtype}")
    check_scale(array, name)
    return array


def all_taken(
    arrays: Mapping[str, Array],
    shapes: Iterable[tuple[str, tuple[int, ...]]],
    dtype: np.dtype[Any],
    precision: str | None,
) -> dict[str, Array]:
    """Return the stored arrays of a layer's parameters; ValueError if one does not fit."""
    own = {name: taken(arrays, name, shape, kind) for name, shape, kind in forms(shapes, dtype, precision)}
    for name, array in own.items():
        if array.dtype == INT8:
            check_whole(array, name, largest_weight(own, name))
    return own


def _drawn(
    shapes: Sequence[tuple[str, tuple[int, ...]]],
    dtype: np.dtype[Any],
    draw: Callable[[str, tuple[int, ...]], Array],
) -> dict[str, Array]:
    """Return initial values by name; ValueError or MemoryError if they are too many."""
    count = sum(math.prod(shape) for _, shape in shapes)
    if count > MOST:
        raise ValueError(f"sizes: expected parameters that memory can hold, got {count} numbers")
    try:
        return {name: draw(name, shape).astype(dtype) for name, shape in shapes}
    except MemoryError:
        raise MemoryError(
            f"sizes: expected memory for {count} parameters, got none from the system"
        ) from None


def _fitting(value: ArrayLike, name: str, current: Mapping[str, Array]) -> Array:
    """Return what is to replace a parameter; ValueError or TypeError if it can't."""
    array = _like(value, name, name, current)
    _check_numbers(array, name)
    return array


def _check_numbers(array: Array, name: str) -> None:
    """Raise ValueError unless what is to replace a parameter is finite, and above 0 if it is a scale."""
    if array.dtype != INT8:
        check_finite(array, name)
        check_scale(array, name)


def _like(value: ArrayLike, argument: str, name: str, current: Mapping[str, Array]) -> NDArray[Any]:
    """Return an array of a parameter's shape and dtype; ValueError or TypeError if it can't be one."""
    parameter = current[name]
    if parameter.dtype == INT8:
        return as_whole_numbers(value, argument, parameter.shape, largest_weight(current, name))
    with np.errstate(over="ignore"):  # what the parameter's dtype can't hold is infinite then, and refused
        return as_floats(value, argument, parameter.dtype, parameter.shape)


def _surplus(mapping: Mapping[Any, Any], expected: Collection[str]) -> list[str]:
    return [str(name) for name in mapping if name not in expected]


def check_names(mapping: Any, argument: str, known: Collection[str]) -> Mapping[str, Any]:
    """Return a mapping of some of the names known; TypeError or ValueError if it is not one."""
    given = as_mapping(mapping, argument, "names to arrays")
    surplus = _surplus(given, known)
    if surplus:
        raise ValueError(f"{argument}: expected only {listed(known)}; surplus {listed(surplus)}")
    return given


def borrowed(own: Weights, weights: Mapping[str, ArrayLike], prefix: str = "") -> Weights:
    """Return weights with some that are lent for a pass; those of the last such pass, if all are the same.

    `prefix` stands before a name in an error.
    """
    given = check_names(weights, "weights", own.arrays)
    last = own.borrowed or own
    arrays = {
        name: _lent(given[name], f"weights {prefix}{name}", name, last.arrays) if name in given else array
        for name, array in own.arrays.items()
    }
    if all(array is last.arrays[name] for name, array in arrays.items()):
        return last
    own.borrowed = Weights(arrays)
    return own.borrowed


def _lent(value: ArrayLike, argument: str, name: str, last: Mapping[str, Array]) -> Array:
    """Return a lent array as immutable memory: that which was lent before, if no bit differs."""
    known, array = last[name], _like(value, argument, name, last)
    if array is known or (not _is_frozen(array) and _same_bits(array, known)):
        return known
    _check_numbers(array, argument)
    return array if _is_frozen(array) else frozen(array)


def _is_frozen(array: Array) -> bool:
    """Return whether an array's memory is such as `frozen` gives."""
    memory: Any = array
    while isinstance(memory, np.ndarray):
        memory = memory.base
    return isinstance(memory, bytes) and array.flags.c_contiguous


def _same_bits(one: Array, other: Array) -> bool:
    bits = np.dtype(f"i{one.itemsize}")
    return np.array_equal(np.ascontiguousarray(one).view(bits), np.ascontiguousarray(other).view(bits))


def listed(names: Collection[str]) -> str:
    """Return names for a sentence, the first of them where they are many."""
    shown = ", ".join(list(names)[:LISTED]) or "none"
    return shown if len(names) <= LISTED else f"{shown} and {len(names) - LISTED} more"


def _prefix_told(mapping: Mapping[Any, Any], expected: Collection[str]) -> str:
    """Return the end of a sentence on the prefix that all expected names have in a mapping, if they have one.

    So they have in the `state_dict` of a PyTorch module that the layer is a part of.
    """
    first = next(iter(expected))
    for name in mapping:
        prefix = str(name).removesuffix(first)
        if prefix and prefix != name and all(prefix + wanted in mapping for wanted in expected):
            return (
                f"; all of them are there as {prefix}...: take these, and {prefix!r} off their names, "
                f"or have fastlstm.load(..., prefix={prefix!r}) read the file"
            )
    return ""


def _order_told(mapping: Mapping[Any, Any], expected: Mapping[str, Array]) -> str:
    """Return the end of a sentence on a mapping that has the same shapes in the same order under other names.

    So it has in the `state_dict` of a PyTorch model whose modules are attributes.
    """
    shapes = [tuple(getattr(value, "shape", ())) for value in mapping.values()]
    if shapes != [array.shape for array in expected.values()]:
        return ""
    return (
        "; the same shapes are there in this order: dict(zip(model.parameters, mapping.values())) has these "
        "names, or have fastlstm.load(...) make a model of the file"
    )


def _of_dtype(array: Array, name: str, dtype: np.dtype[Any]) -> Array:
    """Return a parameter's numbers in another dtype; ValueError if one has no place there."""
    if array.dtype.kind != "f":
        return array
    with np.errstate(over="ignore"):
        other = array.astype(dtype)
    check_finite(other, name)
    return other


class Named:
    """A parameter as an attribute, `lstm.weight_ih_l0`, or a sentence on what there is in its place.

    `Parameterised` has one for each name that a model's parameters had so far. With `__getattr__` in its
    place CPython reads every attribute of a model the slow way: a call took 15 % longer. What a model has
    itself under that name comes first.
    """

    def __init__(self, name: str, instead: str | None = None) -> None:
        self._name = name
        self._instead = instead

    def __get__(self, model: Parameterised | None, kind: type[Parameterised]) -> Any:
        if model is None:
            return self
        weights: Weights | None = model.__dict__.get("_weights")
        if weights is not None and self._name in weights.arrays:
            return weights.arrays[self._name]
        if self._instead is not None:
            raise AttributeError(f"{self._name}: {kind.__name__} has none: {self._instead}")
        raise AttributeError(f"{kind.__name__!r} object has no attribute {self._name!r}")


ELSEWHERE = {
    "cuda": "models run on the CPU",
    "double": 'astype("float64") returns a model of these',
    "float": 'astype("float32") returns a model of these',
    "half": 'fastlstm.quantize(model, "bfloat16") returns a model of fewer bits',
    "named_parameters": "parameters is a mapping of names to arrays, and has items()",
    "to": "models run on the CPU, and astype(dtype) returns one of another dtype",
    "zero_grad": "gradients are what tape.backward returns, and nothing adds up",
}
"""What people type who come from PyTorch, and what there is in its place."""

MOST_NAMES = 300
"""How many attributes there are; CPython gives up on a class that changes more than a thousand times."""


def _name_as_attributes(names: Iterable[str]) -> None:
    """Let models have their parameters of these names as attributes, too."""
    for name in names:
        if name not in _named and len(_named) < MOST_NAMES and not hasattr(Parameterised, name):
            _named.add(name)
            setattr(Parameterised, name, Named(name))


_named: set[str] = set()


class Parameterised(Fixed):
    """Base of everything that has weights.

    A subclass calls `_draw_initial` or `_set_initial` once; its parameters' names, shapes and dtype are
    fixed from then on, and with them all that it names in `_fixed`.
    """

    _weights: Weights
    _axes: Literal["...", "B", "TB"] = "..."
    """The axes of y but the last, for a summary: as those of x; sequences; steps of sequences."""
    _leaves_fewer = False
    """Whether y has another number of steps than x."""
    _ignored: Collection[str] = ()
    """Names of what PyTorch keeps beside the parameters, and this does without."""
    _precisions: tuple[str, ...] = ()
    """In what fewer bits it can have its weights. One that can has a `precision`, and is kept in that."""
    precision: str | None
    _kept_as: str | None
    """The format in which weights are packed: as `precision`, but while a model learns with them rounded."""
    _scales_x: bool = False
    """Whether it rounds what it reads as well, with an `x_scale` or one that it finds."""
    x_scale: float | None
    x_bits: int

    def _draw_initial(
        self,
        shapes: Iterable[tuple[str, tuple[int, ...]]],
        dtype: np.dtype[Any],
        draw: Callable[[str, tuple[int, ...]], Array],
        precision: str | None = None,
    ) -> None:
        """Draw initial values by name and shape, unless there are stored ones, which have that precision."""
        stored = _stored.get()
        if stored is None:
            self._set_initial(in_precision(_drawn(list(shapes), dtype, draw), precision))
        else:
            self._set_initial(all_taken(stored, shapes, dtype, precision))

    def _set_initial(self, arrays: Mapping[str, Array]) -> None:
        self._weights = Weights({name: frozen(array) for name, array in arrays.items()})
        _name_as_attributes(arrays)

    @property
    def parameters(self) -> Mapping[str, Array]:
        """Read-only views of the parameters by name.

        They stay as they are when the model's weights change: ask again for the new ones.
        """
        return Parameters(self._weights.arrays)

    def __dir__(self) -> Iterable[str]:
        others = {
            name for name in super().__dir__() if not isinstance(getattr(type(self), name, None), Named)
        }
        return others.union(name for name in self.parameters if name.isidentifier())

    def _check_free(self, name: str, got: str) -> None:
        super()._check_free(name, got)
        weights = self.__dict__.get("_weights")
        if (
            weights is not None
            and name in weights.arrays
            and isinstance(getattr(type(self), name, None), Named)
        ):
            raise AttributeError(
                f"{name}: expected a parameter to be replaced by update({{{name!r}: array}}), which checks it"
            )

    def eval(self) -> Self:
        """Return the model as it is: calling it is evaluation, always, and there is nothing to switch."""
        return self

    def train(self, mode: bool = True) -> Self:
        """Refuse, as no mode is kept: `forward` is training, a call is evaluation; `train(False)` is `eval`.

        Raises
        ------
        ValueError
            If `mode` is true.
        """
        if mode:
            raise ValueError(
                "mode: expected False, as a model keeps no mode, got True: forward(x) runs in training, with "
                "dropout and a tape, and fastlstm.fit trains"
            )
        return self

    def summary(self) -> Summary:
        """Return what the model is made of, layer by layer: shapes, parameters, multiply-adds, bytes.

        Examples
        --------
        >>> import fastlstm
        >>> fastlstm.LSTM(3, 5, rng=0).summary()
          layer       output     parameters  multiply-adds a step  bytes
          LSTM(3, 5)  (T, B, 5)         200                   160    800
        """
        from .summary import summary  # which most programs don't ask for

        return summary(self)

    def astype(self, dtype: DTypeLike) -> Self:
        """Return a model like this one whose parameters are of that dtype; this one stays as it is.

        Parameters
        ----------
        dtype : {"float32", "float64"}

        Raises
        ------
        TypeError, ValueError
            If `dtype` is something else, the model is one of fewer bits, which are made of float32, or a
            number is too large for float32.

        Examples
        --------
        >>> import numpy as np, fastlstm
        >>> exact = fastlstm.LSTM(3, 5, rng=0).astype("float64")
        >>> exact(np.ones((7, 2, 3)))[0].dtype
        dtype('float64')
        """
        # A copy of the whole model first: what its layers share, such as a generator, its copies share, too.
        return copy.deepcopy(self)._cast(as_dtype(dtype))

    def _cast(self, dtype: np.dtype[Any]) -> Self:
        """Change the dtype of a model that nobody else has yet."""
        state = self.__getstate__()
        if "dtype" in state:
            state["dtype"] = dtype
            state["_weights"] = {
                name: _of_dtype(array, name, dtype) for name, array in state["_weights"].items()
            }
            self.__setstate__(state)
            check_precision(self)
        return self

    @property
    def _multiply_adds(self) -> int:
        """How many multiply-adds the products with its matrices take for each step of one sequence."""
        return sum(
            array.size
            for name, array in self.parameters.items()
            if name.startswith("weight") and array.ndim > 1
        )

    @property
    def _is_whole(self) -> bool:
        """Whether weights are whole numbers, which can't be trained."""
        return bool(self._precisions) and self.precision in LARGEST_WEIGHTS

    @property
    def num_parameters(self) -> int:
        """How many numbers the parameters hold together."""
        return sum(array.size for array in self.parameters.values())

    @property
    def generators(self) -> tuple[np.random.Generator, ...]:
        """What draws in training, as dropout does; its state belongs to a run that is to be resumed."""
        return ()

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters by name, as `torch.nn.Module.state_dict` names them."""
        return {name: array.copy() for name, array in self.parameters.items()}

    def load_state_dict(self, mapping: Mapping[str, ArrayLike]) -> Self:
        """Replace all parameters.

        Parameters
        ----------
        mapping : mapping of str to array
            Exactly the names of `parameters`, each with its shape, of any float dtype; arrays, or
            whatever becomes one (`torch` tensors do). Parameters that are whole numbers take integers.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a name is missing or surplus, a shape is not the parameter's, or a number is not finite.
        TypeError
            If a value is not an array of floats.

        Notes
        -----
        After an exception every weight is as it was.
        """
        given = self._without_ignored(as_mapping(mapping, "mapping", "names to arrays"))
        current = self.parameters
        missing = [name for name in current if name not in given]
        surplus = _surplus(given, current)
        if missing:
            raise ValueError(
                f"mapping: expected all parameters, missing {listed(missing)}"
                + (f"; surplus {listed(surplus)}" if surplus else "")
                + (_prefix_told(given, current) or _order_told(given, current))
            )
        return self.update(given)

    def _without_ignored(self, mapping: Mapping[str, ArrayLike]) -> Mapping[str, ArrayLike]:
        """Return a mapping of names without those that PyTorch has and this does without."""
        ignored = self._ignored
        if not ignored or not isinstance(mapping, Mapping):
            return mapping
        return {name: value for name, value in mapping.items() if name not in ignored}

    def update(self, mapping: Mapping[str, ArrayLike]) -> Self:
        """Replace some parameters, all at once: as `load_state_dict`, but names may be missing."""
        current = self.parameters
        given = check_names(self._without_ignored(mapping), "mapping", current)
        self._replace({name: frozen(_fitting(value, name, current)) for name, value in given.items()})
        return self

    def _replace(self, arrays: Mapping[str, Array]) -> None:
        """Replace some parameters by checked and frozen arrays, all at one moment."""
        replace([self], [arrays])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_weights": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        arrays = state.pop("_weights")
        if self._scales_x:  # a version without such an option may have made the pickle
            state = {**USUAL_X, **state}
        self.__dict__.update(state)
        if self._precisions:  # a copy may have been made while the model learned with rounded weights
            self._kept_as = self.precision
        self._set_initial(arrays)


for _name, _instead in ELSEWHERE.items():
    setattr(Parameterised, _name, Named(_name, _instead))
