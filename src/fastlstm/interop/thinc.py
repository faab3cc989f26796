"""An LSTM in Thinc's registry of layers: `fastlstm.LSTM.v1`, in configurations of spaCy, too.

It needs Thinc: ``pip install 'fastlstm[thinc]'``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

try:
    from thinc.api import Model, Padded, glorot_uniform_init, registry, with_padded, zero_init
except ImportError as error:
    raise ImportError("fastlstm.interop.thinc needs Thinc: pip install 'fastlstm[thinc]'") from error

from ..model import lstm
from ..model.cells import ROWS
from ..model.checks import Array
from ..model.tape import Place, Tape
from .lent import lent, without_weights

__all__ = ["LSTM"]

Initial = Callable[..., Any]


@registry.layers("fastlstm.LSTM.v1")
def LSTM(
    nO: int | None = None,
    nI: int | None = None,
    *,
    bi: bool = False,
    depth: int = 1,
    dropout: float = 0.0,
    init_W: Initial | None = None,
    init_b: Initial | None = None,
) -> Model[Any, Any]:
    """Return an LSTM that takes and gives `Padded`, `Ragged` or lists of 2-d arrays, on the CPU.

    Parameters
    ----------
    nO : int, optional
        Numbers of each step of its output: with `bi` half of them for each direction.
    nI : int, optional
        Numbers of each step of its input. Both may be inferred by `initialize`.
    bi : bool, default False
        Whether it runs in both directions.
    depth : int, default 1
        How many layers.
    dropout : float, default 0.0
        Share of each layer's outputs but the last's that training sets to zero.
    init_W, init_b : callable, optional
        Initialisers of Thinc, for the weights of each gate and for biases; `glorot_uniform_init` and
        `zero_init` by default.

    Returns
    -------
    thinc.model.Model

    Raises
    ------
    ValueError
        If `depth` is not at least 1, or `nO` odd with `bi`; when it runs, if arrays are not NumPy's.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.interop.thinc import LSTM
    >>> lstm = LSTM(6, 3, bi=True).initialize()
    >>> [y.shape for y in lstm.predict([np.ones((4, 3), "f"), np.ones((2, 3), "f")])]
    [(4, 6), (2, 6)]
    """
    if depth < 1:
        raise ValueError(f"depth: expected at least 1, got {depth}")
    directions = 2 if bi else 1
    if nO is not None and nO % directions:
        raise ValueError(f"nO: expected an even number with bi=True, got {nO}")
    names = [place.name(short) for place in _places(depth, directions) for short in _SHAPES]
    layer: Model[Padded, Padded] = Model(
        "fastlstm",
        _forward,
        init=partial(_initialize, init_W or glorot_uniform_init, init_b or zero_init),
        dims={"nO": nO, "nI": nI, "depth": depth, "dirs": directions},
        attrs={"registry_name": "fastlstm.LSTM.v1", "dropout_rate": dropout},
        params=dict.fromkeys(names),
    )
    return with_padded(layer)


def _places(depth: int, directions: int) -> list[Place]:
    return [Place(layer, direction) for layer in range(depth) for direction in range(directions)]


def _shapes(I: int, H: int) -> dict[str, tuple[int, ...]]:  # noqa: E741
    """Return the shapes of a direction's parameters."""
    rows = ROWS["LSTM"] * H
    return {"weight_ih": (rows, I), "weight_hh": (rows, H), "bias_ih": (rows,), "bias_hh": (rows,)}


_SHAPES = _shapes(1, 1)


def _initialize(
    init_W: Initial, init_b: Initial, model: Model[Any, Any], X: Any = None, Y: Any = None
) -> None:
    for name, sample in (("nI", X), ("nO", Y)):
        if sample is not None and model.has_dim(name) is None:
            model.set_dim(name, sample.data.shape[-1])
    directions, nO, nI = (model.get_dim(name) for name in ("dirs", "nO", "nI"))
    if nO % directions:
        raise ValueError(f"nO: expected an even number with bi=True, got {nO}")
    H = nO // directions
    for place in _places(model.get_dim("depth"), directions):
        for short, (_, *columns) in _shapes(nI if place.layer == 0 else nO, H).items():
            init = init_W if columns else init_b
            gates = [init(model.ops, (H, *columns)) for _ in range(ROWS["LSTM"])]
            model.set_param(place.name(short), model.ops.xp.concatenate(gates))


@lru_cache(maxsize=64)
def _core(input_size: int, hidden_size: int, bidirectional: bool, dtype: np.dtype[Any]) -> lstm.LSTM:
    """Return a layer's model."""
    shapes = _shapes(input_size, hidden_size)
    named = {place.name(short): shapes[short] for place in _places(1, 1 + bidirectional) for short in shapes}
    make = partial(lstm.LSTM, input_size, hidden_size, bidirectional=bidirectional, dtype=dtype)
    return without_weights(make, named, dtype)


def _forward(
    model: Model[Any, Any],
    X: Padded,
    is_train: bool,
) -> tuple[Padded, Callable[[Padded], Padded]]:
    depth, rate = model.get_dim("depth"), model.attrs["dropout_rate"] if is_train else 0.0
    if not isinstance(X.data, np.ndarray):
        raise ValueError(f"X: expected arrays of NumPy, got {type(X.data).__name__}")
    rows: Array = X.data
    tapes: list[Tape[Any] | None] = []
    masks: list[Array | None] = []
    for layer in range(depth):
        rows, tape = _forward_layer(model, layer, rows, X.lengths, is_train)
        tapes.append(tape)
        masks.append(model.ops.get_dropout_mask(rows.shape, rate) if rate and layer + 1 < depth else None)
        if masks[-1] is not None:
            rows = rows * masks[-1]

    def backprop(dY: Padded) -> Padded:
        d_rows: Any = dY.data
        for layer in reversed(range(depth)):
            tape, mask = tapes[layer], masks[layer]
            assert tape is not None, "a pass that was not of training has no gradients"
            gradients = tape.backward(d_rows if mask is None else d_rows * mask)
            for name, gradient in gradients.parameters.items():
                model.inc_grad(_of_layer(name, layer), gradient)
            d_rows = gradients.input
        return Padded(d_rows, dY.size_at_t, dY.lengths, dY.indices)

    return Padded(rows, X.size_at_t, X.lengths, X.indices), backprop


def _of_layer(name: str, layer: int) -> str:
    """Return the name that a parameter of a model of one layer has in that layer of a stack."""
    return name.replace("_l0", f"_l{layer}")


def _forward_layer(
    model: Model[Any, Any], layer: int, rows: Array, lengths: Any, is_train: bool
) -> tuple[Array, Tape[Any] | None]:
    directions = model.get_dim("dirs")
    H = model.get_dim("nO") // directions
    first = model.get_param(Place(layer, 0).name("weight_ih"))
    core = _core(rows.shape[-1], H, directions == 2, first.dtype)
    params: dict[str, Any] = {name: model.get_param(_of_layer(name, layer)) for name in core.parameters}
    y, _, tape = core._run(rows, None, lengths, is_train, lent(params))
    return y, tape
