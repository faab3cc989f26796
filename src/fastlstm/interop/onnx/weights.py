"""Weights of recurrent layers as ONNX has them and as this package has them.

Shapes, with D directions and G gates: W (D, G·H, I), R (D, G·H, H), B (D, 2·G·H), and of an LSTM P (D, 3·H).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...model.heads import block_diagonal, of_pass
from ...model.recurrent import Recurrent
from ...model.tape import Place

Array = NDArray[Any]

FROM_ONNX = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Where each of our gates is among ONNX's: i, o, f, c of an LSTM; z, r, h of a GRU."""

TO_ONNX = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
"""Where each of ONNX's gates is among ours: i, f, g, o of an LSTM; r, z, n of a GRU."""

I_AND_F = (0, 2)
"""Where i and f are among ONNX's gates, i, o, f, c. Where f is 1 - i, ONNX has rows for f, but reads none."""


class Weights(NamedTuple):
    """What a node's inputs of these names are."""

    W: Array
    R: Array
    B: Array | None = None
    P: Array | None = None


def _picked(array: Array, parts: int, places: Sequence[int]) -> Array:
    """Return some of the equal parts of the rows of an array, in this order."""
    pieces = np.split(array, parts)
    return np.concatenate([pieces[place] for place in places])


def from_onnx(kind: str, weights: Weights, input_forget: bool) -> list[dict[str, Array]]:
    """Return each direction's parameters by their names in a model of one layer, without direction."""
    order, gates = FROM_ONNX[kind], len(FROM_ONNX[kind])
    peepholes: tuple[int, ...] = (0, 2, 1)  # i, f, o of ONNX's i, o, f
    if input_forget:
        order, peepholes = tuple(place for place in order if place != I_AND_F[1]), (0, 1)
    found = []
    for d in range(len(weights.W)):
        named = {
            "weight_ih_l0": _picked(weights.W[d], gates, order),
            "weight_hh_l0": _picked(weights.R[d], gates, order),
        }
        if weights.B is not None:
            of_x, of_h = np.split(weights.B[d], 2)
            named |= {
                "bias_ih_l0": _picked(of_x, gates, order),
                "bias_hh_l0": _picked(of_h, gates, order),
            }
        if weights.P is not None:
            named["weight_ch_l0"] = _picked(weights.P[d], 3, peepholes)
        found.append(named)
    return found


def to_onnx(model: Recurrent[Any], layer: int, parameters: Mapping[str, Array]) -> Weights:
    """Return the weights of a layer of an LSTM, GRU or RNN, for a node."""
    directions = [_direction(model, Place(layer, d), parameters) for d in range(model.directions)]
    parts: list[Any] = [
        None if any(part is None for part in same) else np.stack([part for part in same if part is not None])
        for same in zip(*directions, strict=True)
    ]
    return Weights(*parts)


def _direction(model: Recurrent[Any], place: Place, parameters: Mapping[str, Array]) -> Weights:
    """Return the weights of a direction, without their first axis."""
    kind, H = model._kind, model.hidden_size
    own = {
        name: parameters[place.name(name)]
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_ch")
        if place.name(name) in parameters
    }
    if model.heads > 1:
        own["weight_hh"] = whole_recurrent(own["weight_hh"], H)
    if model.input_forget:
        for name, array in own.items():
            own[name] = np.concatenate([array[:H], array[:H], array[H:]])
    order = TO_ONNX[kind]
    weights = {name: _picked(array, len(order), order) for name, array in own.items() if name != "weight_ch"}
    bias = np.concatenate([weights["bias_ih"], weights["bias_hh"]]) if model.bias else None
    peephole = _picked(own["weight_ch"], 3, (0, 2, 1)) if model.peepholes else None
    return Weights(weights["weight_ih"], weights["weight_hh"], bias, peephole)


def whole_recurrent(weight_hh: Array, H: int) -> Array:
    """Return the recurrent weights of a model with heads, with the zeros between them."""
    blocks = len(weight_hh) // H
    return block_diagonal(of_pass(weight_hh, blocks, 1, 0), blocks)
