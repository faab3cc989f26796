"""Nodes of graphs as operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from onnx import NodeProto

from ..budget import Budget
from .constants import Constants
from .operators import DIRECTIONS, OPERATORS, Operator
from .protos import DOMAINS, attributes_of, shown
from .weights import FROM_ONNX

WEIGHTS = ("W", "R", "B", "P", "W_scale", "W_zero_point", "R_scale", "R_zero_point")
"""Inputs that stay as they are, if they are constants."""


def kind_of(node: NodeProto) -> type[Operator] | None:
    """Return the operator that a node is; None if it is none of the recurrent ones."""
    return OPERATORS.get(("" if node.domain in DOMAINS else node.domain, node.op_type))


def inputs_of(node: NodeProto) -> dict[str, str]:
    """Return the names of what a recurrent node reads, by the names of the operator's inputs."""
    kind = kind_of(node)
    assert kind is not None
    if len(node.input) > len(kind.INPUTS):
        raise ValueError(f"{shown(node)}: expected at most {len(kind.INPUTS)} inputs, got {len(node.input)}")
    return {ours: name for ours, name in zip(kind.INPUTS, node.input, strict=False) if name}


STEP, OPERATIONS = 0.5, 60e3
"""Microseconds that a step takes at least, and floating-point operations in one."""

Packed = dict[Any, tuple[Operator, Mapping[str, NDArray[Any]]]]
"""Operators with the weights that they were made of."""


class RecurrentNode:
    """A recurrent node of a graph, ready to run.

    Parameters
    ----------
    node : NodeProto
        One with a `kind_of`.
    constants : mapping of str to array
        What stands in the graph. Where it has all weights of the node, they are packed now.
    budget : Budget, optional
        What the weights may take: several nodes may read the same.
    packed : dict, optional
        Operators of nodes before, by their weights: nodes that unroll a loop share theirs, and its cache.

    Raises
    ------
    ValueError, TypeError
        If the node is not as ONNX has it, or can't be run here: the sentence names it.
    """

    def __init__(
        self,
        node: NodeProto,
        constants: Mapping[str, NDArray[Any]],
        budget: Budget | None = None,
        packed: Packed | None = None,
    ) -> None:
        kind = kind_of(node)
        assert kind is not None
        self.name = shown(node)
        self.outputs = list(node.output)
        given = inputs_of(node)
        if "X" not in given:
            raise ValueError(f"{self.name}: X: expected the name of what it runs over, got none")
        weights = {ours: name for ours, name in given.items() if ours in WEIGHTS}
        held = {ours: constants[name] for ours, name in weights.items() if name in constants}
        if len(held) < len(weights):
            held = {}
        attributes = attributes_of(node)
        key = (kind, *((ours, id(array)) for ours, array in held.items()), repr(sorted(attributes.items())))
        # One that gets its weights in each call keeps the last ones, so it is no other node's.
        shared = packed if packed is not None and held else {}
        try:
            if key not in shared:
                if budget is not None:
                    budget.take(sum(array.nbytes for array in held.values()), "weights")
                shared[key] = kind(**held, **attributes), held  # kept, so that the ids stay theirs
            self.operator, _ = shared[key]
        except (ValueError, TypeError) as error:
            raise type(error)(f"{self.name}: {error}") from error
        self.inputs = {ours: name for ours, name in given.items() if ours not in held}
        """What it reads in each run: names of the graph by names of the operator's inputs."""

    @property
    def x(self) -> str:
        """The name of what it runs over."""
        return self.inputs["X"]

    def work(self, values: Mapping[str, NDArray[Any]]) -> float:
        """Return about how many microseconds ONNX Runtime takes for it on one thread."""
        T, B, I = values[self.x].shape  # noqa: E741
        if self.operator.layout:
            T, B = B, T
        H, D = self.operator.units or 0, DIRECTIONS[self.operator.direction]
        operations = 2 * len(FROM_ONNX[self.operator.KIND]) * H * (I + H)
        return float(D * T * (STEP + B * operations / OPERATIONS))

    def leave_out_zeros(self, constants: Constants) -> None:
        """Leave out initial states that are zeros, as they are where a node has none.

        Raises
        ------
        ValueError
            If they are of another size than the layer: so PyTorch's exporter writes projected LSTMs, without
            the projection, and with other weights.
        """
        for ours in ("initial_h", "initial_c"):
            name = self.inputs.get(ours, "")
            if not name or not constants.is_zero(name):
                continue
            size, H = constants.last_size(name), self.operator.units
            if None not in (size, H) and size != H:
                expected = f"{H} numbers for each sequence, as ONNX has no projection of h"
                raise ValueError(f"{self.name}: {ours}: expected {expected}, got {size}")
            del self.inputs[ours]

    def run(self, values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return what the node gives, by name, from what it reads."""
        try:
            results = self.operator(**{ours: values[name] for ours, name in self.inputs.items()})
        except (ValueError, TypeError) as error:
            raise type(error)(f"{self.name}: {error}") from error
        return {name: array for name, array in zip(self.outputs, results, strict=False) if name}
