"""What a file of another framework holds, as layers of this package: the step that all formats share.

A reader of a format finds arrays and what is said of them; here they become parts, and parts become a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files.description import CLASSES, MOST_LAYERS
from ..model.cells import ROWS
from ..model.checks import Array, as_boolean, as_choice, as_mapping, as_positive, check_finite
from ..model.options import OPTIONS, GRUOptions, LSTMOptions
from ..model.parameters import stored_parameters
from ..model.sequential import Sequential
from ..model.wiring import AnyLayer

RECURRENT = ("LSTM", "GRU", "RNN")

Tensor = NDArray[Any]


@dataclass(frozen=True)
class Part:
    """One layer of a file.

    Attributes
    ----------
    name : str
        Where it is in the file, as `prefix` takes it.
    kind : str
        The class that it becomes, one of `CLASSES`.
    arguments : mapping
        Of that class.
    arrays : mapping of str to array
        Its parameters, under the names of that class.
    """

    name: str
    kind: str
    arguments: Mapping[str, Any]
    arrays: Mapping[str, Array]

    def layer(self) -> AnyLayer:
        """Return the layer; ValueError or TypeError, which names the part, if the arrays do not fit."""
        try:
            with stored_parameters(self.arrays):
                layer: AnyLayer = CLASSES[self.kind](**self.arguments)
            surplus = self.arrays.keys() - layer.parameters.keys()
            if surplus:
                raise ValueError(f"arrays: expected those of {layer!r}, surplus {', '.join(sorted(surplus))}")
        except (ValueError, TypeError) as error:
            raise type(error)(f"{shown(self.name)}: {error}") from error
        return layer


def part(name: str, kind: str, arguments: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Part:
    """Return a part with its arrays in the one dtype that the layer will have; ValueError if they can't be.

    It is float64 where all of the file's are, and float32 otherwise.
    """
    dtype = np.dtype("float64" if all(a.dtype == np.float64 for a in arrays.values()) else "float32")
    cast = {}
    for own, array in arrays.items():
        if array.dtype.kind != "f":
            raise ValueError(f"{name} {own}: expected floats, got {array.dtype}")
        with np.errstate(over="ignore"):  # what float32 can't hold is infinite then, and refused
            cast[own] = array.astype(dtype, copy=False)
        check_finite(cast[own], f"{name} {own}")
    told = {"dtype": dtype.name} if arrays else {}
    return Part(name, kind, told | dict(arguments), cast)


def from_bfloat16(halves: Tensor) -> Tensor:
    """Return numbers of bfloat16, given as integers of 16 bits, as float32."""
    return (halves.astype(np.uint32) << 16).view(np.float32)


# What files don't say


class ToldOfOthers(LSTMOptions, GRUOptions, total=False):
    """What `load` may be told of a model, beside the options of recurrent layers."""

    batch_first: bool
    nonlinearity: str
    kinds: Mapping[str, str]
    eps: float
    masked: bool


@dataclass(frozen=True)
class Told:
    """What the caller tells of a model, as the file does not say it.

    Attributes
    ----------
    recurrent : mapping
        Arguments of the recurrent layers.
    kinds : mapping of str to str
        The class of a part, by its name.
    eps : float or None
        Of `LayerNorm`.
    masked : bool
        Whether the caller passes the masks that the file's own layers would make.
    """

    recurrent: Mapping[str, Any]
    kinds: Mapping[str, str]
    eps: float | None
    masked: bool

    def linear_or_embedding(self, name: str) -> str | None:
        """Return which of the two a part with that name is, if it was told."""
        return next((kind for part, kind in self.kinds.items() if bare(part) == bare(name)), None)


def as_told(given: Mapping[str, Any]) -> Told:
    """Return what was told, checked; TypeError or ValueError if it is nothing that can be told."""
    known = ("batch_first", "nonlinearity", *OPTIONS, "kinds", "eps", "masked")
    for name in given:
        if name not in known:
            raise TypeError(f"{shown(name)}: expected one of {', '.join(known)}, got an unknown name")
    kinds = as_mapping(given.get("kinds", {}), "kinds", "names to classes")
    for name, kind in kinds.items():
        as_choice("Linear", "Embedding")(kind, f"kinds {name}")
    return Told(
        {name: value for name, value in given.items() if name not in ("kinds", "eps", "masked")},
        kinds,
        as_positive(given["eps"], "eps") if "eps" in given else None,
        as_boolean(given.get("masked", False), "masked"),
    )


def untold(told: Told, prefix: str, what: str) -> None:
    """Raise ValueError if something was told of a file that says all itself."""
    given = [*told.recurrent, *(name for name in ("kinds", "eps", "masked") if getattr(told, name))]
    for name in ["prefix"] * bool(prefix) + given:
        raise ValueError(f"{name}: expected none for {what}, got one")


# Names


def bare(name: str) -> str:
    """Return a name without the sign that ends it as a prefix."""
    return name.rstrip("./")


def shown(name: str) -> str:
    """Return a name for the beginning of a sentence."""
    return bare(name)[:100] or "layer"


def under(name: str, prefix: str) -> bool:
    """Return whether a name is that of the prefix, or under it."""
    rest = name.removeprefix(bare(prefix))
    return not bare(prefix) or (rest != name and (not rest or rest[0] in "./"))


def all_but_numbers(name: str) -> str:
    """Return what names have in common that differ in numbers alone: lstm1 and lstm2, lstm and lstm_1."""
    return re.sub(r"_?\d+", "", name)


def by_number(name: str) -> list[int]:
    """Return a key that sorts such names: lstm_2 before lstm_10."""
    return [int(digits[:18]) for digits in re.findall(r"\d+", name)]


# Parts of arrays that no configuration explains


def recurrent_part(name: str, kind: str, arrays: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> Part:
    """Return an LSTM, GRU or RNN from arrays under our names; its sizes follow from them.

    A direction may have either or both of the two biases.
    """
    arrays = dict(arrays)
    first, state = arrays.get("weight_ih_l0"), arrays.get("weight_hh_l0")
    if first is None or state is None or first.ndim != 2 or state.ndim != 2 or not state.size:
        raise ValueError(f"{shown(name)}: expected matrices weight_ih and weight_hh, got {_shapes(arrays)}")
    projection = arrays.get("weight_hr_l0")
    layers = [int(own.rpartition("_l")[2].split("_")[0][:6]) for own in arrays if own.startswith("weight_ih")]
    bias = any(own.startswith("bias_") for own in arrays)
    if bias:
        for own in [own for own in arrays if own.startswith("weight_ih")]:
            rest = own.removeprefix("weight_ih")
            pair = f"bias_ih{rest}", f"bias_hh{rest}"
            there = next((arrays[one] for one in pair if one in arrays), None)
            if there is not None:
                arrays = {one: np.zeros_like(there) for one in pair} | arrays
    sizes = {
        "input_size": first.shape[1],
        "hidden_size": state.shape[1] if projection is None else projection.shape[-1],
        "num_layers": max(layers) + 1,
        "bias": bias,
        "bidirectional": "weight_ih_l0_reverse" in arrays,
    }
    if projection is not None:
        sizes["proj_size"] = projection.shape[0]
    return part(name, kind, sizes | dict(arguments), arrays)


def kind_by_rows(name: str, rows: int, size: int) -> str:
    """Return the class whose weights have so many rows for so many units; ValueError if none has."""
    for kind in RECURRENT:
        if size and rows == ROWS[kind] * size:
            return kind
    raise ValueError(
        f"{shown(name)}: expected 4, 3 or 1 rows a unit (LSTM, GRU, RNN), got {rows} for {size} units"
    )


def with_nonlinearity(name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments of an RNN; ValueError if nobody says whether it is one of tanh or of relu."""
    if arguments.keys() & {"nonlinearity", "activations"}:
        return arguments
    raise ValueError(
        f"{shown(name)}: expected an RNN of tanh or of relu, got weights that don't tell: "
        "load it with nonlinearity='tanh' or 'relu'"
    )


