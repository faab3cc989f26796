"""The cells in TensorFlow 1's frozen graphs, found by how their nodes are connected.

A cell is a product of x and h, side by side, with one matrix of constants, cut into gates. What a gate is
multiplied with tells which it is; so names do not matter, and a bias that is added in the graph, as to the
forget gate, is found on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .graph_def import Graph, Node
from .parts import Part, Tensor, Told, in_order, recurrent_part, shown, under

NAME = "TensorFlow 1"

FLOAT, DOUBLE = 1, 2
"""Numbers of TensorFlow's dtypes."""

WEIGHTS = {
    "MatMul": (0, 1),
    "LSTMBlockCell": (3,),
    "BlockLSTM": (4,),
    "BlockLSTMV2": (4,),
    "GRUBlockCell": (2, 3),
}
"""Which inputs of an operation are weights."""

ADDS = ("Add", "AddV2", "BiasAdd")
FUNCTIONS = {"Tanh": "tanh", "Relu": "relu", "Elu": "elu", "Softsign": "softsign", "Softplus": "softplus"}
BACK = ("Merge", "NextIteration", "Select", "SelectV2", "Identity", "Switch", "Enter")
"""What lies between a step's h and the next step's."""

MOST_VISITED = 200


def parts_of(content: bytes, told: Told, prefix: str) -> list[Part]:
    """Return the cells of a graph; ValueError if it has none, or others, or is damaged."""
    graph = Graph(content)
    matrices = {
        node.name: node for node in graph.nodes.values() if node.op == "Const" and _is_matrix(graph, node)
    }
    found: dict[str, Part] = {}
    used: set[str] = set()
    for name, kernel in matrices.items():
        for reader, place in graph.readers(kernel, 0):
            read = _of_reader(graph, reader, place)
            if read is not None:
                part, its = read
                used.update(its)
                found.setdefault(name, part)
                break
    wanted = [_told(part, told) for name, part in found.items() if under(name, prefix)]
    others = [name for name in matrices if name not in used and under(name, prefix)]
    if not wanted or (others and not prefix):
        cells = ", ".join(map(repr, list(found)[:6])) or "none"
        raise ValueError(
            f"graph: expected cells alone, got other matrices, {', '.join(others[:6]) or 'none'}, "
            f"and cells {cells}: load one with prefix=..."
        )
    return in_order(wanted, is_ordered=False)


def _told(part: Part, told: Told) -> Part:
    given = {name: value for name, value in told.recurrent.items() if name != "nonlinearity"}
    return Part(part.name, part.kind, {**part.arguments, **given}, part.arrays)


def _is_matrix(graph: Graph, node: Node) -> bool:
    """Return whether a constant is a matrix of weights, and not only a state."""
    value = node.attributes.get("value")
    return (
        value is not None
        and value.tensor.dtype in (FLOAT, DOUBLE)
        and len(value.tensor.shape.dim) == 2
        and any(place in WEIGHTS.get(reader.op, ()) for reader, place in graph.readers(node, 0))
    )


def _of_reader(graph: Graph, reader: Node, place: int) -> tuple[Part, list[str]] | None:
    """Return the cell of an operation that reads a matrix as that input, and the matrices that it has."""
    if reader.op == "MatMul" and place == 1:
        return _of_product(graph, reader)
    if reader.op == "LSTMBlockCell" and place == 3:
        return _of_block(graph, reader, 3, 3.0)
    if reader.op == "BlockLSTM" and place == 4:
        return _of_block(graph, reader, 4, 3.0)
    return None


def _array(graph: Graph, node: Node, place: int) -> Tensor:
    array = graph.constant(node, place)
    if array is None:
        got = graph.source(node, place).op
        raise ValueError(f"{shown(node.name)}: expected constants as input {place}, got {got}")
    return array


def _made(
    name: str, kernel: Tensor, gates: list[int], bias: Tensor, options: dict[str, Any], more: Any = None
) -> Part:
    """Return an LSTM from a kernel (I + H, 4·H) and a bias (4·H,), whose i, f, g, o have these places."""
    units = kernel.shape[1] // 4
    if kernel.shape[1] != 4 * units or not 0 < units < kernel.shape[0] or bias.shape != (4 * units,):
        raise ValueError(
            f"{shown(name)}: expected a kernel (I + H, 4·H), got {kernel.shape} and {bias.shape}"
        )
    rows = np.concatenate([kernel.T[gate * units : (gate + 1) * units] for gate in gates])
    split = kernel.shape[0] - units
    bias = np.concatenate([bias[gate * units : (gate + 1) * units] for gate in gates])
    arrays = {
        "weight_ih_l0": rows[:, :split],
        "weight_hh_l0": rows[:, split:],
        "bias_ih_l0": bias,
        "bias_hh_l0": np.zeros_like(bias),
    }
    return recurrent_part(name, "LSTM", arrays | (more or {}), {"batch_first": True} | options)


