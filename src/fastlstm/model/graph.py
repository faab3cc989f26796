"""Layers that read x and each other as they like, as one model: skips, concatenations, several heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .checks import as_mapping
from .joint import Joint
from .layered import Layered
from .wiring import AnyLayer, Wiring

INPUT = "x"
"""What the nodes of a graph call its input."""

Node = AnyLayer | tuple[AnyLayer | str, ...]


class Graph(Layered):
    """Layers that read x and each other as they like, for what is no plain sequence.

    It runs, streams, saves and trains as a `Sequential` does. Parameters are named by the node and their name
    there: "encoder.weight_ih_l0", as PyTorch names those of a module's parts.

    Parameters
    ----------
    nodes : mapping of str to layer or tuple
        In the order in which they run. A tuple has a layer and the names of what it reads: "x", which is the
        model's input, or nodes before. A layer alone reads the node before it; the first reads x. `Add`,
        `Multiply` and `Concat` read several.
    outputs : str or sequence of str, optional
        What the model gives: of one node its array, of several a dict of arrays by their names. None is the
        last node.

    Attributes
    ----------
    nodes : dict of str to tuple
        Each with its layer and the names of what it reads.
    outputs : str or tuple of str
    layers : tuple
    batch_first, input_size, num_embeddings, reads_indices, has_readout, is_causal
        As those of `Sequential`.

    Raises
    ------
    TypeError
        If an argument is something else.
    ValueError
        If a layer can't stand where it does, a name is not that of a node before, or nothing reads a node.

    Notes
    -----
    What layers give that are read together must have as many steps. A model of several outputs is trained in
    a loop of its own: `tape.backward` takes a dict of their gradients.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> model = fastlstm.Graph(
    ...     {
    ...         "lstm": fastlstm.LSTM(4, 4, rng=0),
    ...         "skip": (fastlstm.Add(), "x", "lstm"),
    ...         "tags": fastlstm.Linear(4, 7, rng=0),
    ...         "mean": (fastlstm.MeanOverTime(), "skip"),
    ...     },
    ...     outputs=["tags", "mean"],
    ... )
    >>> y = model(np.ones((5, 2, 4)))
    >>> y["tags"].shape, y["mean"].shape
    ((5, 2, 7), (2, 4))
    """

    _fixed = Layered._fixed | {"nodes", "outputs"}

    def __init__(self, nodes: Mapping[str, Node], outputs: str | Sequence[str] | None = None) -> None:
        self.nodes: Final = _read_nodes(nodes)
        names = list(self.nodes)
        self.outputs: Final = _read_outputs(names[-1] if outputs is None else outputs)
        self._one_output = isinstance(self.outputs, str)
        places = {INPUT: 0} | {name: place for place, name in enumerate(names, start=1)}
        self._check_read()
        super().__init__(
            Wiring(
                [layer for layer, *_ in self.nodes.values()],
                names,
                [tuple(places[source] for source in sources) for _, *sources in self.nodes.values()],
                [places[name] for name in self._output_list],
            )
        )

    @property
    def _output_list(self) -> tuple[str, ...]:
        return (self.outputs,) if isinstance(self.outputs, str) else self.outputs

    def _check_read(self) -> None:
        """Raise ValueError unless each output is a node, and each node an output or read."""
        used = set(self._output_list)
        surplus = used - self.nodes.keys()
        if surplus:
            raise ValueError(f"outputs: expected names of nodes, got {', '.join(sorted(surplus))}")
        for _, *sources in self.nodes.values():
            used.update(sources)
        idle = [name for name in self.nodes if name not in used]
        if idle:
            raise ValueError(f"nodes: expected each to be read or an output, got {', '.join(idle)}")

    def __repr__(self) -> str:
        nodes = ", ".join(
            f"{name}=({', '.join((repr(layer), *map(repr, sources)))})"
            for name, (layer, *sources) in self.nodes.items()
        )
        return f"Graph({nodes}, outputs={self.outputs!r})"

    def __reduce__(self) -> tuple[type[Graph], tuple[Any, ...]]:
        return Graph, (self.nodes, self.outputs)

    def _as_y(self, outputs: Sequence[Any]) -> Any:
        if isinstance(self.outputs, str):
            return outputs[0]
        return dict(zip(self.outputs, outputs, strict=True))

    def _from_y(self, dy: Any) -> list[Any]:
        if dy is None or isinstance(self.outputs, str):
            return [dy] * len(self._output_list)
        given = as_mapping(dy, "dy", "outputs to their gradients")
        surplus = [str(name) for name in given if name not in self.outputs]
        if surplus:
            raise ValueError(f"dy: expected names of outputs, got {', '.join(surplus)}")
        return [given.get(name) for name in self.outputs]

    def _output_names(self, name: str) -> list[str]:
        if isinstance(self.outputs, str):
            return [name]
        return [f"{name}[{output!r}]" for output in self.outputs]


def _read_nodes(nodes: Any) -> dict[str, tuple[Any, ...]]:
    """Return each node as a tuple with its sources; TypeError or ValueError if it can't be one."""
    read: dict[str, tuple[Any, ...]] = {}
    before = INPUT
    for name, node in as_mapping(nodes, "nodes", "names to layers").items():
        if not isinstance(name, str):
            raise TypeError(f"nodes: expected names that are strings, got {name!r}")
        if not name or "." in name or name == INPUT:
            raise ValueError(f"nodes: expected names without a dot, none of them {INPUT!r}, got {name!r}")
        layer, *sources = node if isinstance(node, tuple) and node else (node,)
        sources = sources or [before]
        for source in sources:
            if not isinstance(source, str):
                raise TypeError(f"nodes: expected {name!r} to read names of nodes, got {source!r}")
            if source != INPUT and source not in read:
                known = ", ".join((INPUT, *read))
                raise ValueError(f"nodes: expected {name!r} to read one of {known}, got {source!r}")
        if len(sources) > 1 and not isinstance(layer, Joint):
            raise ValueError(f"nodes: expected {name!r} to read one node, got {', '.join(sources)}")
        read[name] = (layer, *sources)
        before = name
    if not read:
        raise ValueError("nodes: expected at least one, got none")
    return read


def _read_outputs(outputs: Any) -> str | tuple[str, ...]:
    """Return the names of the outputs; TypeError or ValueError if they are none."""
    if isinstance(outputs, str):
        return outputs
    if not isinstance(outputs, (tuple, list)) or not all(isinstance(name, str) for name in outputs):
        raise TypeError(f"outputs: expected a name or a list of names, got {outputs!r}")
    if not outputs or len(set(outputs)) < len(outputs):
        raise ValueError(f"outputs: expected at least one name, each only once, got {outputs!r}")
    return tuple(outputs)