def linear_part(name: str, weight: Tensor, bias: Tensor | None) -> Part:
    """Return a `Linear` from a weight (out, in), and a bias (out,)."""
    if weight.ndim != 2:
        raise ValueError(f"{shown(name)}: expected a matrix, got shape {weight.shape}")
    arguments = {"in_features": weight.shape[1], "out_features": weight.shape[0], "bias": bias is not None}
    return part(name, "Linear", arguments, {"weight": weight} | ({} if bias is None else {"bias": bias}))


def embedding_part(name: str, weight: Tensor, padding_idx: Any = None) -> Part:
    """Return an `Embedding` from its vectors (V, D)."""
    if weight.ndim != 2:
        raise ValueError(f"{shown(name)}: expected a matrix, got shape {weight.shape}")
    arguments = {
        "num_embeddings": weight.shape[0],
        "embedding_dim": weight.shape[1],
        "padding_idx": padding_idx,
    }
    return part(name, "Embedding", arguments, {"weight": weight})


def norm_part(name: str, weight: Tensor | None, bias: Tensor | None, size: int, eps: float) -> Part:
    """Return a `LayerNorm`; a gain that is missing is one, a bias zero."""
    like = next((array for array in (weight, bias) if array is not None), np.zeros(0, np.float32))
    arrays = {
        "weight": np.ones(size, like.dtype) if weight is None else weight,
        "bias": np.zeros(size, like.dtype) if bias is None else bias,
    }
    return part(name, "LayerNorm", {"size": size, "eps": eps}, arrays)


