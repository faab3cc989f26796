"""Variants of the cells: how options become what the core is told, and what a pass in training drops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import Dropped, Layer, empty, functions
from .batch import Arrangement
from .checks import Array, as_finite, as_nonnegative, as_positive, as_probability
from .masks import dropout_mask, zone_mask

if TYPE_CHECKING:
    from .recurrent import Recurrent

Function = tuple[str, float, float]
"""A function that a cell may have in the place of another: its name, alpha and beta."""

_DEFAULTS = {
    "affine": (1.0, 0.0),
    "leaky_relu": (0.01, 0.0),
    "thresholded_relu": (1.0, 0.0),
    "scaled_tanh": (1.0, 1.0),
    "hard_sigmoid": (0.2, 0.5),
    "elu": (1.0, 0.0),
}
"""alpha and beta of the functions that have any, as ONNX's operators of these names have them."""

_NAMES = {name.replace("_", ""): name for name in functions()}
_SIGNED = ("leaky_relu", "scaled_tanh", "elu")
"""Functions whose alpha must be above zero, as their slope is told from the sign of what they give."""


# Checks


def as_function(value: Any, name: str) -> Function:
    """Return a function from its name, or (name, alpha) or (name, alpha, beta)."""
    parts = (value,) if isinstance(value, str) else value
    if not isinstance(parts, (tuple, list)) or not 1 <= len(parts) <= 3 or not isinstance(parts[0], str):
        raise TypeError(f"{name}: expected a name, or a tuple of a name, alpha and beta, got {value!r}")
    known = _NAMES.get(parts[0].replace("_", "").lower())
    if known is None:
        raise ValueError(f"{name}: expected one of {', '.join(_NAMES.values())}, got {parts[0]!r}")
    given = [as_finite(number, f"{name} {greek}") for number, greek in zip(parts[1:], ("alpha", "beta"))]  # noqa: B905
    alpha, beta = [*given, *_DEFAULTS.get(known, (0.0, 0.0))[len(given) :]]
    if known in _SIGNED and alpha <= 0:
        raise ValueError(f"{name}: expected an alpha above 0 for {known}, got {alpha}")
    return known, alpha, beta


def as_functions(value: Any, name: str) -> tuple[Function, ...] | None:
    """Return the functions of a cell, in the order of its model's docstring; None for the usual ones."""
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{name}: expected a sequence of functions or None, got {value!r}")
    return tuple(as_function(one, f"{name}[{k}]") for k, one in enumerate(value))


def as_bound(value: Any, name: str) -> float | None:
    """Return a number above zero, or None for no bound."""
    return None if value is None else as_positive(value, name)


def as_zoneout(value: Any, name: str) -> tuple[float, float]:
    """Return the shares of h and of c, from a pair or one number for both."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name}: expected a number, or a pair for h and c, got {value!r}")
        return as_probability(value[0], f"{name} h"), as_probability(value[1], f"{name} c")
    share = as_probability(value, name)
    return share, share


def as_dropping(value: Any, name: str) -> float:
    """Return a share of numbers to drop, less than 1."""
    share = as_nonnegative(value, name)
    if share >= 1:
        raise ValueError(f"{name}: expected a number from 0 to less than 1, got {value!r}")
    return share


def check_variant(model: Recurrent[Any]) -> None:
    """Raise ValueError unless the options of a model go together."""
    usual = usual_functions(model)
    if model.activations is not None and len(model.activations) != len(usual):
        raise ValueError(
            f"activations: expected {len(usual)} for an {type(model).__name__}, got {len(model.activations)}"
        )
    if model.proj_size and model.zoneout[0]:
        raise ValueError(f"zoneout: expected 0 for h with a projection, got {model.zoneout[0]}")
    if model.peepholes and model.zoneout[1]:
        raise ValueError(f"zoneout: expected 0 for c with peepholes, got {model.zoneout[1]}")
    if model.recurrent_dropout and not model.reset_after:
        raise ValueError(
            f"recurrent_dropout: expected 0 with reset_after=False, got {model.recurrent_dropout}"
        )
    if model.layer_norm:
        check_normed(model)
    if model.input_forget:
        gate, _, beta = (model.activations or usual)[0]
        if not (gate == "sigmoid" or (gate == "hard_sigmoid" and beta == 0.5)):
            raise ValueError(
                f"activations: expected a gate whose f(-x) is 1 - f(x) with input_forget=True, got {gate}"
            )


def check_normed(model: Recurrent[Any]) -> None:
    """Raise ValueError unless the other options of a model go together with layer normalisation."""
    if model._kind == "LSTM":  # whose c is normalised: its cell is one of its own
        for name in ("clip", "activations", "peepholes", "input_forget", "cell_clip"):
            if getattr(model, name):
                raise ValueError(f"{name}: expected none with layer_norm=True, got {getattr(model, name)!r}")
        if model.zoneout[1]:
            raise ValueError(f"zoneout: expected 0 for c with layer_norm=True, got {model.zoneout[1]}")
    if not model.reset_after:
        raise ValueError("layer_norm: expected False with reset_after=False, got True")


def check_masks(model: Recurrent[Any]) -> None:
    """Raise ValueError if gates have masks of their own, but not products of reals."""
    if model.recurrent_dropout and model.gate_masks and model._kept_as:
        raise ValueError(f"gate_masks: expected False to train with products in {model._kept_as}, got True")


# What the core is told


def usual_functions(model: Recurrent[Any]) -> tuple[Function, ...]:
    """Return the functions that a model's cell has if it is not told others."""
    return tuple((name, 0.0, 0.0) for name in model._functions)


def is_varied(model: Recurrent[Any]) -> bool:
    """Return whether a model's cells do something beside the plain ones."""
    return bool(model.clip or model.cell_clip or model.activations or any(model.zoneout) or model.peepholes)


def variant_of(model: Recurrent[Any], peephole: Array | None) -> dict[str, Any] | None:
    """Return what the model's cells do beside the plain ones, for `Layer`; None if that is nothing."""
    if not is_varied(model):
        return None
    chosen = model.activations or usual_functions(model)
    return {
        "functions": (*chosen, *[chosen[-1]] * (3 - len(chosen))),
        "clip": model.clip or 0.0,
        "cell_clip": model.cell_clip or 0.0,
        "zoneout": model.zoneout,
        "peephole": peephole,
    }


# What a pass drops


def dropped(model: Recurrent[Any], arrangement: Arrangement, h_0: Array, layer: Layer) -> Dropped | None:
    """Draw what a pass over one packed layer drops of the recurrence; None if the model drops nothing."""
    rng, dtype, shape = model._rng, model.dtype, (arrangement.batch.rows, layer.hidden_size)
    for_h, for_c = model.zoneout if "c" in model._cell.states else (model.zoneout[0], 0.0)
    zone_h = zone_mask(rng, for_h, shape, dtype) if for_h else None
    zone_c = zone_mask(rng, for_c, shape, dtype) if for_c else None
    if not model.recurrent_dropout:
        return Dropped(zone_h, zone_c) if for_h or for_c else None
    B, P = h_0.shape
    masks = model._weight_rows if model.gate_masks else 1
    mask = dropout_mask(rng, model.recurrent_dropout, (B, masks, P), dtype)
    if model.input_forget and model.gate_masks:  # f is 1 - i, and reads what i reads
        mask = np.insert(mask, 1, mask[:, 0], axis=1)
    each = mask.shape[1] * P
    fed_0 = (h_0[:, None] * mask).reshape(B, each)
    return Dropped(zone_h, zone_c, mask.reshape(B, each), fed_0, empty((shape[0], each), dtype))
