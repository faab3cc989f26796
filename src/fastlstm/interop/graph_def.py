"""TensorFlow's graphs as nodes: what a GraphDef says, read by protobuf from the few fields that matter."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from .budget import MOST_ENTRIES, Budget
from .parts import Tensor

DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}
"""Numbers of TensorFlow's enumeration of dtypes."""

PASSED = ("Identity", "Enter", "Switch", "StopGradient", "Exit")
"""Operations that give on what they are given first."""

MOST_PASSED = 64
"""How many of these may follow one another."""

# Of each message the fields that are read: number, kind, whether there may be several.
_MESSAGES: Mapping[str, Mapping[str, tuple[int, str, bool]]] = {
    "Graph": {"node": (1, "Node", True)},
    "Node": {
        "name": (1, "string", False),
        "op": (2, "string", False),
        "input": (3, "string", True),
        "attr": (5, "Attribute", True),
    },
    "Attribute": {"key": (1, "string", False), "value": (2, "Value", False)},
    "Value": {
        "i": (3, "int64", False),
        "f": (4, "float", False),
        "b": (5, "bool", False),
        "tensor": (8, "Tensor", False),
    },
    "Tensor": {
        "dtype": (1, "int32", False),
        "shape": (2, "Shape", False),
        "content": (4, "bytes", False),
        "floats": (5, "float", True),
        "doubles": (6, "double", True),
        "ints": (7, "int32", True),
    },
    "Shape": {"dim": (2, "Dimension", True)},
    "Dimension": {"size": (1, "int64", False)},
}
_KINDS = {"double": 1, "float": 2, "int64": 3, "int32": 5, "bool": 8, "string": 9, "bytes": 12}


def _message_class() -> Any:
    """Return protobuf's class for a graph; ImportError without protobuf."""
    try:
        descriptors = import_module("google.protobuf.descriptor_pb2")
        factory = import_module("google.protobuf.message_factory")
        pool = import_module("google.protobuf.descriptor_pool").DescriptorPool()
    except ImportError as error:
        raise ImportError("TensorFlow's graphs need protobuf: pip install 'fastlstm[files]'") from error
    file = descriptors.FileDescriptorProto(name="graph", package="fastlstm", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for own, (number, kind, several) in fields.items():
            said = (
                {"type": _KINDS[kind]} if kind in _KINDS else {"type": 11, "type_name": f".fastlstm.{kind}"}
            )
            message.field.add(name=own, number=number, label=3 if several else 1, **said)
    pool.Add(file)
    return factory.GetMessageClass(pool.FindMessageTypeByName("fastlstm.Graph"))


@dataclass
class Node:
    """One operation.

    Attributes
    ----------
    name, op : str
    inputs : list of str
        Each the name of a node, with ":k" for its output k but the first.
    attributes : mapping of str to message
    consumers : list of (Node, int)
        What reads its outputs, and as which of its inputs.
    """

    name: str
    op: str
    inputs: list[str]
    attributes: Mapping[str, Any]
    consumers: list[tuple[Node, int]] = field(default_factory=list, repr=False)


class Graph:
    """A graph's nodes by name; ValueError if its bytes are damaged."""

    def __init__(self, content: bytes) -> None:
        message = _message_class()()
        decode_error = import_module("google.protobuf.message").DecodeError
        try:
            message.ParseFromString(content)
        except (decode_error, ValueError, RuntimeError) as error:
            raise ValueError(f"graph: expected a whole GraphDef, got a damaged one ({error})") from error
        if len(message.node) > MOST_ENTRIES:
            raise ValueError(f"graph: expected at most {MOST_ENTRIES} nodes, got {len(message.node)}")
        edges = sum(len(node.input) + len(node.attr) for node in message.node)
        if edges > 16 * MOST_ENTRIES:
            raise ValueError(
                f"graph: expected at most {16 * MOST_ENTRIES} inputs and attributes, got {edges}"
            )
        self._budget = Budget.of(len(content))
        self.nodes = {
            node.name: Node(
                node.name,
                node.op,
                [one for one in node.input if not one.startswith("^")],
                {entry.key: entry.value for entry in node.attr},
            )
            for node in message.node
        }
        for node in self.nodes.values():
            for place, reference in enumerate(node.inputs):
                source = self.nodes.get(reference.partition(":")[0])
                if source is not None:
                    source.consumers.append((node, place))

    def source(self, node: Node, place: int) -> Node:
        """Return what an input of a node comes from, past what only gives it on."""
        for _ in range(MOST_PASSED):
            if place >= len(node.inputs):
                break
            name = node.inputs[place].partition(":")[0]
            if name not in self.nodes:
                raise ValueError(
                    f"{node.name[:100]}: expected its input {name[:100]!r} in the graph, got none"
                )
            node, place = self.nodes[name], 0
            if node.op not in PASSED:
                return node
        raise ValueError(f"{node.name[:100]}: expected an input, got none")

    def readers(self, node: Node, output: int) -> Iterator[tuple[Node, int]]:
        """Yield what reads an output of a node, past what only gives it on, and as which input."""
        waiting = [(node, output)]
        for _ in range(MOST_PASSED):
            if not waiting:
                return
            here, output = waiting.pop()
            for reader, place in here.consumers:
                number = reader.inputs[place].partition(":")[2]
                if (number or "0") != str(output) and here.op != "Switch":
                    continue
                if reader.op in PASSED:
                    waiting.append((reader, 0))
                else:
                    yield reader, place

    def constant(self, node: Node, place: int) -> Tensor | None:
        """Return the constant that an input of a node is; None if it is none."""
        source = self.source(node, place)
        return self.value(source) if source.op == "Const" else None

    def value(self, node: Node) -> Tensor:
        """Return a constant's array; ValueError if it is damaged."""
        tensor = node.attributes["value"].tensor if "value" in node.attributes else None
        if tensor is None or tensor.dtype not in DTYPES:
            raise ValueError(f"{node.name[:100]}: expected numbers, got another constant")
        dtype = np.dtype(DTYPES[tensor.dtype])
        shape = [dimension.size for dimension in tensor.shape.dim]
        if len(shape) > 8 or any(size < 0 for size in shape):
            raise ValueError(f"{node.name[:100]}: expected a shape, got {shape[:8]}")
        count = math.prod(shape)
        self._budget.take(count * dtype.itemsize, node.name)
        if tensor.content:
            if len(tensor.content) != count * dtype.itemsize:
                raise ValueError(f"{node.name[:100]}: expected {count} numbers, got other content")
            return np.frombuffer(tensor.content, dtype).reshape(shape)
        values = list(tensor.floats) or list(tensor.doubles) or list(tensor.ints) or [0]
        if len(values) > max(count, 1):
            raise ValueError(f"{node.name[:100]}: expected {count} numbers, got {len(values)}")
        array = np.full(count, values[-1], dtype)  # what is left out repeats the last one
        array[: len(values)] = values[:count]
        return array.reshape(shape)
