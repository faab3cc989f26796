"""Models of fewer bits, made of those of floats."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

from .checks import as_choice, as_floats
from .graph import Graph
from .layered import Layered
from .parameters import Parameterised
from .precision import (
    LARGEST,
    LARGEST_WEIGHTS,
    PRECISIONS,
    USUAL_X,
    as_scale,
    as_x_bits,
    check_heads,
    check_usual,
    in_precision,
)
from .sequential import Sequential

AnyModel = TypeVar("AnyModel", bound=Parameterised)

as_smaller = as_choice(*PRECISIONS)


def quantize(model: AnyModel, precision: str, *, x_scale: float | None = None, x_bits: int = 8) -> AnyModel:
    """Return a model like another one, with products in fewer bits: faster, and with small errors.

    Parameters
    ----------
    model : LSTM, GRU, RNN, SLSTM, Linear, Embedding, Sequential or Graph
        Of float32; it stays as it is. In a model of layers those of other kinds are copied as they are.
    precision : {"int8", "int4", "bfloat16"}
        With "int8" the parameters of the new model are whole numbers from -127 to 127, with a scale for each
        row of a matrix: `weight_ih_l0` and `weight_ih_l0_scale`, (G,). Such a model is not trained further.
        An `Embedding` is kept so, too. With "int4" they are whole numbers from -7 to 7, with a scale for each
        64 neighbours in a row, (G, ceil(I / 64)); x and h are rounded as with "int8". With "bfloat16" they
        are floats, which products read rounded.
    x_scale : float, optional
        With "int8" and "int4", what one of the whole numbers is worth that x becomes, as `calibrate`
        finds it. If None, it is found for each vector of x, which takes a little time and is more exact
        where they differ in size. In a `Sequential` or `Graph` it is for the first layers that multiply
        in fewer bits, and so for what those read: behind an `Embedding` its vectors. What a layer of a
        stack has from the one below it, an LSTM, GRU or tanh, has 1/127.
    x_bits : {8, 16}, default 8
        With "int8" and "int4", the bits that a number of x becomes, in the same layers. With 16 what
        rounding to the first whole numbers leaves is rounded to such numbers in turn and multiplied, too:
        for raw features, whose rounding to 8 bits makes most of the error. It takes the time of one
        product by `weight_ih` more.

    Returns
    -------
    model : as `model`
        With the same face: call, lengths, stream, pool, trace, save.

    Raises
    ------
    ValueError, TypeError
        If the model is not one of float32, has fewer bits already or no layer that can have them; or an
        argument is not as above.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> lstm = fastlstm.LSTM(3, 5, rng=0)
    >>> small = fastlstm.quantize(lstm, "int8")
    >>> small.parameters["weight_hh_l0"].dtype, small.parameters["weight_hh_l0_scale"].shape
    (dtype('int8'), (20,))
    >>> x = np.ones((7, 2, 3))
    >>> bool(abs(small(x)[0] - lstm(x)[0]).max() < 0.01)
    True
    """
    chosen = as_smaller(precision, "precision")
    of_x = {"x_scale": as_scale(x_scale, "x_scale"), "x_bits": as_x_bits(x_bits, "x_bits")}
    if chosen not in LARGEST_WEIGHTS:
        check_usual(of_x, f"with precision {chosen!r}")
    if not isinstance(model, Parameterised):
        raise TypeError(f"model: expected a model of fastlstm, got {type(model).__name__}")
    if isinstance(model, Layered):
        return cast(AnyModel, _of_smaller_layers(model, chosen, of_x))
    if chosen not in model._precisions:
        raise ValueError(f"model: expected one that multiplies by weights, got {model!r}")
    return cast(AnyModel, _smaller(model, chosen, of_x, {}))


def _of_smaller_layers(model: Layered, precision: str, of_x: Mapping[str, Any]) -> Layered:
    """Return a model wired like that one, of layers in fewer bits and copies of the others."""
    if not any(precision in layer._precisions for layer in model.layers):
        raise ValueError(f"model: expected one with a layer that multiplies by weights, got {model!r}")
    first = _first_products(model)
    if not any(first):
        check_usual(of_x, f"for {model!r}, which multiplies no x")
    copied: dict[int, Any] = {}  # layers that share a generator share its copy
    layers = [
        _smaller(layer, precision, of_x if is_first else USUAL_X, copied)
        if precision in layer._precisions
        else copy.deepcopy(layer, copied)
        for layer, is_first in zip(model.layers, first, strict=True)
    ]
    if isinstance(model, Graph):
        nodes = zip(model.nodes.items(), layers, strict=True)
        return Graph({name: (layer, *sources) for (name, (_, *sources)), layer in nodes}, model.outputs)
    return Sequential(*layers)


def _first_products(model: Layered) -> list[bool]:
    """Return whether each layer is one that scales what it reads, with none such between that and x."""
    before = [True]  # for each value whether there is none between it and x
    first = []
    for layer, read in zip(model.layers, model._wiring.sources, strict=True):
        is_before = all(before[source] for source in read)
        first.append(is_before and layer._scales_x)
        before.append(is_before and not layer._scales_x)
    return first


def _smaller(layer: Any, precision: str, of_x: Mapping[str, Any], copied: dict[int, Any]) -> Any:
    """Return a layer of floats in fewer bits, x rounded as `of_x` says. `copied`: `copy.deepcopy`'s memo."""
    if layer.precision is not None:
        raise ValueError(f"model: expected one of float32, got {layer!r}")
    if layer.dtype != np.float32:
        raise ValueError(f"model: expected one of float32, got one of {layer.dtype.name}")
    check_heads(layer, precision)
    if not layer._scales_x:
        check_usual(of_x, f"for {layer!r}, which multiplies no x")
    state = layer.__getstate__()
    arrays = state.pop("_weights")
    state = copy.deepcopy(state, copied)
    state["_weights"] = in_precision(arrays, precision)
    state["precision"] = state["_kept_as"] = precision
    if layer._scales_x:
        state |= of_x
    smaller = object.__new__(type(layer))
    smaller.__setstate__(state)
    return smaller


def calibrate(data: ArrayLike | Iterable[ArrayLike], share: float = 1.0) -> float:
    """Return a scale for the x of an int8 model, from samples of x.

    Parameters
    ----------
    data : array, or iterable of arrays
        What the model is going to read.
    share : float, default 1.0
        Share of the numbers that are to lie within the range; what is outside counts as its end. A little
        less than 1 leaves out numbers that are much larger than all others.

    Returns
    -------
    x_scale : float
        For `quantize`.

    Raises
    ------
    ValueError, TypeError
        If there are no numbers, or not finite ones; or `share` is not above 0 and at most 1.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.calibrate([np.array([[1.0], [-2.54]]), np.zeros((3, 1))])
    0.02
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
        raise ValueError(f"share: expected a number above 0 and at most 1, got {share!r}")
    if not isinstance(data, Iterable) or isinstance(data, (str, bytes, Mapping)):
        raise TypeError(f"data: expected an array or arrays, got {type(data).__name__}")
    samples: Iterable[Any] = [data] if isinstance(data, np.ndarray) else data
    sizes = [np.abs(as_floats(sample, "data")).ravel() for sample in samples]
    if not sum(map(len, sizes)):
        raise ValueError("data: expected some numbers, got none")
    largest = float(np.quantile(np.concatenate(sizes), share))
    if not np.isfinite(largest):
        raise ValueError(f"data: expected finite numbers, got {largest}")
    return largest / LARGEST or 1.0 / LARGEST
