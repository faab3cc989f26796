"""Whole graphs: recurrent nodes run here, the rest by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import GraphProto, ModelProto, NodeProto, TypeProto, ValueInfoProto, numpy_helper

from ...model.checks import as_mapping
from .constants import Constants
from .loops import RecurrentLoop
from .protos import Source, array_of, check_nodes, inlined, names_checked, opset_of, read
from .runtimes import OnnxRuntime, Piece, moves_of, runtime, text_of
from .stages import Stage, names_read, stages_of

Array = NDArray[Any]

Sizes = tuple[tuple[str, tuple[int, ...]], ...]
"""The sizes of a call's inputs by name."""

MOST_SIZES = 1000
"""Of how many sizes it is known which is faster."""

LEAST_WORK = 300.0
"""Microseconds that recurrent nodes have to take to gain more than a cut of the graph costs, 20 to 40."""

MOST_BYTES = (1 << 31) - 1
"""What protocol buffers can hold, and so what a runtime can be handed."""


class NodeArg(NamedTuple):
    """What a session reads or gives, as `onnxruntime.NodeArg` has it.

    Attributes
    ----------
    name : str
    type : str
        Such as "tensor(float)".
    shape : list of int, str or None
        Sizes, or the names of those that may be any.

    Examples
    --------
    >>> import fastlstm
    >>> from fastlstm.interop import onnx
    >>> onnx.accelerate(onnx.export(fastlstm.LSTM(3, 5))).get_inputs()
    [NodeArg(name='x', type='tensor(float)', shape=['time', 'batch', 3])]
    """

    name: str
    type: str
    shape: list[int | str | None]


def accelerate(model: Source, sess_options: Any = None, providers: Sequence[Any] | None = None) -> Session:
    """Return what runs a graph of ONNX as `onnxruntime.InferenceSession` does, recurrent nodes on fastlstm.

    The graph is cut at its LSTMs, GRUs and RNNs. The rest is run by ONNX Runtime where it is installed, or
    else by `onnx.reference`, which is slow.

    Parameters
    ----------
    model : path, bytes or onnx.ModelProto
    sess_options : onnxruntime.SessionOptions, optional
        For the pieces that ONNX Runtime runs.
    providers : sequence, optional
        Likewise; the CPU where there are none.

    Returns
    -------
    Session
        Its `report` says of each recurrent node, and of each loop, what runs it.

    Raises
    ------
    TypeError
        If `model` is something else.
    ValueError
        If it is no ONNX model, or damaged, or a piece of it is refused by ONNX Runtime.
    OSError
        If it can't be read.

    Notes
    -----
    A Loop whose body is a step of an LSTM, GRU or RNN, masks included, as tf2onnx writes those of Keras, runs
    as that layer. Another Loop, a Scan or an If is left to the runtime whole, with recurrent nodes that it
    may have inside.

    Each cut takes 20 to 40 microseconds. Where recurrent nodes have too little to do for that, such as single
    steps of a small layer, ONNX Runtime runs the graph whole, and results are its own: by the sizes of the
    inputs alone, so that calls alike have results alike. `Session.left_whole` tells for which.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.interop import onnx
    >>> session = onnx.accelerate(onnx.export(fastlstm.LSTM(3, 5)))
    >>> session.report[0].partition(": ")[2]
    'fastlstm'
    >>> y, h_n, c_n = session.run(None, {"x": np.zeros((7, 2, 3), np.float32)})
    >>> y.shape
    (7, 2, 5)
    """
    with names_checked():
        return Session(inlined(read(model)), sess_options, providers)


