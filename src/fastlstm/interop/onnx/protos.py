"""ONNX's files and nodes as plain data; what is damaged is refused with a sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto
from onnx.reference import ReferenceEvaluator

from ...files.container import shortened
from ...model.checks import as_path
from ..budget import Budget

Array = NDArray[Any]
Source: TypeAlias = str | os.PathLike[str] | bytes | ModelProto

DOMAINS = ("", "ai.onnx")
"""The names of ONNX's own domain."""

WRONG = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    AttributeError,
    RuntimeError,
    onnx.checker.ValidationError,
)
"""What onnx's readers raise for what is damaged."""


# Files


def read(source: Source) -> ModelProto:
    """Return a model from its path, with what lies in files beside it, or from its bytes.

    Raises
    ------
    TypeError
        If it is neither, nor a ModelProto.
    ValueError
        If there is no ONNX model in it, or one with more in files beside it than these have.
    OSError
        If it can't be read.
    """
    if isinstance(source, ModelProto):
        return source
    if isinstance(source, bytes):
        return parsed(source, None)
    path = Path(as_path(source, "model"))
    if not path.is_file() and path.exists():
        raise ValueError(f"model: expected a file, got {os.fspath(path)!r}")
    return parsed(path.read_bytes(), path)


def parsed(content: bytes, path: Path | None) -> ModelProto:
    """Return a model from bytes that came from a path, if there is one; as `read`."""
    named = "bytes" if path is None else repr(os.fspath(path))
    try:
        model = onnx.load_model_from_string(content)
        if not model.HasField("graph"):
            raise ValueError("it has no graph")
        _load_beside(model, None if path is None else path.parent)
    except (DecodeError, *WRONG) as error:
        raise ValueError(f"model: expected an ONNX model, got {named} ({shortened(str(error))})") from error
    return model


def _load_beside(model: ModelProto, folder: Path | None) -> None:
    """Read the tensors that lie in files beside the model's; onnx sees to it that they lie nowhere else."""
    graphs = [model.graph, *model.functions]
    tensors = [
        tensor
        for graph in graphs
        for tensor in tensors_of(graph)
        if tensor.data_location == TensorProto.EXTERNAL
    ]
    if not tensors:
        return
    if folder is None:
        raise ValueError(f"{tensors[0].name}: expected its numbers in the bytes, got a file's name")
    known = [onnx.external_data_helper.ExternalDataInfo(tensor) for tensor in tensors]
    sizes = {one.location: (folder / one.location).stat().st_size for one in known}
    budget = Budget.of(model.ByteSize() + sum(sizes.values()))
    for tensor, one in zip(tensors, known, strict=True):
        budget.take(one.length or max(sizes[one.location] - (one.offset or 0), 0), tensor.name)
        onnx.external_data_helper.load_external_data_for_tensor(tensor, os.fspath(folder))
        tensor.data_location = TensorProto.DEFAULT


def tensors_of(graph: GraphProto | FunctionProto) -> Iterator[TensorProto]:
    """Yield all tensors of a graph, and of those inside of its nodes."""
    yield from getattr(graph, "initializer", ())
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
        for inner in subgraphs_of(node):
            yield from tensors_of(inner)


@contextmanager
def names_checked() -> Iterator[None]:
    """Raise a ValueError with a sentence where a name turns out to be no text: parsing leaves it as it is."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise ValueError(f"model: expected names in UTF-8, got ({error})") from error


def inlined(model: ModelProto) -> ModelProto:
    """Return a model with its own functions written out where they are called; ValueError if it can't be."""
    if not model.functions:
        return model
    import onnx.inliner

    _check_size_inlined(model)
    try:
        return onnx.inliner.inline_local_functions(model)
    except WRONG as error:
        raise ValueError(f"model: expected functions to write out ({shortened(str(error))})") from error


def _check_size_inlined(model: ModelProto) -> None:
    """Raise ValueError if functions call each other in a circle, or so often that they become too much."""
    functions: dict[tuple[str, str], list[FunctionProto]] = {}
    for one in model.functions:
        functions.setdefault((one.domain, one.name), []).append(one)
    sizes: dict[tuple[str, str], int] = {}
    open_: set[tuple[str, str]] = set()

    def size_of(nodes: Any) -> int:
        return sum(node.ByteSize() + sum(map(size_called, calls_of(node))) for node in nodes)

    def calls_of(node: NodeProto) -> Iterator[tuple[str, str]]:
        yield node.domain, node.op_type
        for graph in subgraphs_of(node):
            for inner in graph.node:
                yield from calls_of(inner)

    def size_called(name: tuple[str, str]) -> int:
        if name not in functions:
            return 0
        if name in open_ or len(open_) > DEEPEST:
            raise ValueError(f"{name[1]}: expected a function that does not call itself, got one that does")
        if name not in sizes:
            open_.add(name)
            sizes[name] = sum(size_of(one.node) for one in functions[name])
            open_.remove(name)
        return sizes[name]

    Budget.of(model.ByteSize()).take(size_of(model.graph.node), "functions")


DEEPEST = 64
"""How deep functions may call each other."""


# Nodes and tensors


