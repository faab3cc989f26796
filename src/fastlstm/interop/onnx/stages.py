"""A graph cut where recurrent nodes run here: what comes before, these, what comes after, and so on."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray
from onnx import GraphProto, NodeProto

from .constants import Constants
from .loops import NotACell, RecurrentLoop
from .nodes import RecurrentNode, kind_of
from .protos import read_by, shown, subgraphs_of

Array = NDArray[Any]

Ours = RecurrentNode | RecurrentLoop

LOOPS = ("Loop", "Scan", "If")


@dataclass
class Stage:
    """Nodes that may run once the stages before have run.

    Attributes
    ----------
    others : list of NodeProto
        Those that are left to a runtime, in order.
    recurrent : list of RecurrentNode or RecurrentLoop
        Those that run after them, here.
    """

    others: list[NodeProto] = field(default_factory=list)
    recurrent: list[Ours] = field(default_factory=list)


def stages_of(graph: GraphProto, constants: Constants) -> tuple[list[Stage], list[str]]:
    """Return the stages of a graph, and a sentence on each node that is recurrent or a loop.

    Raises
    ------
    ValueError
        If a node reads what none before it gives.
    """
    ours, report = _recurrent_nodes(graph, constants)
    needed = _needed(graph, ours)
    stages: list[Stage] = []
    level = {value.name: 0 for value in graph.input} | dict.fromkeys(constants, 0)
    level |= {tensor.values.name: 0 for tensor in graph.sparse_initializer}
    for place, node in enumerate(graph.node):
        if place not in needed or all(name in constants for name in node.output):
            continue
        recurrent = ours.get(place)
        reads = list(recurrent.inputs.values()) if recurrent else read_by(node)
        missing = [name for name in reads if name not in level]
        if missing:
            raise ValueError(f"{shown(node)}: expected inputs that nodes before it give, got {missing[0]!r}")
        own = max((level[name] for name in reads), default=0)
        stages += [Stage() for _ in range(own + 1 - len(stages))]
        if recurrent is None:
            stages[own].others.append(node)
        else:
            stages[own].recurrent.append(recurrent)
        level |= dict.fromkeys(node.output, own + (recurrent is not None))
    return stages, report


def _recurrent_nodes(graph: GraphProto, constants: Constants) -> tuple[dict[int, Ours], list[str]]:
    """Return the nodes that run here, by their places, and a sentence on each that might have."""
    ours: dict[int, Ours] = {}
    report = []
    read = {name for node in graph.node for name in read_by(node)} | {value.name for value in graph.output}
    for place, node in enumerate(graph.node):
        if kind_of(node) is None and node.op_type not in LOOPS:
            continue
        try:
            ours[place] = _ours(node, read, constants)
            report.append(f"{shown(node)}: fastlstm")
        except NotACell as reason:
            inside = ", ".join(shown(inner) for inner in _inside(node)) or "no recurrent node"
            report.append(f"{shown(node)}: the runtime, whole, with {inside} inside, as {reason}")
        except (ValueError, TypeError) as error:
            sentence = str(error).removeprefix(f"{shown(node)}: ")
            report.append(f"{shown(node)}: the runtime, as fastlstm can't have it ({sentence})")
    return ours, report


def _ours(node: NodeProto, read: Container[str], constants: Constants) -> Ours:
    """Return a node, ready to run here; NotACell, ValueError or TypeError if it can't be.

    `read` has all names that anything reads.
    """
    if kind_of(node) is not None:
        recurrent = RecurrentNode(node, constants, constants.budget, constants.packed)
        recurrent.leave_out_zeros(constants)
        return recurrent
    if node.op_type != "Loop":
        raise NotACell(f"{node.op_type} is left as it is")
    loop = RecurrentLoop(node, constants)
    others = [name for name in node.output if name in read and name not in loop.outputs]
    if others:
        raise NotACell(f"{others[0]!r} is no output of a layer")
    return loop


def _inside(node: NodeProto) -> Iterator[NodeProto]:
    """Yield the recurrent nodes of a loop's body."""
    for graph in subgraphs_of(node):
        for inner in graph.node:
            if kind_of(inner) is not None:
                yield inner
            yield from _inside(inner)


def _needed(graph: GraphProto, ours: dict[int, Ours]) -> set[int]:
    """Return the places of the nodes that the outputs depend on: not those that only made weights."""
    wanted = {value.name for value in graph.output}
    needed = set()
    for place in reversed(range(len(graph.node))):
        node = graph.node[place]
        if wanted.intersection(node.output):
            needed.add(place)
            wanted.update(ours[place].inputs.values() if place in ours else read_by(node))
    return needed


def names_read(nodes: Sequence[NodeProto]) -> set[str]:
    """Return the names of what nodes read that none of them gives."""
    given = {name for node in nodes for name in node.output}
    return {name for node in nodes for name in read_by(node)} - given