class Session:
    """A graph, ready to run; `accelerate` makes one.

    Attributes
    ----------
    report : tuple of str
        A sentence on each recurrent node and each loop of the graph: what runs it, and why if not fastlstm.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.interop import onnx
    >>> session = onnx.accelerate(onnx.export(fastlstm.GRU(3, 5), lengths=True))
    >>> feeds = {"x": np.zeros((7, 2, 3), np.float32), "lengths": np.array([7, 4], np.int32)}
    >>> session.run(["h_n"], feeds)[0].shape
    (1, 2, 5)
    """

    def __init__(
        self,
        model: ModelProto,
        options: Any = None,
        providers: Sequence[Any] | None = None,
        least_work: float | None = None,
    ) -> None:
        graph = model.graph
        opset = opset_of(model)
        check_nodes(graph, opset)
        self._defaults = _defaults(model)
        constants = Constants(graph, self._defaults, opset)
        initial = {tensor.name for tensor in graph.initializer}
        self._inputs = [value for value in graph.input if value.name not in initial]
        self._names = {value.name: None for value in self._inputs}.keys()
        self._outputs = list(graph.output)
        self._gives = [value.name for value in self._outputs]
        stages, report = stages_of(graph, constants)
        self.report: tuple[str, ...] = tuple(report)
        needed = self._needed_constants(stages) & constants.keys()
        self._constants = self._defaults | {name: constants[name] for name in needed}
        cutter = _Cutter(model, constants, options, providers)
        self._stages = cutter.pieces(stages)
        self._whole = cache(cutter.whole)
        self._left_whole: dict[Sizes, OnnxRuntime | None] = {}
        each = LEAST_WORK if least_work is None else least_work
        self._least_work = each * sum(bool(stage.recurrent) for stage in stages)

    def _needed_constants(self, stages: Sequence[Stage]) -> set[str]:
        """Return what recurrent nodes read, and the graph gives."""
        reads = {name for stage in stages for node in stage.recurrent for name in node.inputs.values()}
        return reads | {value.name for value in self._outputs}

    def get_inputs(self) -> list[NodeArg]:
        """Return what the graph reads."""
        return [_as_arg(value) for value in self._inputs]

    def get_outputs(self) -> list[NodeArg]:
        """Return what it gives."""
        return [_as_arg(value) for value in self._outputs]

    def run(
        self, output_names: Sequence[str] | None, input_feed: Mapping[str, ArrayLike], run_options: Any = None
    ) -> list[Any]:
        """Return outputs of the graph.

        Parameters
        ----------
        output_names : sequence of str or None
            Which, in which order; None for all.
        input_feed : mapping of str to array
            All inputs by name; and initializers that are inputs, too, where they are to be others.
        run_options : None
            There for code that was written for ONNX Runtime.

        Returns
        -------
        list of array

        Raises
        ------
        ValueError, TypeError
            If a name is not one of the graph's, an input is missing, or an array does not fit a recurrent
            node. What other nodes refuse raises ONNX Runtime's own errors.
        """
        wanted = self._gives if output_names is None else output_names
        for name in wanted:
            if name not in self._gives:
                raise ValueError(f"output_names: expected some of {', '.join(self._gives)}, got {name!r}")
        sizes = sizes_of(input_feed)
        whole = None if sizes is None else self._left_whole.get(sizes)
        if whole is not None:  # with as little between as can be
            return whole.run_fed(input_feed, wanted)
        feeds = as_mapping(input_feed, "input_feed", "names to arrays")
        if feeds.keys() != self._names and feeds.keys() - self._defaults.keys() != self._names:
            got = ", ".join(map(str, feeds)) or "none"
            raise ValueError(f"input_feed: expected {', '.join(self._names)}, got {got}")
        given = {
            name: array if isinstance(array, list) else np.asarray(array) for name, array in feeds.items()
        }
        sizes = sizes_of(given)
        if sizes is not None:
            if sizes not in self._left_whole:
                self._left_whole[sizes] = self._choice(given)
            whole = self._left_whole[sizes]
            if whole is not None:
                return whole.run_fed(given, wanted)
        values, _ = self._run_cut(given)
        return [values[name] for name in wanted]

    def _run_cut(self, given: dict[str, Any]) -> tuple[dict[str, Any], float]:
        """Return all values, and about how long ONNX Runtime would take for the recurrent nodes."""
        values: dict[str, Any] = self._constants | given
        work = 0.0
        for piece, stage in self._stages:
            if piece is not None:
                values |= zip(piece.outputs, piece.run(values), strict=True)
            for node in stage.recurrent:
                values |= node.run(values)
                work += node.work(values)
        return values, work

    def _choice(self, given: dict[str, Any]) -> OnnxRuntime | None:
        """Return what runs calls of such sizes whole; None if they are run in pieces."""
        if len(self._left_whole) >= MOST_SIZES:
            self._left_whole.clear()
        if not self._least_work:
            return None
        _, work = self._run_cut(given)
        return self._whole() if work < self._least_work else None

    @property
    def left_whole(self) -> list[dict[str, tuple[int, ...]]]:
        """The sizes of inputs, of calls so far, for which ONNX Runtime runs the whole graph."""
        return [dict(sizes) for sizes, whole in self._left_whole.items() if whole is not None]