# Models


def model_of(parts: Sequence[Part]) -> AnyLayer | Sequential:
    """Return the model of parts whose order and connections the file says."""
    if not parts:
        raise ValueError("layers: expected at least one, got none")
    if len(parts) > MOST_LAYERS:
        raise ValueError(f"layers: expected at most {MOST_LAYERS}, got {len(parts)}")
    layers = [one.layer() for one in parts]
    return layers[0] if len(layers) == 1 else Sequential(*layers)


def in_order(parts: Sequence[Part], is_ordered: bool) -> list[Part]:
    """Return the parts of a file that does not say how they are connected, in the only possible order.

    That is an embedding, recurrent layers whose names differ in their numbers alone, and a `Linear`. Anything
    else might be connected in several ways.

    Parameters
    ----------
    parts : sequence of Part
    is_ordered : bool
        Whether they lie in the file as the model has them.

    Raises
    ------
    ValueError
        If there are several ways.
    """
    if len(parts) < 2:
        return list(parts)
    place = {"Embedding": 0, "LSTM": 1, "GRU": 1, "RNN": 1, "Linear": 2}
    ordered = sorted(parts, key=lambda one: (place.get(one.kind, 3), by_number(one.name)))
    counts = {kind: sum(one.kind == kind for one in parts) for kind in place}
    recurrent = [one for one in ordered if one.kind in RECURRENT]
    if (
        any(one.kind not in place for one in parts)
        or counts["Embedding"] > 1
        or counts["Linear"] > 1
        or not recurrent
        or len({(one.kind, all_but_numbers(one.name)) for one in recurrent}) > 1
        or (is_ordered and ordered != list(parts))
    ):
        raise ValueError(
            "layers: expected an Embedding, recurrent layers and a Linear at most, as a file of weights does "
            f"not say how others are connected, got {listed(parts)}: load each with prefix=..., as in "
            f"prefix={parts[0].name!r}"
        )
    return ordered


def listed(parts: Iterable[Part]) -> str:
    """Return parts for a sentence."""
    return ", ".join(f"{one.name!r} {one.kind}" for one in parts)


def _shapes(arrays: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "none"
