"""What recurrent models may be told beyond their sizes and layout: each option with its default and check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from .checks import as_boolean, as_choice, as_finite, as_probability
from .heads import as_heads
from .initial import as_init
from .merge import MERGES
from .precision import as_precision, as_scale, as_x_bits
from .variants import as_bound, as_dropping, as_functions, as_zoneout


class Options(TypedDict, total=False):
    """Those of every recurrent model."""

    reverse: bool
    clip: float | None
    activations: Sequence[str | tuple[str, float] | tuple[str, float, float]] | None
    zoneout: float | tuple[float, float]
    recurrent_dropout: float
    heads: int
    init: str | tuple[str, int]
    learn_state: bool
    merge: str
    weight_drop: float
    empty_state: str
    precision: str | None
    x_scale: float | None
    x_bits: int


class LSTMOptions(Options, total=False):
    """Those of an LSTM."""

    layer_norm: bool
    peepholes: bool
    input_forget: bool
    cell_clip: float | None
    forget_bias: float | None
    gate_masks: bool


class RNNOptions(Options, total=False):
    """Those of a plain RNN."""

    layer_norm: bool


class SLSTMOptions(Options, total=False):
    """Those of an sLSTM."""

    forget_bias: float | None
    gate_masks: bool
    forget_gate: str


class GRUOptions(Options, total=False):
    """Those of a GRU."""

    gate_masks: bool
    layer_norm: bool
    reset_after: bool


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes
    ----------
    default : object
    check : callable
        Of a value and the option's name: returns the value as the model keeps it.
    models : tuple of str, or None
        The classes that have it; None for all.
    """

    default: Any
    check: Callable[[Any, str], Any]
    models: tuple[str, ...] | None = None


def or_none(check: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """Return a check that lets None through."""
    return lambda value, name: None if value is None else check(value, name)


VARIED = ("LSTM", "RNN", "GRU")
"""The classes whose cells have variants."""

OPTIONS = {
    "reverse": Option(False, as_boolean),
    "clip": Option(None, as_bound, VARIED),
    "activations": Option(None, as_functions, VARIED),
    "zoneout": Option((0.0, 0.0), as_zoneout, VARIED),
    "recurrent_dropout": Option(0.0, as_dropping),
    "gate_masks": Option(False, as_boolean, ("LSTM", "GRU", "SLSTM")),
    "heads": Option(1, as_heads),
    "peepholes": Option(False, as_boolean, ("LSTM",)),
    "input_forget": Option(False, as_boolean, ("LSTM",)),
    "cell_clip": Option(None, as_bound, ("LSTM",)),
    "layer_norm": Option(False, as_boolean, VARIED),
    "init": Option("uniform", as_init),
    "learn_state": Option(False, as_boolean),
    "merge": Option("concat", as_choice(*MERGES)),
    "weight_drop": Option(0.0, as_probability),
    "empty_state": Option("initial", as_choice("initial", "zero")),
    "forget_bias": Option(None, or_none(as_finite), ("LSTM", "SLSTM")),
    "reset_after": Option(True, as_boolean, ("GRU",)),
    "forget_gate": Option("sigmoid", as_choice("sigmoid", "exp"), ("SLSTM",)),
    "precision": Option(None, as_precision),
    "x_scale": Option(None, as_scale),
    "x_bits": Option(8, as_x_bits),
}


def options_of(model: str) -> dict[str, Option]:
    """Return the options of a class by name."""
    return {
        name: option for name, option in OPTIONS.items() if option.models is None or model in option.models
    }


def checked_options(model: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all options, defaults for those that a class does not have.

    TypeError or ValueError if one is unknown or wrong.
    """
    known = options_of(model)
    for name in given:
        if name not in known:
            raise TypeError(f"{name}: expected one of the options {', '.join(known)}, got an unknown name")
    return {name: option.check(given.get(name, option.default), name) for name, option in OPTIONS.items()}
