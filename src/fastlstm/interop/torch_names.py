"""Layers in what has PyTorch's names, as its state dictionaries: "emb.weight", "lstm.weight_ih_l0"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .parts import (
    Part,
    Tensor,
    Told,
    embedding_part,
    kind_by_rows,
    linear_part,
    norm_part,
    recurrent_part,
    shown,
    under,
    with_nonlinearity,
)

RECURRENT_NAME = re.compile(r"((?:weight|bias)_(?:ih|hh)|weight_hr)(?:_l(\d{1,6})(_reverse)?)?")
"""A parameter of a recurrent module; without the layer, of a cell: `LSTMCell`."""

DERIVED = re.compile(rf"(?:{RECURRENT_NAME.pattern}|weight)_(?:g|v|orig)")
"""What PyTorch calculates a weight of, where `weight_norm` or `spectral_norm` was applied to it."""

LAYER_NORM_EPS = 1e-5
"""PyTorch's default, as files of weights don't say another."""


def parts_of(named: Mapping[str, Tensor], said: Mapping[str, Any], told: Told, prefix: str) -> list[Part]:
    """Return the layers of named arrays, in the order of the file.

    Parameters
    ----------
    named : mapping of str to array
    said : mapping of str to object
        What else the file says of modules, by the same names: "lstm.batch_first".
    told : Told
    prefix : str
        Of the modules that are wanted.

    Raises
    ------
    ValueError
        If there is a module that is no layer here, or one that might be several.
    """
    modules: dict[str, dict[str, Tensor]] = {}
    for name, array in named.items():
        module, dot, leaf = name.rpartition(".")
        if under(module, prefix):
            _check_plain(name, leaf)
            modules.setdefault(module + dot, {})[leaf] = array
    if not modules:
        there = ", ".join(sorted({name.partition(".")[0] for name in named})[:12]) or "none"
        raise ValueError(f"prefix: expected that of a layer, got {prefix!r}; there is {there}")
    parts = {module: _part(module, arrays, said, told) for module, arrays in modules.items()}
    recurrent = [part for part in parts.values() if part is not None and "weight_ih_l0" in part.arrays]
    return [
        part or _embedding_or_linear(module, modules[module]["weight"], said, told, recurrent)
        for module, part in parts.items()
    ]


def _check_plain(name: str, leaf: str) -> None:
    """Raise ValueError if weights are told by others, of which they would have to be calculated."""
    if "parametrizations" in name.split(".") or DERIVED.fullmatch(leaf):
        raise ValueError(
            f"{name[:100]}: expected plain weights, got what they are calculated of: before saving, call "
            "torch.nn.utils.parametrize.remove_parametrizations, or remove_weight_norm"
        )


def _part(module: str, arrays: Mapping[str, Tensor], said: Mapping[str, Any], told: Told) -> Part | None:
    """Return the layer of a module; None for one that may be an embedding or a linear one without bias."""
    if any(RECURRENT_NAME.fullmatch(leaf) for leaf in arrays):
        return _recurrent(module, arrays, said, told)
    weight, bias = arrays.get("weight"), arrays.get("bias")
    if arrays.keys() <= {"weight", "bias"} and weight is not None:
        if weight.ndim == 2 and bias is not None:
            return linear_part(module, weight, bias)
        if weight.ndim == 2:
            return None
        if weight.ndim == 1 and bias is not None:
            eps = told.eps or said.get(f"{module}eps", LAYER_NORM_EPS)
            return norm_part(module, weight, bias, len(weight), eps)
    shapes = ", ".join(f"{leaf} {array.shape}" for leaf, array in arrays.items())
    raise ValueError(
        f"{shown(module)}: expected Embedding, Linear, LayerNorm, LSTM, GRU or RNN, got {shapes[:300]}; "
        "prefix=... names the part of a file that is wanted"
    )


def _recurrent(module: str, arrays: Mapping[str, Tensor], said: Mapping[str, Any], told: Told) -> Part:
    ours: dict[str, Tensor] = {}
    for leaf, array in arrays.items():
        match = RECURRENT_NAME.fullmatch(leaf)
        if match is None:
            raise ValueError(f"{module}{leaf}: expected a parameter of a recurrent layer, got another")
        name, layer, reverse = match.groups()
        ours[f"{name}_l{int(layer or 0)}{reverse or ''}"] = array
    state, projection = ours.get("weight_hh_l0"), ours.get("weight_hr_l0")
    if state is None or state.ndim != 2 or (projection is not None and projection.ndim != 2):
        raise ValueError(f"{shown(module)}: expected a matrix weight_hh_l0, got {', '.join(arrays)}")
    size = state.shape[1] if projection is None else projection.shape[1]
    kind = kind_by_rows(module, state.shape[0], size)
    arguments = {"batch_first": said.get(f"{module}batch_first") is True} | dict(told.recurrent)
    dropout = said.get(f"{module}dropout")
    if isinstance(dropout, float) and dropout:
        arguments = {"dropout": dropout} | arguments
    if kind == "RNN":
        mode = {"RNN_TANH": "tanh", "RNN_RELU": "relu"}.get(str(said.get(f"{module}mode")))
        known = {} if mode is None else {"nonlinearity": mode}
        return recurrent_part(module, kind, ours, with_nonlinearity(module, known | arguments))
    arguments.pop("nonlinearity", None)
    return recurrent_part(module, kind, ours, arguments)


def _embedding_or_linear(
    module: str, weight: Tensor, said: Mapping[str, Any], told: Told, recurrent: list[Part]
) -> Part:
    """Return what a matrix alone is: an embedding if it gives what a recurrent layer reads, or a linear."""
    kind = told.linear_or_embedding(module)
    if kind is None and f"{module}num_embeddings" in said:
        kind = "Embedding"
    if kind is None and f"{module}in_features" in said:
        kind = "Linear"
    if kind is None and recurrent:
        reads = weight.shape[1] == recurrent[0].arguments["input_size"]
        last = recurrent[-1].arguments
        given = last.get("proj_size") or last["hidden_size"]
        projects = weight.shape[1] == given * (2 if last["bidirectional"] else 1)
        kind = "Embedding" if reads and not projects else "Linear" if projects and not reads else None
    if kind is None:
        raise ValueError(
            f"{module}weight: expected to tell an Embedding from a Linear without bias, got {weight.shape} "
            f"that may be either: load it with kinds={{{module!r}: 'Embedding'}} or 'Linear'"
        )
    if kind == "Linear":
        return linear_part(module, weight, None)
    padding = said.get(f"{module}padding_idx")
    return embedding_part(module, weight, padding if type(padding) is int else None)
