"""Models in files: safetensors for the weights, and what they are the weights of as JSON beside them.

The JSON has names of classes, which a fixed table turns into classes, and arguments of their constructors,
which check them as they do anyone's. Nothing in a file is ever imported or run.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any

from . import layers
from ._arrays import Array
from ._container import DAMAGED, as_dict, read, write
from .parameters import stored_parameters
from .recurrent import LSTM, RNN
from .sequential import AnyLayer, Sequential

Model = AnyLayer | Sequential

CLASSES: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (LSTM, RNN, *(getattr(layers, name) for name in layers.__all__))
}
"""What a file may name, beside Sequential."""

FORMAT = "fastlstm"


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model to a file, whole or not at all.

    It is a safetensors file, with PyTorch's names for the weights. The state of random number generators
    is not part of it.

    Parameters
    ----------
    model : LSTM, RNN, a layer of `fastlstm.layers` or Sequential
    path : str or path
        By custom it ends in ".safetensors". A file that is there is replaced.

    Raises
    ------
    TypeError
        If `model` is something else.
    OSError
        If the file can't be written; one that was there is as it was.

    Examples
    --------
    >>> import os, tempfile, fastlstm
    >>> model = fastlstm.Sequential(fastlstm.LSTM(3, 5), fastlstm.LastStep(), fastlstm.Linear(5, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     fastlstm.save(model, path)
    ...     fastlstm.load(path)
    Sequential(LSTM(3, 5), LastStep(), Linear(5, 2))
    """
    write(path, FORMAT, described(model), model.parameters)


def load(path: str | os.PathLike[str]) -> Model:
    """Return the model that `save` wrote to a file.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    LSTM, RNN, a layer of `fastlstm.layers` or Sequential

    Raises
    ------
    ValueError
        If the file is not one that `save` wrote, or not whole, or has been changed. Nothing in it can make
        `load` run code, or ask for much more memory than its own size.
    OSError
        If it can't be read.

    Examples
    --------
    >>> import os, tempfile, fastlstm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     fastlstm.save(fastlstm.Linear(5, 2), path)
    ...     fastlstm.load(path)
    Linear(5, 2)
    """
    try:
        return _model(*read(path, FORMAT))
    except DAMAGED as error:
        raise ValueError(
            f"path: expected a model that this fastlstm's save wrote, got {os.fspath(path)!r} ({error})"
        ) from error


# Writing


def described(model: Model) -> dict[str, Any]:
    """Return a model's class and constructor arguments, ready for JSON; TypeError if it can't be saved."""
    kind = type(model)
    if isinstance(model, Sequential) and kind is Sequential:
        return {"class": "Sequential", "layers": [described(layer) for layer in model.layers]}
    if CLASSES.get(kind.__name__) is not kind:
        raise TypeError(f"model: expected Sequential, {', '.join(CLASSES)}, got {kind.__name__}")
    arguments = {name: getattr(model, name) for name in _argument_names(kind)}
    if "dtype" in arguments:
        arguments["dtype"] = arguments["dtype"].name
    return {"class": kind.__name__, "arguments": arguments}


def _argument_names(kind: type[Any]) -> list[str]:
    """Return what a constructor takes and keeps under the same name: all but what draws at random."""
    names = list(inspect.signature(kind.__init__).parameters)[1:]
    return [name for name in names if name != "rng"]


# Reading: every step refuses with a ValueError, or one of those that `load` turns into it


def _model(described: object, tensors: Mapping[str, Array]) -> Model:
    description = as_dict(described, "model")
    if description.get("class") != "Sequential":
        return _layer(description, tensors)
    by_place: dict[str, dict[str, Array]] = {}
    for name, array in tensors.items():
        place, _, rest = name.partition(".")
        by_place.setdefault(place, {})[rest] = array
    parts = description.get("layers")
    if not isinstance(parts, list):
        raise ValueError(f"layers: expected a list, got {type(parts).__name__}")
    model = Sequential(
        *(_layer(as_dict(part, "layer"), by_place.pop(str(k), {})) for k, part in enumerate(parts))
    )
    if by_place:
        raise ValueError(f"tensors: expected those of {len(parts)} layers, surplus of {', '.join(by_place)}")
    return model


def _layer(description: Mapping[str, Any], tensors: Mapping[str, Array]) -> AnyLayer:
    name = description.get("class")
    if not isinstance(name, str) or name not in CLASSES:
        raise ValueError(f"class: expected one of {', '.join(CLASSES)}, got {name!r}")
    kind = CLASSES[name]
    arguments, expected = as_dict(description.get("arguments"), "arguments"), _argument_names(kind)
    if arguments.keys() != set(expected):
        raise ValueError(f"arguments: expected {', '.join(expected)}, got {', '.join(arguments)}")
    if arguments.get("dtype", "float32") not in ("float32", "float64"):
        raise ValueError(f"dtype: expected float32 or float64, got {arguments['dtype']!r}")
    with stored_parameters(tensors):
        layer: AnyLayer = kind(**arguments)
    surplus = tensors.keys() - layer.parameters.keys()
    if surplus:
        raise ValueError(f"tensors: expected those of {layer!r}, surplus {', '.join(sorted(surplus))}")
    return layer
