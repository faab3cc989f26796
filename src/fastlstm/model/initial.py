"""How a recurrent model begins: its parameters' initial values, and the state before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .checks import Array, alternatives, as_size

if TYPE_CHECKING:
    from .recurrent import Recurrent

PLAIN = ("uniform", "orthogonal", "glorot")
KEEPS = {"LSTM": 1, "GRU": 1}
"""Which block of H weight rows is the gate that keeps the state: an LSTM's f, a GRU's z."""

Init = str | tuple[str, int]


def as_init(value: Any, name: str) -> Init:
    """Return `value` as a model keeps it; ValueError or TypeError if it names no way to draw."""
    if isinstance(value, str) and value in PLAIN:
        return value
    if isinstance(value, (tuple, list)) and len(value) == 2 and value[0] == "chrono":
        return "chrono", as_size(value[1], f"{name} T_max", least=2)
    raise ValueError(f"{name}: expected {', '.join(map(repr, PLAIN))} or ('chrono', T_max), got {value!r}")


def check_initial(model: Recurrent[Any]) -> None:
    """Raise ValueError where `init` or `forget_bias` asks for biases that the model doesn't have."""
    forget_bias = _forget_bias(model)
    if forget_bias is not None and not model.bias:
        raise ValueError(f"forget_bias: expected None with bias=False, got {forget_bias}")
    if forget_bias is not None and model.input_forget:
        raise ValueError(f"forget_bias: expected None with input_forget=True, got {forget_bias}")
    if isinstance(model.init, str):
        return
    plain = alternatives(PLAIN)
    kind = model._cell.model
    if kind not in KEEPS:
        why = "which has no gates" if kind == "RNN" else "whose gates are exponentials"
        raise ValueError(f"init: expected {plain} for {kind}, {why}, got {model.init}")
    if model.input_forget:
        raise ValueError(f"init: expected {plain} with input_forget=True, got {model.init}")
    if not model.bias:
        raise ValueError(f"init: expected {plain} with bias=False, got {model.init}")
    if forget_bias is not None:
        raise ValueError(f"forget_bias: expected None with init={model.init}, got {forget_bias}")


def initial_state(parameters: Mapping[str, Array], name: str) -> Array | float:
    """Return the state of that name before the first step: the learned one, (layers·D, 1, n), or zero."""
    learned = parameters.get(learned_name(name))
    return 0.0 if learned is None else learned[:, None]


def learned_name(state: str) -> str:
    """Return the name of the parameter that a state begins as, with `learn_state`."""
    return f"{state}_0"


def initial_values(model: Recurrent[Any], name: str, shape: tuple[int, ...]) -> Array:
    """Return what a parameter holds at first, drawn by the model's generator."""
    if name in map(learned_name, model._cell.states):
        return np.zeros(shape)
    if name.startswith("gain"):
        return np.ones(shape)
    if name.startswith("bias_c"):
        return np.zeros(shape)
    if name.startswith("bias"):
        return _bias(model, name.startswith("bias_ih"), shape)
    recurrent = name.startswith("weight_hh")
    if model.init == "glorot" and len(shape) == 2:
        return _orthogonal(model._rng, *shape) if recurrent else _glorot(model._rng, *shape)
    if model.init == "orthogonal" and recurrent:
        rows = model.hidden_size
        gates = [_orthogonal(model._rng, rows, shape[1]) for _ in range(shape[0] // rows)]
        return np.concatenate(gates)
    return _uniform(model, shape)


def _bias(model: Recurrent[Any], of_x: bool, shape: tuple[int, ...]) -> Array:
    """Return one of a place's two biases: what is set for a gate is in that of x, and the other has zeros."""
    H, forget_bias = model.hidden_size, _forget_bias(model)
    bias = np.zeros(shape) if model.init == "glorot" else _uniform(model, shape)
    if forget_bias is not None:
        _rows(bias, H, KEEPS["LSTM"])[...] = forget_bias if of_x else 0
    if not isinstance(model.init, str):
        _, longest = model.init
        kind = model._cell.model
        memory = np.log(model._rng.uniform(1, longest - 1, H)) if of_x else np.zeros(H)
        _rows(bias, H, KEEPS[kind])[...] = memory
        if kind == "LSTM":  # its input gate is another; a GRU's is what its z leaves
            _rows(bias, H, 0)[...] = -memory
    return bias


def _forget_bias(model: Recurrent[Any]) -> float | None:
    """Return the option, which only some cells have."""
    bias: float | None = getattr(model, "forget_bias", None)
    return bias


def _rows(array: Array, H: int, gate: int) -> Array:
    return array[gate * H : (gate + 1) * H]


def _uniform(model: Recurrent[Any], shape: tuple[int, ...]) -> Array:
    bound = 1 / np.sqrt(model.hidden_size)
    return model._rng.uniform(-bound, bound, shape)


def _glorot(rng: np.random.Generator, rows: int, columns: int) -> Array:
    bound = np.sqrt(6 / (rows + columns))
    return rng.uniform(-bound, bound, (rows, columns))


def _orthogonal(rng: np.random.Generator, rows: int, columns: int) -> Array:
    """Return a matrix whose columns, or rows if these are fewer, are orthonormal, all such alike likely."""
    tall = rng.standard_normal((max(rows, columns), min(rows, columns)))
    basis, triangle = np.linalg.qr(tall)
    basis *= np.where(np.diag(triangle) < 0, -1, 1)  # without that, some are likelier than others
    return basis if rows >= columns else np.ascontiguousarray(basis.T)
