"""What stands in a graph as constants, or follows from them by moving numbers about."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto

from ..budget import Budget
from .protos import DOMAINS, WRONG, array_of, as_whole, attributes_of, constants_of, evaluated, shown
from .writer import OPSET

Array = NDArray[Any]

MOVES = {"Cast", "Concat", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
"""Operators that exporters leave between an initializer and a node."""

KEEP_ZEROS = MOVES - {"Concat"} | {"Expand", "Gather", "Tile"}
"""Operators that give zeros of zeros."""


class Constants(Mapping[str, Array]):
    """The constants of a graph by name, those that follow from others by `MOVES` included.

    Parameters
    ----------
    graph : GraphProto
    variable : container of str
        Names of initializers that are not constants, as a call may give others in their place.
    opset : int
        The version of ONNX's operators.

    Attributes
    ----------
    budget : Budget
        Bytes that are left for all that is made of the constants: several nodes may read the same.
    packed : dict
        Operators that were made of the constants, which nodes with the same weights share.

    Raises
    ------
    ValueError
        If a tensor is damaged.
    """

    def __init__(self, graph: GraphProto, variable: Container[str] = (), opset: int = OPSET) -> None:
        self.opset = opset
        self._known = {name: array for name, array in constants_of(graph).items() if name not in variable}
        self.budget = Budget.of(sum(array.nbytes for array in self._known.values()))
        self.packed: dict[Any, Any] = {}
        self._producers: dict[str, NodeProto] = {}
        for node in graph.node:
            if node.domain in DOMAINS and all(not name or name in self for name in node.input):
                self._fold(node)
            self._producers |= dict.fromkeys(node.output, node)

    def _fold(self, node: NodeProto) -> None:
        """Calculate what a node gives if it only moves numbers, as long as memory is left for it."""
        if node.op_type not in MOVES:
            return
        if node.op_type == "Identity" and len(node.input) == len(node.output) == 1 and node.input[0]:
            self._known[node.output[0]] = self._known[node.input[0]]
            return
        told = attributes_of(node)
        if told.get("to") == TensorProto.STRING or told.get("num_outputs", 1) not in (1, len(node.output)):
            return
        widest = 8 if node.op_type == "Cast" else 1
        size = widest * sum(self._known[name].nbytes for name in node.input if name)
        if size > self.budget.left:
            return
        self.budget.take(size, shown(node))
        inputs = {name: self._known[name] for name in node.input if name}
        try:
            results = evaluated([node], inputs, node.output, self.opset)
        except WRONG as error:
            raise ValueError(f"{shown(node)}: expected a shape that fits its input ({error})") from error
        self._known |= zip(node.output, results, strict=True)

    def __getitem__(self, name: str) -> Array:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def whole(self, name: str) -> list[int]:
        """Return the numbers of a constant that says which axes or sizes; ValueError if they aren't whole."""
        return as_whole(self._known[name], name)

    def producer(self, name: str) -> NodeProto | None:
        """Return the node that gives a value; None for inputs of the graph and tensors."""
        return self._producers.get(name)

    def is_zero(self, name: str) -> bool:
        """Return whether all numbers of a value are zeros, whatever its shape turns out to be."""
        for _ in range(len(self._producers) + 1):
            if name in self._known:
                return not self._known[name].any()
            node = self._producers.get(name)
            if node is None or node.domain not in DOMAINS:
                return False
            if node.op_type == "ConstantOfShape":
                value = attributes_of(node).get("value")
                return value is None or not array_of(value).any()
            if node.op_type not in KEEP_ZEROS or not node.input:
                return False
            name = node.input[0]
        return False

    def last_size(self, name: str) -> int | None:
        """Return the size of the last axis of a value that a graph makes; None where it can't be told."""
        for _ in range(len(self._producers) + 1):
            if name in self._known:
                return self._known[name].shape[-1] if self._known[name].ndim else None
            node = self._producers.get(name)
            if node is None or not node.input:
                return None
            if node.op_type in ("Expand", "ConstantOfShape"):
                return self._last_of_shape(node.input[-1])
            if node.op_type not in ("Cast", "Identity", "Slice", "Split"):
                return None
            name = node.input[0]  # parts are those of layers and directions, the first axis
        return None

    def _last_of_shape(self, name: str) -> int | None:
        """Return the last of the sizes that a value holds, which may be one after another."""
        for _ in range(len(self._producers) + 1):
            if name in self._known:
                return next(reversed(self.whole(name)), None)
            node = self._producers.get(name)
            if node is None or node.op_type not in ("Concat", "Cast") or not node.input:
                return None
            name = node.input[-1]
        return None
