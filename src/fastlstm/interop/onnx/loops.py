"""Loops that converters make of an LSTM, GRU or RNN, as the layer that they are.

A loop's step is taken apart as far as its weights: the matrices that x and h are multiplied with, and the
vectors that are added. Which gate is which, and whether it is such a cell at all, is not read from the nodes
but measured: the step and the candidates run over the same numbers. As the nodes may be few kinds only, none
of which has a threshold that the numbers might miss, what agrees there agrees everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto

from .constants import Constants
from .operators import GRU, LSTM, RNN, Operator
from .protos import DOMAINS, WRONG, evaluated, shown
from .runtimes import Piece

Array = NDArray[Any]

STEP = {"Add", "Cast", "Identity", "MatMul", "Mul", "Neg", "Not", "Relu", "Sigmoid", "Slice", "Split"}
STEP |= {"Squeeze", "Sub", "Tanh", "Unsqueeze", "Where"}
"""Operators that a step may consist of, beside what only counts."""

COUNTS = {"And", "Add", "Cast", "Identity", "Less"}
"""Operators that tell whether there is another step."""

GATES = {4: LSTM, 3: GRU, 1: RNN}
SCALES = (0.3, 2.0, 30.0)
"""Of the numbers that a step is measured with."""

TOLERANCE = 2e-5
MOST_OF_BODY = 200
"""Nodes that a step may have: one has fifty."""


class NotACell(Exception):
    """Why a loop is none that is known."""


class Step(NamedTuple):
    """A step that was taken apart: names of the body's values.

    Attributes
    ----------
    x, mask : str
        What it reads of this step; "" where there is no mask.
    states : dict of str to str
        What each state is after a step, by its name before it: h, and of an LSTM c.
    repeated : dict of str to str
        Likewise, where what was given before is carried along to be repeated at masked steps.
    y : list of str
        What the loop gives for each step.
    """

    x: str
    mask: str
    states: dict[str, str]
    repeated: dict[str, str]
    y: list[str]


class RecurrentLoop:
    """A loop of a graph that is a layer, ready to run.

    Parameters
    ----------
    node : NodeProto
        A Loop.
    constants : Constants
        Of the graph around it.

    Attributes
    ----------
    inputs : dict of str to str
        What it reads, of the graph around it.
    outputs : list of str
        What it gives: not how many steps there were, nor what it read.
    has_mask : bool
    starts : list of str
        The initial states, of the graph around it.
    numbers : list of str
        Likewise, how many steps there are, whether there is one, and what else its condition reads.
    whole : callable
        Returns what runs the loop as it stands, for a call with another number of steps than x has.

    Raises
    ------
    NotACell
        If it is none that is known.
    ValueError
        If it is damaged.
    """

    whole: Callable[[], Piece]

    def __init__(self, node: NodeProto, constants: Constants) -> None:
        self.name = shown(node)
        self.node = node
        body = Body(node, constants)
        self._step = step = body.step()
        self.operator = cell_of(body, step, constants)
        around = dict(zip(body.carried, node.input[2:], strict=True))
        self._x, self._mask = body.gathered[step.x], body.gathered.get(step.mask, "")
        self.has_mask = bool(self._mask)
        self.starts = [around[name] for name in step.states]
        self._repeated = [around[name] for name in step.repeated]
        self.numbers = [*node.input[:2], *(around.get(name, name) for name in body.counts)]
        self._gives = self._outputs_of(body)
        self.outputs = list(self._gives)
        names = [self._x, self._mask, *self.starts, *self._repeated, *self.numbers]
        self.inputs = {name: name for name in names if name and name not in constants}
        self._constants = {name: constants[name] for name in names if name in constants}

    def _outputs_of(self, body: Body) -> dict[str, int | str]:
        """Return what the loop's outputs are: which state, or "y", or "last", the last of y."""
        states = list(self._step.states)
        found: dict[str, int | str] = {}
        for name, inner in zip(self.node.output, (*body.carried, *self._step.y), strict=True):
            if inner in states:
                found[name] = states.index(inner)
            elif inner in self._step.repeated:
                found[name] = "last"
            elif inner in self._step.y:
                found[name] = "y"
        return {name: what for name, what in found.items() if name}

    @property
    def x(self) -> str:
        """The name of what it runs over."""
        return self._x

    def work(self, values: Mapping[str, Array]) -> float:
        """Return about how many microseconds ONNX Runtime takes for it: at least these for its nodes."""
        return 50.0 * len(values[self.x])

    def output(self, name: str) -> int | str | None:
        """Return what an output is: the number of a state, "y", or "last", the last of y; None for others."""
        return self._gives.get(name)

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Return what the loop gives, by name, from what it reads."""
        known = self._constants | {name: np.asarray(values[name]) for name in self.inputs}
        x = known[self._x]
        T, go_on, *numbers = (known[name] for name in self.numbers)
        others = [number for number in (T, *numbers) if number.size != 1 or number.item() != len(x)]
        if others or not len(x) or not go_on.all() or any(known[name].any() for name in self._repeated):
            piece = self.whole()
            return dict(zip(piece.outputs, piece.run(values), strict=True))
        start = tuple(known[name][None] for name in self.starts)
        mask = known[self._mask].reshape(x.shape[:2]) if self._mask else None
        (model,) = self.operator._models
        y, state = model.run(x, start if len(start) > 1 else start[0], mask=mask)
        finals = [array[0] for array in (state if isinstance(state, tuple) else (state,))]
        results: dict[int | str, Array] = {"y": y, "last": y[-1]} | dict(enumerate(finals))
        return {name: results[what] for name, what in self._gives.items()}


class Body:
    """The body of a Loop, and what its values are.

    Attributes
    ----------
    carried : list of str
        Its values that each step hands to the next.
    gathered : dict of str to str
        What it reads of each step, and of which value of the graph around it.
    counters : list of str
        Values that are the number of the step.
    counts : list of str
        What the body compares those with: how many steps there are.
    known : Constants
        Its constants, those included that are handed from step to step as they are.
    """

    def __init__(self, node: NodeProto, constants: Constants) -> None:
        graphs = [one.g for one in node.attribute if one.name == "body"]
        if len(graphs) != 1 or len(graphs[0].node) > MOST_OF_BODY:
            raise NotACell("its body is missing, or large")
        (self.graph,) = graphs
        names = [value.name for value in self.graph.input]
        self.nodes = {name: one for one in self.graph.node for name in one.output}
        outputs = [self.original(value.name) for value in self.graph.output]
        if not 3 <= len(names) == len(node.input) <= len(outputs) + 1 == len(node.output) + 2:
            raise NotACell("its body has other inputs and outputs")
        if len(names) > MOST_OF_BODY or not all(node.input):
            raise NotACell("it has no number of steps, or carries too much")
        (self.iteration, _, *self.carried), (self.condition, *self.after) = names, outputs
        self.around = dict(zip(self.carried, node.input[2:], strict=True))
        self.gathered = dict[str, str]()
        self._kinds = {value.name: value.type.tensor_type.elem_type for value in self.graph.input}
        self.constants = constants
        self.same = [name for name, new in zip(self.carried, self.after, strict=False) if name == new]
        self.known = Constants(self._with_constants(), opset=constants.opset)
        self.counters = [name for name in self.carried if self._counts(name)]
        self.counts = self._counts_read()
        self.gathered = dict(self._gathered())

    def original(self, name: str) -> str:
        """Return what a value is that an Identity passes on."""
        for _ in self.graph.node:
            if name in self.nodes and self.nodes[name].op_type == "Identity":
                name = self.nodes[name].input[0]
        return name

    def _with_constants(self) -> GraphProto:
        """Return the body with the constants of the graph around it that it reads."""
        graph = GraphProto()
        graph.CopyFrom(self.graph)
        read = {name: name for one in self.graph.node for name in one.input}
        for name, outer in (read | {name: self.around[name] for name in self.same}).items():
            if outer in self.constants and name not in self.nodes:
                array = self.constants[outer]
                self.constants.budget.take(array.nbytes, "loop")
                graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        return graph

    def _counts(self, name: str) -> bool:
        """Return whether a value is the number of the step."""
        new = self.nodes.get(self.after[self.carried.index(name)])
        first = self.constants.get(self.around[name])
        if new is None or new.op_type != "Add" or first is None or first.any() or first.dtype.kind != "i":
            return False
        added = [self.known.get(other) for other in new.input if other != name]
        return name in new.input and len(added) == 1 and added[0] is not None and bool((added[0] == 1).all())

    def _counts_read(self) -> list[str]:
        """Return what tells whether there is another step; NotACell if that is not counting alone."""
        self._check_kinds([self.condition], COUNTS)
        counting = (self.iteration, *self.counters, *self.known)
        return [
            name
            for name in sorted(self._ancestors([self.condition]))
            if name not in self.nodes and name not in counting
        ]

    def check_goes_on(self) -> None:
        """Raise NotACell if the loop may end before the number of steps that is its own."""
        count = 5
        for k in range(count - 1):
            feeds = {name: self._whole(name, k) for name in (self.iteration, *self.counters)}
            feeds |= {name: self._whole(name, count) for name in self.counts}
            if not self.run(feeds, [self.condition])[0].all():
                raise NotACell("it may end before its last step")

    def _whole(self, name: str, number: int) -> Array:
        """Return a whole number of the kind of a value."""
        kind = self._kinds.get(name, onnx.TensorProto.INT32)
        return np.array(number, onnx.helper.tensor_dtype_to_np_dtype(kind))

    def _gathered(self) -> Iterator[tuple[str, str]]:
        for one in self.graph.node:
            if (
                one.op_type == "Gather"
                and len(one.input) == 2
                and one.input[1] in (self.iteration, *self.counters)
            ):
                axis = next((a.i for a in one.attribute if a.name == "axis"), 0)
                if axis == 0 and one.input[0] not in self.nodes and one.input[0] not in self._kinds:
                    yield one.output[0], one.input[0]

    def step(self) -> Step:
        """Return the body as a step; NotACell if it is none."""
        states, repeated = dict[str, str](), dict[str, str]()
        for name, new in zip(self.carried, self.after, strict=False):
            if name in self.same or name in self.counters:
                continue
            if self._kinds[name] != onnx.TensorProto.FLOAT:
                raise NotACell("it carries other numbers than states")
            others = [one for one in self.after[: len(self.carried)] if one != new]
            (states if name in self._ancestors(others) or self._is_product(name) else repeated)[name] = new
        y = self.after[len(self.carried) :]
        floats = [name for name in self.gathered if name not in self._masks()]
        masks = [name for name in self.gathered if name in self._masks()]
        if len(floats) != 1 or len(masks) > 1 or not 1 <= len(states) <= 2 or bool(repeated) > bool(masks):
            raise NotACell("it reads or carries something else than x, a mask, h and c")
        self._check_kinds([*states.values(), *repeated.values(), *y], STEP)
        self.check_goes_on()
        return Step(floats[0], masks[0] if masks else "", states, repeated, y)

    def _is_product(self, name: str) -> bool:
        """Return whether something is multiplied with a matrix, as h is."""
        return any(one.op_type == "MatMul" and name in one.input for one in self.graph.node)

    def _masks(self) -> set[str]:
        """Return what is read as true or false."""
        return {one.input[0] for one in self.graph.node if one.op_type in ("Not", "Where")}

    def _ancestors(self, names: Sequence[str]) -> set[str]:
        found, open_ = set[str](), list(names)
        while open_:
            name = open_.pop()
            if name not in found:
                found.add(name)
                open_ += self.nodes[name].input if name in self.nodes else []
        return found

    def _check_kinds(self, names: Sequence[str], kinds: set[str]) -> None:
        """Raise NotACell if other operators than these make values, but for what is read of each step."""
        found, open_ = set[str](), list(names)
        while open_:
            name = open_.pop()
            if name in found or name in self.known or name not in self.nodes or name in self.gathered:
                continue
            found.add(name)
            node = self.nodes[name]
            if node.op_type not in kinds or node.domain not in DOMAINS:
                raise NotACell(f"a step has {shown(node)}")
            open_ += node.input

    def weights(self, step: Step) -> tuple[Array, list[Array], Array, Array]:
        """Return the matrix of x, those of h, and the biases of x and h."""
        of_x: list[Array] = []
        of_h: list[Array] = []
        biases: dict[bool, list[Array]] = {False: [], True: []}
        for one in self.graph.node:
            left = [name for name in one.input if name not in self.known]
            right = [self.known[name] for name in one.input if name in self.known]
            if len(left) != 1 or len(right) != 1 or right[0].dtype.kind != "f":
                continue
            from_h = bool(self._ancestors(left) & step.states.keys())
            if one.op_type == "MatMul" and right[0].ndim == 2:
                (of_x if left[0] == step.x else of_h).append(right[0])
            elif one.op_type == "Add" and right[0].ndim == 1:
                biases[from_h].append(right[0])
        if len(of_x) != 1 or not of_h:
            raise NotACell("a step has other products than those of x and h")
        none = np.zeros(of_x[0].shape[1], np.float32)
        if any(bias.shape != none.shape for bias in (*biases[False], *biases[True])):
            raise NotACell("biases have other sizes than x's product")
        return of_x[0], of_h, sum(biases[False], none), sum(biases[True], none)

    def run(self, feeds: dict[str, Array], outputs: Sequence[str]) -> list[Array]:
        """Return values of a step."""
        wanted = self._ancestors(outputs)
        nodes = [
            one for one in self.graph.node if wanted.intersection(one.output) and one.output[0] not in feeds
        ]
        known = {name: self.known[name] for name in wanted if name in self.known and name not in self.nodes}
        try:
            return evaluated(nodes, known | feeds, outputs, self.constants.opset)
        except WRONG as error:
            raise NotACell(f"a step can't be run ({error})"[:200]) from error


def cell_of(body: Body, step: Step, constants: Constants) -> Operator:
    """Return the operator that gives what the step gives; NotACell if none does."""
    measured = list(_measured(body, step))
    for operator in _candidates(body, step):
        if all(_agrees(operator, *each) for each in measured):
            return operator
    raise NotACell("no cell gives what a step gives")


def _measured(body: Body, step: Step) -> Iterator[tuple[Array, list[Array], list[Array]]]:
    """Yield x, states, and what they are after a step; NotACell if y or masks are not as they have to be."""
    of_x, of_h, *_ = body.weights(step)
    rng = np.random.default_rng(0)
    for scale in SCALES:
        x = (scale * rng.standard_normal((8, len(of_x)))).astype(np.float32)
        before = [
            rng.uniform(-1, 1, (8, len(of_h[0]))).astype(np.float32) for _ in (*step.states, *step.repeated)
        ]
        names = [*step.states, *step.repeated]
        feeds = {step.x: x, **dict(zip(names, before, strict=True))}
        wanted = [*step.states.values(), *step.repeated.values(), *step.y]
        count = len(step.states)
        if step.mask:
            masked = body.run(feeds | {step.mask: np.zeros((8, 1), bool)}, wanted)
            given = before[count:][:1] * len(step.y)
            if not all(map(np.array_equal, masked, [*before, *given])):
                raise NotACell("masked steps do not carry states and outputs along")
            feeds[step.mask] = np.ones((8, 1), bool)
        after = body.run(feeds, wanted)
        h = next(
            (k for k in range(count) if all(np.array_equal(one, after[k]) for one in after[count:])), None
        )
        if h is None:
            raise NotACell("what it gives is not h")
        order = [h, *(k for k in range(count) if k != h)]
        if order != list(range(count)):
            raise NotACell("h is not the first of its states")
        yield x, before[:count], after[:count]


def _candidates(body: Body, step: Step) -> Iterator[Operator]:
    """Yield the cells that may have these weights: with each order of the gates."""
    of_x, of_h, bias_x, bias_h = body.weights(step)
    H = len(of_h[0])
    whole = np.concatenate(of_h, axis=1)
    count = of_x.shape[1] // H if H else 0
    kind = GATES.get(count)
    if kind is None or whole.shape != (H, count * H) or of_x.shape[1] != count * H:
        raise NotACell(f"its products have {of_x.shape[1]} and {whole.shape[1]} columns for {H} units")
    if len(step.states) != (2 if kind is LSTM else 1):
        raise NotACell(f"it carries {len(step.states)} states")
    told: list[dict[str, Any]] = [{}]
    if kind is GRU:
        told = [{"linear_before_reset": int(len(of_h) == 1)}]
    elif kind is RNN:
        told = [{"activations": [name]} for name in ("Tanh", "Relu")]
    for order in permutations(range(count)):

        def picked(array: Array, order: Sequence[int] = order) -> Array:
            return np.concatenate([np.split(array, count, axis=-1)[gate] for gate in order], axis=-1)

        bias = np.concatenate([picked(bias_x), picked(bias_h)])
        for attributes in told:
            yield kind(picked(of_x).T[None], picked(whole).T[None], bias[None], **attributes)


def _agrees(operator: Operator, x: Array, before: Sequence[Array], after: Sequence[Array]) -> bool:
    """Return whether the operator's states after a step are those."""
    _, *states = operator(x[None], None, *(state[None] for state in before))
    return all(
        np.allclose(mine[0], other, TOLERANCE, TOLERANCE) for mine, other in zip(states, after, strict=True)
    )
