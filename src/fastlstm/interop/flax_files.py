"""Flax's files: parameters of `flax.linen` modules in msgpack, as `flax.serialization` writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from .budget import DEEPEST, LONGEST_NAME, Budget
from .parts import (
    RECURRENT,
    Part,
    Tensor,
    Told,
    embedding_part,
    from_bfloat16,
    in_order,
    linear_part,
    norm_part,
    recurrent_part,
    shown,
    under,
    with_nonlinearity,
)

NAME = "Flax"

LAYER_NORM_EPS = 1e-6
"""Flax's default."""

CELLS = {"LSTM": "ifgo", "GRU": "rzn"}
"""The cells by their gates, each of which has a module of its own for x, as "ii", and for h, as "hi"."""

FORWARD, BACKWARD = "forward_rnn", "backward_rnn"
"""The modules of a `flax.linen.Bidirectional`."""

ARRAY, SCALAR = 1, 3
"""What msgpack's extensions are in Flax's files."""

DTYPES = ("float16", "bfloat16", "float32", "float64", "int32", "int64", "uint32", "uint8", "int8", "bool")


def parts_of(content: bytes, told: Told, prefix: str) -> list[Part]:
    """Return the layers of a file; ValueError if it has none or is damaged, ImportError without msgpack."""
    modules = dict(_modules(_tree(content), ""))
    wanted = {name: module for name, module in modules.items() if under(name, prefix)}
    if not wanted:
        there = ", ".join(list(modules)[:12]) or "none"
        raise ValueError(f"prefix: expected the name of a module, got {prefix!r}; there is {there}")
    ordered = in_order(list(_parts(wanted, told)), is_ordered=False)
    _check_how_they_lie(ordered)
    return ordered


def _check_how_they_lie(parts: Sequence[Part]) -> None:
    """Refuse two cells that may be a stack, or two directions, made by a module without names for them."""
    cells = [part for part in parts if part.kind in RECURRENT]
    squares = [part.arrays["weight_ih_l0"].shape[1] == part.arrays["weight_hh_l0"].shape[1] for part in cells]
    if len(cells) > 1 and all(squares) and parts[-1].kind != "Linear":
        raise ValueError(
            f"layers: expected to know whether {cells[0].name!r} and {cells[1].name!r} lie on each other or "
            "are two directions, which neither names nor sizes tell: load each with prefix=..., a second "
            "direction with reverse=True"
        )


# msgpack


def _tree(content: bytes) -> dict[str, Any]:
    """Return the nested dictionaries of a file, whose leaves are arrays and plain values."""
    try:
        msgpack = import_module("msgpack")
    except ImportError as error:
        raise ImportError("Flax's files need msgpack: pip install 'fastlstm[files]'") from error
    budget = Budget.of(len(content))

    def extension(code: int, data: bytes) -> Any:
        return _array(data, msgpack, budget) if code in (ARRAY, SCALAR) else None

    try:
        # Its lists are shapes: a claim of more items would have memory for them before they are read.
        tree = msgpack.unpackb(
            content, ext_hook=extension, raw=False, max_array_len=DEEPEST, max_map_len=1 << 16
        )
    except (
        ValueError,
        RecursionError,
        TypeError,
        OverflowError,
        msgpack.exceptions.UnpackException,
    ) as error:
        raise ValueError(f"msgpack: expected a whole file of Flax's, got a damaged one ({error})") from error
    if not isinstance(tree, dict):
        raise ValueError(f"msgpack: expected a mapping, got {type(tree).__name__}")
    return tree


def _array(data: bytes, msgpack: Any, budget: Budget) -> Tensor:
    match msgpack.unpackb(data, raw=True, max_array_len=DEEPEST):
        case [[*shape], bytes(dtype), bytes(numbers)]:
            name = dtype.decode()
        case _:
            raise ValueError("expected an array's shape, dtype and numbers")
    if name not in DTYPES or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"expected an array of numbers, got {name[:100]}")
    budget.take(2 * len(numbers), "array")
    kind = "<u2" if name == "bfloat16" else np.dtype(name).newbyteorder("<")
    array: Tensor = np.frombuffer(numbers, kind).reshape(shape)
    return from_bfloat16(array) if name == "bfloat16" else array


# Modules


