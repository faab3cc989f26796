"""Passes of Keras's layers over arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...model import gru, lstm, rnn
from ...model.batch import Sequences
from ...model.cells import ROWS
from ...model.recurrent import Recurrent
from ...model.tape import Tape
from ..lent import lent, without_weights

Make = Callable[[int, str], Recurrent[Any]]
"""Makes a model of some form, of its input size and dtype."""

Kind = type[lstm.LSTM] | type[gru.GRU] | type[rnn.RNN]


@lru_cache(maxsize=256)
def weightless(
    kind: Kind,
    units: int,
    activations: tuple[Any, ...],
    options: tuple[tuple[str, Any], ...],
    input_size: int,
    dtype: str,
) -> Recurrent[Any]:
    """Return a model that each pass is lent the weights of."""
    told, rows = dict(options), ROWS[kind.__name__] * units
    shapes: dict[str, tuple[int, ...]] = {"weight_ih_l0": (rows, input_size), "weight_hh_l0": (rows, units)}
    if told["bias"]:
        shapes |= {"bias_ih_l0": (rows,), "bias_hh_l0": (rows,)}
    # What is said by `activations` makes a slower cell.
    if kind is rnn.RNN and activations[0] in ("tanh", "relu"):
        told["nonlinearity"] = activations[0]
    elif activations != kind._functions:
        told["activations"] = activations
    make: Any = partial(kind, input_size, units, dtype=dtype, **told)
    model: Recurrent[Any] = without_weights(make, shapes, np.dtype(dtype))
    return model


def on_arrays(
    make: Make,
    x: NDArray[Any],
    mask: NDArray[Any] | None,
    state: Sequence[NDArray[Any]],
    weights: Sequence[NDArray[Any]],
    training: bool = False,
) -> tuple[list[NDArray[Any]], Tape[Any] | None]:
    """Run a model with these weights: return y and the final states, and a tape if it is training.

    x is (B, T, I), the mask (B, T), states are (B, H); results have the dtype of x.
    """
    model = make(x.shape[-1], "float64" if x.dtype == np.float64 else "float32")
    arrays = [np.asarray(array, model.dtype) for array in (x, *(part[None] for part in state), *weights)]
    given, own = arrays[1 : 1 + len(state)], arrays[1 + len(state) :]
    y, final, tape = model._run_over(
        arrays[0],
        Sequences.of(x.shape[:2], True, mask=None if mask is None else np.asarray(mask, bool)),
        model._to_state(given),
        training,
        lent(dict(zip(model.parameters, own, strict=True))),
    )
    results = [y, *(part[0] for part in model._from_state(final, "state"))]
    return [array.astype(x.dtype, copy=False) for array in results], tape