class _Cutter:
    """Makes the pieces of a graph that a runtime runs."""

    def __init__(self, model: ModelProto, constants: Constants, options: Any, providers: Any) -> None:
        self.model = model
        self.constants = constants
        self.runtime = runtime()
        self.told = (options, providers)
        graph = model.graph
        defaults = _defaults(model)
        self.tensors = {tensor.name: tensor for tensor in graph.initializer if tensor.name not in defaults}
        self.sparse = {tensor.values.name: tensor for tensor in graph.sparse_initializer}
        self.types = _types_of(model)

    def pieces(self, stages: Sequence[Stage]) -> list[tuple[Piece | None, Stage]]:
        """Return each stage with the piece that comes before its recurrent nodes."""
        last: dict[str, int] = {}  # the stage that is the last to read a name
        for k, stage in enumerate(stages):
            last |= dict.fromkeys(names_read(stage.others), k)
            last |= {name: k + 1 for node in stage.recurrent for name in node.inputs.values()}
        last |= {value.name: len(stages) for value in self.model.graph.output}
        made: list[tuple[Piece | None, Stage]] = []
        for k, stage in enumerate(stages):
            given = [name for node in stage.others for name in node.output if last.get(name, 0) > k]
            piece = self._piece(stage.others, given)
            made.append((piece, stage))
            if piece is not None:
                self.types = {**piece.types, **self.types}
            self._learn_recurrent(stage)
        return made

    def _learn_recurrent(self, stage: Stage) -> None:
        """Learn the types of what recurrent nodes give, which is that of X; make loops ready to run whole."""
        for node in stage.recurrent:
            if isinstance(node, RecurrentLoop):
                node.whole = cache(partial(self._loop, node))
            of_x = self.types.get(node.x, TypeProto())
            kind = onnx.helper.make_tensor_type_proto(of_x.tensor_type.elem_type, None)
            for name in node.outputs:
                self.types.setdefault(name, kind)

    def whole(self) -> OnnxRuntime | None:
        """Return what runs the graph as it stands; None where that is slow, or not taken."""
        if self.runtime is not OnnxRuntime:
            return None
        try:
            return self.runtime(self.model, *self.told)
        except ValueError:
            return None

    def _loop(self, loop: RecurrentLoop) -> Piece:
        """Return what runs a loop as it stands."""
        piece = self._piece([loop.node], loop.outputs)
        assert piece is not None  # a loop that gives nothing is not needed
        return piece

    def _piece(self, nodes: Sequence[NodeProto], outputs: Sequence[str]) -> Piece | None:
        if not outputs:
            return None
        moves = moves_of(nodes, self.constants, outputs, self.types)
        if moves is not None:
            return moves
        model = ModelProto()
        model.ir_version = self.model.ir_version
        model.opset_import.extend(self.model.opset_import)
        self._fill(model.graph, nodes, outputs)
        size = model.ByteSize()
        if size > MOST_BYTES:
            raise ValueError(f"model: expected pieces of at most {MOST_BYTES} bytes, got one of {size}")
        return self.runtime(model, *self.told)

    def _fill(self, graph: GraphProto, nodes: Sequence[NodeProto], outputs: Sequence[str]) -> None:
        graph.name = "piece"
        reads = sorted(names_read(nodes))
        graph.node.extend(nodes)
        for name in reads:
            if name in self.sparse:
                graph.sparse_initializer.append(self.sparse[name])
            elif name in self.constants:
                made = self.tensors.get(name)
                graph.initializer.append(made or numpy_helper.from_array(self.constants[name], name))
            else:
                graph.input.append(_info(name, self.types.get(name)))
        graph.output.extend(_info(name, self.types.get(name)) for name in outputs)


def sizes_of(feeds: Any) -> Sizes | None:
    """Return the sizes of a call's inputs by name; None where they are not told."""
    try:
        return tuple([(name, array.shape) for name, array in feeds.items()])
    except AttributeError:  # it is no mapping, or lists are among them
        return None


def _defaults(model: ModelProto) -> dict[str, Array]:
    """Return the initializers that a call may replace; in older files all are inputs, but none is to be."""
    if model.ir_version < 4:
        return {}
    names = {value.name for value in model.graph.input}
    return {tensor.name: array_of(tensor) for tensor in model.graph.initializer if tensor.name in names}


def _info(name: str, kind: TypeProto | None) -> ValueInfoProto:
    value = ValueInfoProto(name=name)
    if kind is not None and kind.WhichOneof("value") is not None:
        value.type.CopyFrom(kind)
    return value


def _types_of(model: ModelProto) -> dict[str, TypeProto]:
    """Return the types of values as far as onnx can tell them."""
    types = {}
    if model.ByteSize() <= MOST_BYTES:
        try:
            graph = onnx.shape_inference.infer_shapes(model).graph
        except (onnx.shape_inference.InferenceError, ValueError, RuntimeError):  # it does without
            graph = model.graph
    else:
        graph = model.graph
    for value in (*graph.value_info, *graph.output, *graph.input):
        if value.type.WhichOneof("value") is not None:
            types[value.name] = value.type
    return types


def _as_arg(value: ValueInfoProto) -> NodeArg:
    shape = [
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
        for dim in value.type.tensor_type.shape.dim
    ]
    return NodeArg(value.name, text_of(value.type), shape)
