"""What runs a piece of a graph: NumPy where it only moves axes, ONNX Runtime, or onnx's own reference."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TypeProto

from ...files.container import shortened
from .protos import DOMAINS, WRONG, as_whole, attributes_of

Array = NDArray[Any]

TYPES: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float",
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.INT8: "int8",
    onnx.TensorProto.UINT16: "uint16",
    onnx.TensorProto.INT16: "int16",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.STRING: "string",
    onnx.TensorProto.BOOL: "bool",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.DOUBLE: "double",
    onnx.TensorProto.UINT32: "uint32",
    onnx.TensorProto.UINT64: "uint64",
    onnx.TensorProto.BFLOAT16: "bfloat16",
}
"""ONNX Runtime's names of types."""


class Piece(Protocol):
    """A piece of a graph, ready to run."""

    outputs: Sequence[str]
    types: Mapping[str, TypeProto]
    """What is known of the types of the outputs."""

    def run(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the outputs, from values that hold all that the piece reads."""


class OnnxRuntime:
    """A piece that ONNX Runtime runs.

    Parameters
    ----------
    model : ModelProto
    options : onnxruntime.SessionOptions, optional
    providers : sequence, optional

    Raises
    ------
    ValueError
        If ONNX Runtime refuses it.
    """

    def __init__(
        self, model: ModelProto, options: Any = None, providers: Sequence[Any] | None = None
    ) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors

        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(),
                options or _options(onnxruntime),
                providers=list(providers or ["CPUExecutionProvider"]),
                enable_fallback=0,  # it would print, and try the same again
            )
        except (
            errors.Fail,
            errors.InvalidArgument,
            errors.InvalidGraph,
            errors.InvalidProtobuf,
            errors.NotImplemented,
            errors.RuntimeException,
        ) as error:
            told = shortened(str(error))
            raise ValueError(f"model: expected a graph that ONNX Runtime takes, got ({told})") from error
        self._inputs = [value.name for value in self._session.get_inputs()]
        self.outputs: Sequence[str] = [value.name for value in model.graph.output]
        self.types: Mapping[str, TypeProto] = {
            value.name: type_of(value.type) for value in self._session.get_outputs()
        }

    def run(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the outputs."""
        return self.run_fed({name: values[name] for name in self._inputs}, self.outputs)

    def run_fed(self, feeds: Mapping[str, Any], outputs: Sequence[str]) -> list[Any]:
        """Return some outputs, from inputs alone."""
        results: list[Any] = self._session.run(outputs, feeds)
        return results


def _options(onnxruntime: Any) -> Any:
    """Return options with which ONNX Runtime's threads leave the cores to ours between its pieces."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


class Reference:
    """A piece that `onnx.reference` runs: slow, and without anything but onnx."""

    def __init__(
        self, model: ModelProto, options: Any = None, providers: Sequence[Any] | None = None
    ) -> None:
        from onnx.reference import ReferenceEvaluator

        try:
            self._evaluator = ReferenceEvaluator(model)
        except WRONG as error:
            told = shortened(str(error))
            raise ValueError(f"model: expected a graph that onnx.reference takes, got ({told})") from error
        self.outputs: Sequence[str] = [value.name for value in model.graph.output]
        self._inputs = [value.name for value in model.graph.input]
        self.types: Mapping[str, TypeProto] = {}

    def run(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the outputs."""
        return list(self._evaluator.run(None, {name: values[name] for name in self._inputs}))


class Moves:
    """A piece that only moves axes, as views.

    Parameters
    ----------
    steps : sequence of (str, str, callable)
        What is moved, what that gives, and how.
    outputs : sequence of str
    types : mapping of str to TypeProto
        What is known of the types of what it reads.
    """

    def __init__(
        self,
        steps: Sequence[tuple[str, str, Callable[[Array], Array]]],
        outputs: Sequence[str],
        types: Mapping[str, TypeProto],
    ) -> None:
        self._steps = steps
        self.outputs = outputs
        known = dict[str, TypeProto]()
        for source, target, _ in steps:
            kind = known.get(source) or types.get(source, TypeProto())
            known[target] = onnx.helper.make_tensor_type_proto(kind.tensor_type.elem_type, None)
        self.types: Mapping[str, TypeProto] = known

    def run(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the outputs."""
        own = dict[str, Any]()
        for source, target, move in self._steps:
            own[target] = move(own[source] if source in own else values[source])
        return [own[name] for name in self.outputs]


def moves_of(
    nodes: Sequence[NodeProto],
    constants: Mapping[str, Array],
    outputs: Sequence[str],
    types: Mapping[str, TypeProto],
) -> Moves | None:
    """Return a piece that does what nodes do, from what types; None if they do more than move axes."""
    steps = []
    for node in nodes:
        move = _move(node, constants) if node.domain in DOMAINS else None
        if move is None or node.input[0] in constants:
            return None
        steps.append((node.input[0], node.output[0], move))
    return Moves(steps, outputs, types)


def _move(node: NodeProto, constants: Mapping[str, Array]) -> Callable[[Array], Array] | None:
    """Return what a node does to an array; None if that is no move, or depends on other inputs."""
    told = attributes_of(node)
    if node.op_type == "Identity":
        return lambda array: array
    if node.op_type == "Transpose":
        order = told.get("perm")
        return lambda array: array.transpose(order)
    if node.op_type == "Reshape" and node.input[1] in constants and not told.get("allowzero"):
        sizes = as_whole(constants[node.input[1]], node.input[1])
        return lambda array: array.reshape([size or array.shape[k] for k, size in enumerate(sizes)])
    if node.op_type not in ("Squeeze", "Unsqueeze"):
        return None
    places = told.get("axes")
    if len(node.input) > 1:
        if node.input[1] not in constants:
            return None
        places = as_whole(constants[node.input[1]], node.input[1])
    if node.op_type == "Unsqueeze":
        return None if places is None else lambda array: np.expand_dims(array, tuple(places))
    axes = None if places is None else tuple(places)
    return lambda array: np.squeeze(array, axes)


def runtime() -> type[OnnxRuntime] | type[Reference]:
    """Return what runs the pieces that aren't recurrent."""
    return Reference if find_spec("onnxruntime") is None else OnnxRuntime


def type_of(text: str) -> TypeProto:
    """Return a type that ONNX Runtime names, of unknown shape; an empty one if it is none known here."""
    inner = re.fullmatch(r"(tensor|seq|optional)\((.*)\)", text)
    if inner is None:
        return TypeProto()
    kind, rest = inner.groups()
    if kind == "tensor":
        known = [number for number, name in TYPES.items() if name == rest]
        return onnx.helper.make_tensor_type_proto(known[0], None) if known else TypeProto()
    make = onnx.helper.make_sequence_type_proto if kind == "seq" else onnx.helper.make_optional_type_proto
    return make(type_of(rest))


def text_of(kind: TypeProto) -> str:
    """Return ONNX Runtime's name of a type."""
    if kind.HasField("sequence_type"):
        return f"seq({text_of(kind.sequence_type.elem_type)})"
    if kind.HasField("optional_type"):
        return f"optional({text_of(kind.optional_type.elem_type)})"
    return f"tensor({TYPES.get(kind.tensor_type.elem_type, 'unknown')})"