# Cells as one operation


def _of_block(graph: Graph, node: Node, at: int, usual_clip: float) -> tuple[Part, list[str]]:
    """Return an LSTM of an operation whose weights are the input `at`, followed by peepholes and the bias."""
    kernel, bias = _array(graph, node, at), _array(graph, node, at + 4)
    units = kernel.shape[1] // 4
    said = node.attributes
    forget_bias = said["forget_bias"].f if "forget_bias" in said else 1.0
    clip = said["cell_clip"].f if "cell_clip" in said else usual_clip
    options: dict[str, Any] = {"cell_clip": float(clip)} if clip > 0 else {}
    more = {}
    if "use_peephole" in said and said["use_peephole"].b:
        options["peepholes"] = True
        more["weight_ch_l0"] = np.concatenate([_array(graph, node, at + k) for k in (1, 2, 3)])
    bias = bias.copy()
    bias[2 * units : 3 * units] += forget_bias
    name = graph.source(node, at).name
    return _made(name, kernel, [0, 2, 1, 3], bias, options, more), [name]


# Cells of single operations


def _of_product(graph: Graph, product: Node) -> tuple[Part, list[str]] | None:
    """Return the cell of a product that is cut into its gates; None if it is none."""
    here, bias = _biased(graph, product)
    split = _reader(graph, here, 0, ("Split",))
    if split is not None and _pieces(split) == 4:
        return _lstm(graph, graph.source(product, 1).name, _array(graph, product, 1), bias, split)
    sigmoid = _reader(graph, here, 0, ("Sigmoid",))
    split = None if sigmoid is None else _reader(graph, sigmoid, 0, ("Split",))
    if split is not None and _pieces(split) == 2:
        return _gru(graph, product, bias, split)
    return None


def _pieces(split: Node) -> int:
    return int(split.attributes["num_split"].i) if "num_split" in split.attributes else 0


def _biased(graph: Graph, product: Node) -> tuple[Node, Tensor]:
    """Return where a product's biases have been added, and what they are together."""
    kernel = _array(graph, product, 1)
    bias, here = np.zeros(kernel.shape[1], kernel.dtype), product
    added = _reader(graph, here, 0, ADDS)
    while added is not None:
        constant = _other_constant(graph, added, here)
        if constant is None or constant.shape != bias.shape:
            break
        bias, here = bias + constant, added
        added = _reader(graph, here, 0, ADDS)
    return here, bias


def _lstm(graph: Graph, name: str, kernel: Tensor, bias: Tensor, split: Node) -> tuple[Part, list[str]]:
    gates = [_Gate(graph, split, k) for k in range(4)]
    order, functions, h = _roles(name, gates)
    if not _feeds_back(graph, kernel, name, h):
        expected = "the next step to read what o gives"
        raise ValueError(f"{shown(name)}: expected {expected}, got another, as with a projection")
    units = kernel.shape[1] // 4
    for k, gate in enumerate(gates):
        bias[k * units : (k + 1) * units] += gate.bias
    options = {} if functions == ("tanh", "tanh") else {"activations": ("sigmoid", *functions)}
    return _made(name, kernel, order, bias, options), [name]


def _gru(graph: Graph, product: Node, bias: Tensor, split: Node) -> tuple[Part, list[str]] | None:
    """Return the GRU of a product that is cut into r and u, if r multiplies h before another product."""
    for r in range(2):
        reset = _reader(graph, split, r, ("Mul",))
        joined = None if reset is None else _reader(graph, reset, 0, ("ConcatV2",))
        candidate = None if joined is None else _reader(graph, joined, 0, ("MatMul",))
        rest = _reader(graph, split, 1 - r, ("Sub",))
        if candidate is not None and rest is not None:
            break
    else:
        return None
    here, candidate_bias = _biased(graph, candidate)
    function = _reader(graph, here, 0, tuple(FUNCTIONS))
    gates, candidates = _array(graph, product, 1), _array(graph, candidate, 1)
    name, units = graph.source(product, 1).name, candidates.shape[1]
    weighed = _reader(graph, rest, 0, ("Mul",))
    if weighed is None or not any(graph.source(weighed, k) is function for k in range(len(weighed.inputs))):
        raise ValueError(f"{shown(name)}: expected h as u·h + (1 - u)·n, got another")
    if function is None or gates.shape != (len(candidates), 2 * units) or units >= len(candidates):
        raise ValueError(
            f"{shown(name)}: expected the gates of a GRU, got {gates.shape} and {candidates.shape}"
        )
    own, other = slice(r * units, (r + 1) * units), slice((1 - r) * units, (2 - r) * units)
    rows = np.concatenate([gates.T[own], gates.T[other], candidates.T])
    biases = np.concatenate([bias[own], bias[other], candidate_bias])
    arrays = {
        "weight_ih_l0": rows[:, :-units],
        "weight_hh_l0": rows[:, -units:],
        "bias_ih_l0": biases,
        "bias_hh_l0": np.zeros_like(biases),
    }
    options: dict[str, Any] = {"batch_first": True, "reset_after": False}
    if function.op != "Tanh":
        options["activations"] = ("sigmoid", FUNCTIONS[function.op])
    return recurrent_part(name, "GRU", arrays, options), [name, graph.source(candidate, 1).name]


