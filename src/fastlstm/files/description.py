"""Models as plain data: which class, made with which arguments; and models made of that again.

The data name classes, which a fixed table turns into classes, and arguments of their constructors, which
check them as they do anyone's. Nothing that a file says is ever imported or run.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from .. import layers
from ..model.checks import Array, as_dict
from ..model.graph import Graph
from ..model.gru import GRU
from ..model.layered import Layered
from ..model.lstm import LSTM
from ..model.options import options_of
from ..model.parameters import Parameterised, by_layer, listed, stored_parameters
from ..model.precision import USUAL_X
from ..model.recurrent import Recurrent
from ..model.rnn import RNN
from ..model.sequential import Sequential
from ..model.slstm import SLSTM
from ..model.wiring import AnyLayer

CLASSES: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (LSTM, RNN, GRU, SLSTM, *(getattr(layers, name) for name in layers.__all__))
}
"""What a file may name, beside Sequential and Graph."""

OPTIONS_OF_LAYERS = {"precision": None, **USUAL_X}
"""Arguments of layers that are not recurrent which a file has only where they are others than these."""

MOST_LAYERS = 1000
"""How many layers a file may have: one with a generator takes fifty times as long to make as to write."""


def described(model: Parameterised) -> dict[str, Any]:
    """Return a model's class and constructor arguments, ready for JSON; TypeError if it can't be saved."""
    kind = type(model)
    if isinstance(model, Layered):
        _check_count(model.layers, "model")
    if isinstance(model, Sequential) and kind is Sequential:
        return {"class": "Sequential", "layers": [described(layer) for layer in model.layers]}
    if isinstance(model, Graph) and kind is Graph:
        nodes = [[name, described(layer), *sources] for name, (layer, *sources) in model.nodes.items()]
        return {"class": "Graph", "nodes": nodes, "outputs": model.outputs}
    if CLASSES.get(kind.__name__) is not kind:
        raise TypeError(f"model: expected Sequential, Graph, {listed(CLASSES)}, got {kind.__name__}")
    arguments = {name: getattr(model, name) for name in _argument_names(kind)}
    arguments |= _options_of(model)
    if "dtype" in arguments:
        arguments["dtype"] = arguments["dtype"].name
    return {"class": kind.__name__, "arguments": arguments}


def _check_count(layers: Sequence[Any], name: str) -> None:
    if len(layers) > MOST_LAYERS:
        raise ValueError(f"{name}: expected at most {MOST_LAYERS} layers in a file, got {len(layers)}")


def _argument_names(kind: type[Any]) -> list[str]:
    """Return what a constructor takes and keeps under the same name, but for what draws at random.

    Options are not among them: a file has those that differ from their defaults.
    """
    return [name for name in _taken_by(kind) if name not in ("rng", "options", *OPTIONS_OF_LAYERS)]


def _taken_by(kind: type[Any]) -> list[str]:
    return list(inspect.signature(kind.__init__).parameters)[1:]


def _options_of(model: Any) -> dict[str, Any]:
    """Return a model's options that differ from their defaults."""
    if isinstance(model, Recurrent):
        return model.options()
    values = {name: getattr(model, name) for name in OPTIONS_OF_LAYERS if name in _taken_by(type(model))}
    return {name: value for name, value in values.items() if value != OPTIONS_OF_LAYERS[name]}


# Reading: every step refuses with a ValueError, or another of `container.DAMAGED`


def restored(described: object, tensors: Mapping[str, Array]) -> AnyLayer | Sequential | Graph:
    """Return the model that `described` described, with these parameters."""
    description = as_dict(described, "model")
    if description.get("class") not in ("Sequential", "Graph"):
        return _layer(description, tensors)
    own = by_layer(tensors)
    model = _graph(description, own) if description["class"] == "Graph" else _sequential(description, own)
    if own:
        count = len(model.layers)
        raise ValueError(f"tensors: expected those of {count} layers, surplus of {', '.join(own)}")
    return model


def _sequential(description: Mapping[str, Any], tensors: dict[str, dict[str, Array]]) -> Sequential:
    """Return the layers of a description one after another, each with its tensors, which are taken out."""
    parts = _as_list(description.get("layers"), "layers")
    return Sequential(
        *(_layer(as_dict(part, "layer"), tensors.pop(str(k), {})) for k, part in enumerate(parts))
    )


def _graph(description: Mapping[str, Any], tensors: dict[str, dict[str, Array]]) -> Graph:
    """Return the same as a graph."""
    nodes: dict[str, Any] = {}
    for node in _as_list(description.get("nodes"), "nodes"):
        if not isinstance(node, list) or len(node) < 3 or not isinstance(node[0], str) or node[0] in nodes:
            raise ValueError("nodes: expected each with a name of its own, a layer and sources")
        name, part, *sources = node
        nodes[name] = (_layer(as_dict(part, "layer"), tensors.pop(name, {})), *sources)
    return Graph(nodes, description.get("outputs"))


def _as_list(value: object, name: str) -> list[Any]:
    """Return a list of a description, of layers that are not too many; ValueError if it is none."""
    if not isinstance(value, list):
        raise ValueError(f"{name}: expected a list, got {type(value).__name__}")
    _check_count(value, name)
    return value


def _layer(description: Mapping[str, Any], tensors: Mapping[str, Array]) -> AnyLayer:
    name = description.get("class")
    if not isinstance(name, str) or name not in CLASSES:
        raise ValueError(f"class: expected one of {listed(CLASSES)}, got {name!r}")
    kind = CLASSES[name]
    arguments, expected = as_dict(description.get("arguments"), "arguments"), _argument_names(kind)
    optional = (
        options_of(name) if issubclass(kind, Recurrent) else set(OPTIONS_OF_LAYERS) & set(_taken_by(kind))
    )
    if not set(expected) <= arguments.keys() <= {*expected, *optional}:
        raise ValueError(f"arguments: expected {', '.join(expected)}, got {', '.join(arguments)}")
    if arguments.get("dtype", "float32") not in ("float32", "float64"):
        raise ValueError(f"dtype: expected float32 or float64, got {arguments['dtype']!r}")
    with stored_parameters(tensors):
        layer: AnyLayer = kind(**arguments)
    surplus = tensors.keys() - layer.parameters.keys()
    if surplus:
        raise ValueError(f"tensors: expected those of {layer!r}, surplus {', '.join(sorted(surplus))}")
    return layer
