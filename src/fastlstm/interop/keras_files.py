"""Keras's files: `.keras` archives, `.weights.h5` and older `.h5`, whole models and weights alone.

What a file has is brought to one form: for each layer of the configuration its arrays in Keras's order, or,
where there is no configuration, arrays by the place where they lie.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..files.container import from_json
from ..model.checks import as_dict
from . import keras_layers
from .budget import DEEPEST, Archive
from .hdf5 import Hdf5
from .keras_layers import MODELS, class_of, layers_of, name_of
from .parts import Part, Tensor, Told, in_order

NAME = "Keras"

DEEPEST_CONFIGURATION = 128
"""How deep a configuration's lists and mappings may lie in each other."""

CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
"""Under which group a model's layers lie, by Keras's version."""


def parts_of(content: bytes, told: Told, prefix: str) -> list[Part]:
    """Return the layers of a file; ValueError if it has none or is damaged, ImportError without h5py."""
    if content[:2] != b"PK":
        return _of_hdf5(content, told, prefix)
    archive = Archive(content)
    configuration = _configuration(archive.read("config.json"))
    version = as_dict(from_json(archive.read("metadata.json").decode()), "metadata").get("keras_version", "3")
    file = Hdf5(archive.read("model.weights.h5"))
    arrays = [_flat(layer, place, file) for layer, place in _placed(configuration, "", file)]
    return keras_layers.parts_of(configuration, str(version), arrays, told, prefix)


def _of_hdf5(content: bytes, told: Told, prefix: str) -> list[Part]:
    file = Hdf5(content)
    if "layer_names" not in file.attributes("") and "model_weights" not in file.groups(""):
        return in_order(keras_layers.parts_without(_by_place(file), told, prefix), is_ordered=False)
    root = "model_weights" if "model_weights" in file.groups("") else ""
    by_name = dict(_legacy(file, root))
    said = file.attributes("").get("model_config")
    if said is None:
        return in_order(keras_layers.parts_without(_named(by_name), told, prefix), is_ordered=True)
    configuration = _configuration(said.encode() if isinstance(said, str) else said)
    version = str(file.attributes("").get("keras_version", "2"))
    arrays = [list(by_name.get(name_of(layer), {}).values()) for layer in layers_of(configuration)]
    return keras_layers.parts_of(configuration, version, arrays, told, prefix, trained_first=True)


def _configuration(text: Any) -> dict[str, Any]:
    if not isinstance(text, bytes):
        raise ValueError(f"configuration: expected JSON, got {type(text).__name__}")
    return as_dict(from_json(text.decode(), DEEPEST_CONFIGURATION), "configuration")


# Weights of Keras 3: each layer's in a group under its class's name, with a number from the second one on


def _placed(configuration: Any, place: str, file: Hdf5) -> Iterator[tuple[Any, str]]:
    """Yield each layer of a model and the group that its weights lie in."""
    counts: dict[str, int] = {}
    container = next((name for name in CONTAINERS if name in file.groups(place)), CONTAINERS[0])
    for layer in layers_of(configuration):
        snake = _snake(class_of(layer))
        count = counts[snake] = counts.get(snake, -1) + 1
        yield layer, _joined(place, container, f"{snake}_{count}" if count else snake)


def _flat(layer: Any, place: str, file: Hdf5, depth: int = 0) -> list[Tensor]:
    """Return a layer's arrays in Keras's order; of a model within a model those of all its layers."""
    if depth > DEEPEST:
        raise ValueError(f"layers: expected models at most {DEEPEST} deep in each other, got more")
    if class_of(layer) in MODELS:
        return [
            array for inner, at in _placed(layer, place, file) for array in _flat(inner, at, file, depth + 1)
        ]
    found = [name for name in file.datasets(place) if "seed_generator" not in name]
    return [file.array(name) for name in sorted(found, key=_order)]


def _order(name: str) -> list[tuple[bool, bool, int, str]]:
    """Return a key that sorts places as a layer's weights: forward before backward, 2 before 10."""
    return [
        (piece.startswith("backward"), piece.isdigit(), int(piece[:9]) if piece.isdigit() else 0, piece)
        for piece in name.split("/")
    ]


def _snake(name: str) -> str:
    """Return a class's name as Keras makes a group's of it: `LayerNormalization` as layer_normalization."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _by_place(file: Hdf5) -> dict[str, list[Tensor]]:
    """Return the arrays of each layer by its place; a layer in both directions is one."""
    found: dict[str, list[str]] = {}
    for name in file.datasets(""):
        layer, vars_, _ = name.rpartition("/vars/")
        if vars_ and "seed_generator" not in name and not layer.startswith("optimizer"):
            place = re.sub(r"/(forward_layer|backward_layer|cell|layer)\b", "", layer)
            found.setdefault(place.removeprefix("layers/"), []).append(name)
    return {place: [file.array(name) for name in sorted(names, key=_order)] for place, names in found.items()}


# Weights of Keras 2: a list of names for each layer, in attributes


def _legacy(file: Hdf5, root: str) -> Iterator[tuple[str, dict[str, Tensor]]]:
    for layer in _names(file, root, "layer_names"):
        place = _joined(root, layer)
        yield (
            layer,
            {name: file.array(_joined(place, name)) for name in _names(file, place, "weight_names")},
        )


def _names(file: Hdf5, place: str, attribute: str) -> list[str]:
    """Return a list of names; Keras cuts long ones into several attributes."""
    attributes = file.attributes(place)
    pieces = [attributes[attribute]] if attribute in attributes else []
    while f"{attribute}{len(pieces)}" in attributes:
        pieces.append(attributes[f"{attribute}{len(pieces)}"])
    if not all(isinstance(piece, list) for piece in pieces):
        raise ValueError(f"{attribute}: expected names, got something else")
    return [name for piece in pieces for name in piece]


def _named(by_name: Mapping[str, Mapping[str, Tensor]]) -> dict[str, list[Tensor]]:
    return {layer: list(arrays.values()) for layer, arrays in by_name.items() if arrays}


def _joined(*pieces: str) -> str:
    return "/".join(piece for piece in pieces if piece)