class _Gate:
    """One of the pieces that pre-activations are cut into.

    Attributes
    ----------
    bias : float
        What the graph adds to it.
    function : Node
        What it goes through.
    product : Node or None
        What it is multiplied in then.
    """

    def __init__(self, graph: Graph, split: Node, output: int) -> None:
        self.graph, self.bias = graph, 0.0
        here, number = split, output
        added = _reader(graph, here, number, ADDS)
        while added is not None:
            constant = _other_constant(graph, added, here)
            if constant is None or constant.size != 1:
                raise ValueError(
                    f"{shown(added.name)}: expected a number to be added to a gate, got a peephole"
                )
            self.bias += float(constant.reshape(()))
            here, number = added, 0
            added = _reader(graph, here, number, ADDS)
        function = _reader(graph, here, number, ("Sigmoid", *FUNCTIONS))
        if function is None:
            expected = f"{', '.join(FUNCTIONS)} or Sigmoid after it"
            raise ValueError(f"{shown(here.name)}: expected {expected}, got another")
        self.function = function
        self.product = _reader(graph, function, 0, ("Mul",))

    def factor(self) -> Node | None:
        """Return what it is multiplied with."""
        if self.product is None:
            return None
        sources = [self.graph.source(self.product, k) for k in range(len(self.product.inputs))]
        return next((source for source in sources if source is not self.function), None)


def _roles(name: str, gates: list[_Gate]) -> tuple[list[int], tuple[str, str], Node]:
    """Return the places of i, f, g and o, the functions of g and c, and the node that is h."""
    candidates = [k for k, gate in enumerate(gates) if gate.function.op != "Sigmoid"]
    if len(candidates) != 1:
        raise ValueError(f"{shown(name)}: expected three gates of a sigmoid and one of another, got others")
    g = candidates[0]
    i = next((k for k, gate in enumerate(gates) if k != g and gate.factor() is gates[g].function), None)
    others = [k for k in range(4) if k not in (g, i)]
    outs = [k for k in others if (factor := gates[k].factor()) is not None and factor.op in FUNCTIONS]
    if i is None or len(outs) != 1:
        raise ValueError(f"{shown(name)}: expected the gates of an LSTM, got others")
    o = outs[0]
    f = next(k for k in others if k != o)
    function_of_c, h = gates[o].factor(), gates[o].product
    added, forgotten = gates[i].product, gates[f].product
    if function_of_c is None or h is None or added is None or forgotten is None:
        raise ValueError(f"{shown(name)}: expected every gate to be multiplied, got one that is not")
    graph = gates[o].graph
    c = graph.source(function_of_c, 0)
    terms = {graph.source(c, k).name for k in range(len(c.inputs))} if c.op in ADDS else set()
    if terms != {forgotten.name, added.name}:
        raise ValueError(f"{shown(name)}: expected c as f·c + i·g, got {c.op}, as with a bound on c")
    return [i, f, g, o], (FUNCTIONS[gates[g].function.op], FUNCTIONS[function_of_c.op]), h


def _feeds_back(graph: Graph, kernel: Tensor, name: str, h: Node) -> bool:
    """Return whether the product with a kernel, in a loop or at a later step, reads `h`, after x."""
    products = [reader for reader, place in graph.readers(graph.nodes[name], 0) if reader.op == "MatMul"]
    for product in products:
        joined = graph.source(product, 0)
        joins = joined.op == "ConcatV2" and len(joined.inputs) == 3
        if joins and any(node is h for node in _behind(graph, graph.source(joined, 1))):
            return True
    return False


def _behind(graph: Graph, node: Node) -> Iterator[Node]:
    """Yield a node and what comes to it through a loop's operations."""
    waiting, seen = [node], set[str]()
    while waiting and len(seen) < MOST_VISITED:
        here = waiting.pop()
        if here.name in seen:
            continue
        seen.add(here.name)
        yield here
        if here.op in BACK:
            waiting.extend(graph.source(here, k) for k in range(len(here.inputs)))


def _reader(graph: Graph, node: Node, output: int, operations: tuple[str, ...]) -> Node | None:
    """Return the first operation of these that reads an output."""
    return next((reader for reader, _ in graph.readers(node, output) if reader.op in operations), None)


def _other_constant(graph: Graph, added: Node, known: Node) -> Tensor | None:
    """Return the constant that is added to what is known."""
    for place in range(len(added.inputs)):
        if graph.source(added, place) is not known:
            return graph.constant(added, place)
    return None
