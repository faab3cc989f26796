"""A graph of ONNX, written node by node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np
import onnx
from numpy.typing import DTypeLike
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

OPSET = 17
IR_VERSION = 8
"""That of the release which brought the opset: older runtimes refuse files of a newer one."""

MOST_BYTES = (1 << 31) - (1 << 20)
"""What a file of protocol buffers can hold, less what isn't weights."""


class Writer:
    """Nodes and tensors of a graph; values go by their names.

    Attributes
    ----------
    nodes : list of NodeProto
    tensors : list of TensorProto
        Those of the whole graph: the bodies of loops read them, too.
    reserved : set of str
        Names that values of the graph have which others gave.
    """

    def __init__(self, above: Writer | None = None) -> None:
        self.nodes: list[NodeProto] = []
        self.tensors: list[TensorProto] = [] if above is None else above.tensors
        self.reserved: set[str] = set() if above is None else above.reserved
        self._domains: set[str] = set() if above is None else above._domains
        self._count: Iterator[int] = count() if above is None else above._count

    def body(self) -> Writer:
        """Return the writer of a loop's body."""
        return Writer(self)

    def name(self, hint: str) -> str:
        """Return a name that no other value has."""
        return next(name for k in self._count if (name := f"{hint}_{k}") not in self.reserved)

    def constant(self, array: Any, hint: str = "constant", dtype: DTypeLike | None = None) -> str:
        """Add a tensor; return its name."""
        name = self.name(hint)
        self.tensors.append(onnx.numpy_helper.from_array(np.array(array, dtype, order="C"), name))
        return name

    def whole(self, *numbers: int) -> str:
        """Add a tensor of whole numbers, as axes and shapes are."""
        return self.constant(numbers, "axes", np.int64)

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        return self.several(kind, inputs, 1, **attributes)[0]

    def several(
        self, kind: str, inputs: Sequence[str], outputs: int, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node of several outputs; return their names."""
        names = [self.name(kind.lower()) for _ in range(outputs)]
        self.nodes.append(
            onnx.helper.make_node(kind, list(inputs), names, names[0], domain=domain, **attributes)
        )
        if domain:
            self._domains.add(domain)
        return names

    def split(self, value: str, parts: int, axis: int) -> list[str]:
        """Return equal parts of a value."""
        return self.several("Split", [value], parts, axis=axis) if parts > 1 else [value]

    def squeeze(self, value: str, axis: int) -> str:
        """Return a value without an axis of size one."""
        return self.add("Squeeze", value, self.whole(axis))

    def unsqueeze(self, value: str, axis: int) -> str:
        """Return a value with an axis of size one more."""
        return self.add("Unsqueeze", value, self.whole(axis))

    def size(self, value: str, axis: int) -> str:
        """Return the size of an axis, an array of one number."""
        return self.add("Gather", self.add("Shape", value), self.whole(axis))

    def total(self, value: str, *axes: int, keepdims: int = 0) -> str:
        """Return the sum over some axes."""
        return self.add("ReduceSum", value, self.whole(*axes), keepdims=keepdims)

    def named(self, value: str, name: str) -> None:
        """Give a value the name of an output."""
        self.nodes.append(onnx.helper.make_node("Identity", [value], [name], f"output {name}"))

    def graph(
        self, name: str, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]
    ) -> GraphProto:
        """Return what was written; a loop's body leaves the tensors to the graph that it stands in."""
        return onnx.helper.make_graph(self.nodes, name, inputs, outputs)

    def model(self, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]) -> ModelProto:
        """Return what was written as a model; ValueError if no file could hold it."""
        size = sum(len(tensor.raw_data) for tensor in self.tensors)
        if size > MOST_BYTES:
            raise ValueError(f"model: expected weights of at most {MOST_BYTES} bytes, got {size}")
        graph = self.graph("fastlstm", inputs, outputs)
        graph.initializer.extend(self.tensors)
        opsets = [("", OPSET), *((domain, 1) for domain in sorted(self._domains))]
        return onnx.helper.make_model(
            graph,
            opset_imports=[onnx.helper.make_opsetid(domain, version) for domain, version in opsets],
            ir_version=IR_VERSION,
            producer_name="fastlstm",
        )


def number_of(dtype: DTypeLike) -> int:
    """Return ONNX's number of a dtype."""
    return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def typed(name: str, dtype: DTypeLike, shape: Sequence[int | str] | None = None) -> ValueInfoProto:
    """Return what a graph says of a value that it reads or gives; axes without a fixed size have names."""
    return onnx.helper.make_tensor_value_info(name, number_of(dtype), shape)