def opset_of(model: ModelProto) -> int:
    """Return the version of ONNX's operators that a model uses; of a forged one, the latest."""
    latest: int = onnx.defs.onnx_opset_version()
    version = next((one.version for one in model.opset_import if one.domain in DOMAINS), latest)
    return version if 0 < version <= latest else latest


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """Return a node's attributes by name, text as str; ValueError if one is damaged."""
    try:
        return {one.name: _plain(onnx.helper.get_attribute_value(one)) for one in node.attribute}
    except WRONG as error:
        raise ValueError(f"{shown(node)}: expected attributes, got damaged ones ({error})") from error


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


def evaluated(
    nodes: Sequence[NodeProto], values: Mapping[str, Array], outputs: Sequence[str], opset: int
) -> list[Array]:
    """Return what nodes give, by ONNX's reference; one of `WRONG` if they are damaged."""
    graph = GraphProto(name="nodes", node=nodes)
    graph.input.extend(onnx.ValueInfoProto(name=name) for name in values)
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    with np.errstate(over="ignore"):  # in its sigmoid
        return [np.asarray(array) for array in ReferenceEvaluator(model).run(None, dict(values))]


def array_of(tensor: TensorProto) -> Array:
    """Return a tensor of a file; ValueError if it is damaged."""
    try:
        if tensor.data_location == TensorProto.EXTERNAL:
            raise ValueError("a file's name")
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    except WRONG as error:
        raise ValueError(f"{tensor.name}: expected a tensor, got {shortened(str(error))}") from error


def as_whole(array: Array, name: str) -> list[int]:
    """Return the whole numbers of an array; ValueError if it has others."""
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected whole numbers, got {array.dtype}")
    return [int(number) for number in array.reshape(-1)]


def constants_of(graph: GraphProto) -> dict[str, Array]:
    """Return the arrays that stand in a graph, by name."""
    found = {tensor.name: array_of(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.domain in DOMAINS and len(node.output) == 1:
            value = _constant(attributes_of(node))
            if value is not None:
                found[node.output[0]] = value
    return found


def _constant(attributes: Mapping[str, Any]) -> Array | None:
    """Return what a node Constant gives; None if that is no array of numbers."""
    for name, value in attributes.items():
        if name == "value" and isinstance(value, TensorProto):
            return array_of(value)
        if name in ("value_int", "value_ints"):
            return np.asarray(value, np.int64)
        if name in ("value_float", "value_floats"):
            return np.asarray(value, np.float32)
    return None


def subgraphs_of(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the graphs that a node has as attributes, such as a Loop's body."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def check_nodes(graph: GraphProto, opset: int) -> None:
    """Raise ValueError if a node of ONNX's own is not as its operator says, or a name is no text.

    Looked at are how many inputs and outputs it has at least, and the kinds of its attributes. A Scan must
    not say that it scans more than it reads, as a runtime might make a list of it.
    """
    for node in graph.node:
        for name in (node.op_type, node.domain, node.name, *node.input, *node.output):
            if not isinstance(name, str):  # protobuf hands it on as bytes
                raise ValueError(f"model: expected names in UTF-8, got {name!r}")
        if node.domain in DOMAINS and onnx.defs.has(node.op_type, opset, ""):
            _check_node(node, onnx.defs.get_schema(node.op_type, opset, ""))
        count = next((one.i for one in node.attribute if one.name == "num_scan_inputs"), 1)
        if node.op_type == "Scan" and not 0 < count <= len(node.input):
            raise ValueError(
                f"{shown(node)}: expected num_scan_inputs from 1 to {len(node.input)}, got {count}"
            )
        for inner in subgraphs_of(node):
            check_nodes(inner, opset)


def _check_node(node: NodeProto, needs: onnx.defs.OpSchema) -> None:
    """Raise ValueError if a node is not as its operator says."""
    if len(node.input) < needs.min_input or len(node.output) < needs.min_output:
        expected = f"at least {needs.min_input} inputs and {needs.min_output} outputs"
        raise ValueError(f"{shown(node)}: expected {expected}, got {len(node.input)} and {len(node.output)}")
    known = needs.attributes if node.attribute else {}
    for one in node.attribute:
        kind = onnx.AttributeProto.AttributeType.Name(one.type)
        expected = str(known[one.name].type).rpartition(".")[2] if one.name in known else kind
        if kind not in (expected, "UNDEFINED"):
            raise ValueError(f"{shown(node)}: {one.name}: expected {expected}, got {kind}")


def shown(node: NodeProto) -> str:
    """Return what a sentence calls a node."""
    kind = node.op_type if node.domain in DOMAINS else f"{node.domain}.{node.op_type}"
    return f"{kind} {node.name or next(iter(node.output), '')!r}"


def read_by(node: NodeProto) -> list[str]:
    """Return the names of all that a node reads, in its subgraphs, too."""
    names = [name for name in node.input if name]
    for graph in subgraphs_of(node):
        own = {tensor.name for tensor in graph.initializer} | {value.name for value in graph.input}
        for inner in graph.node:
            names += [name for name in read_by(inner) if name not in own]
            own.update(inner.output)
        names += [value.name for value in graph.output if value.name not in own]
    return names