def _modules(tree: Mapping[Any, Any], name: str, depth: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what is a layer by its place: a cell, or a module that has arrays itself."""
    if depth > DEEPEST or len(name) > LONGEST_NAME:
        raise ValueError(f"{name[:100]}: expected less deep modules, got more")
    if _cell(tree) or any(isinstance(value, np.ndarray) for value in tree.values()):
        yield name, dict(tree)
        return
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _modules(value, f"{name}/{key}" if name else str(key), depth + 1)


def _cell(tree: Mapping[Any, Any]) -> str | None:
    """Return which cell a module is, by the names of its parts."""
    for kind, gates in CELLS.items():
        if tree.keys() == {f"{side}{gate}" for side in "ih" for gate in gates}:
            return kind
    return "RNN" if tree.keys() == {"i", "h"} else None


def _parts(modules: Mapping[str, Mapping[str, Any]], told: Told) -> Iterator[Part]:
    """Yield the layers of modules; the two cells of a `flax.linen.Bidirectional` are one."""
    backward = {_backward(name): name for name in modules if _backward(name) in modules}
    for name, module in modules.items():
        if name in backward:
            continue
        kind, other = _cell(module), modules.get(_backward(name))
        if kind is None:
            yield _part(name, module, told)
        elif other is None:
            yield _recurrent(name, kind, [module], told)
        elif _cell(other) == kind:
            yield _recurrent(name.rpartition(f"/{FORWARD}/")[0], kind, [module, other], told)
        else:
            raise ValueError(f"{shown(name)}: expected the same cell backward, got another")


def _backward(name: str) -> str:
    """Return where the other cell of a `Bidirectional` is; no name for a cell of none."""
    before, forward, after = name.rpartition(f"/{FORWARD}/")
    return f"{before}/{BACKWARD}/{after}" if forward else ""


def _part(name: str, module: Mapping[str, Any], told: Told) -> Part:
    arrays = {key: value for key, value in module.items() if isinstance(value, np.ndarray)}
    if arrays.keys() == {"embedding"}:
        return embedding_part(name, arrays["embedding"])
    if arrays.keys() <= {"kernel", "bias"} and "kernel" in arrays and arrays["kernel"].ndim == 2:
        return linear_part(name, arrays["kernel"].T, arrays.get("bias"))
    if arrays.keys() <= {"scale", "bias"} and len(arrays) == len(module):
        size = next(iter(arrays.values())).size
        return norm_part(name, arrays.get("scale"), arrays.get("bias"), size, told.eps or LAYER_NORM_EPS)
    shapes = ", ".join(f"{key} {array.shape}" for key, array in arrays.items())
    raise ValueError(f"{shown(name)}: expected Embed, Dense, LayerNorm or a cell, got {shapes[:200]}")


def _recurrent(name: str, kind: str, directions: Sequence[Mapping[str, Any]], told: Told) -> Part:
    arrays = {}
    for module, suffix in zip(directions, ("", "_reverse"), strict=False):
        for own, array in _direction(name, kind, module).items():
            arrays[f"{own}_l0{suffix}"] = array
    arguments: Mapping[str, Any] = {"batch_first": True} | dict(told.recurrent)
    if kind == "RNN":
        arguments = with_nonlinearity(name, arguments)
    else:
        arguments = {key: value for key, value in arguments.items() if key != "nonlinearity"}
    return recurrent_part(name, kind, arrays, arguments)


def _direction(name: str, kind: str, module: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of a cell by our short names."""
    gates, arrays = CELLS.get(kind, ""), {}
    for side, which in (("i", "ih"), ("h", "hh")):
        parts = [_dense(f"{name}/{side}{gate}", module[f"{side}{gate}"]) for gate in gates or [""]]
        arrays[f"weight_{which}"] = np.concatenate([kernel.T for kernel, _ in parts])
        if any(bias is not None for _, bias in parts):
            biases = [
                np.zeros(kernel.shape[1], kernel.dtype) if bias is None else bias for kernel, bias in parts
            ]
            arrays[f"bias_{which}"] = np.concatenate(biases)
    return arrays


def _dense(name: str, module: Any) -> tuple[Tensor, Tensor | None]:
    """Return the kernel and bias of one gate's module."""
    kernel, bias = (module.get(key) if isinstance(module, dict) else None for key in ("kernel", "bias"))
    if not isinstance(kernel, np.ndarray) or kernel.ndim != 2:
        raise ValueError(f"{shown(name)}: expected a kernel, got none")
    if bias is None:
        return kernel, None
    if not isinstance(bias, np.ndarray) or bias.shape != kernel.shape[1:]:
        raise ValueError(f"{shown(name)}: expected a bias of {kernel.shape[1:]}, got another")
    return kernel, bias
