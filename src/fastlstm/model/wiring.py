"""Which layer of a model reads what, and whether each can stand where it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .cells import one_of
from .joint import Joint
from .layer import Directions, PlainLayer, Readout
from .parameters import Weights
from .recurrent import Recurrent
from .temporal import TemporalLayer

AnyLayer = Recurrent[Any] | Readout | PlainLayer | TemporalLayer | Joint
KINDS = (Recurrent, Readout, PlainLayer, TemporalLayer, Joint)

Evaluation = Callable[[Any, Weights], Any]
"""What a layer does with rows of floats and its weights, where that is all there is to do."""


class Wiring:
    """Layers and what each reads. A value is x, which is 0, or what a layer gives, 1 for the first.

    Parameters
    ----------
    layers : sequence of layers
    names : sequence of str
        What each is called in errors, and what stands before the names of its parameters.
    sources : sequence of tuples of int
        For each layer the values that it reads, all of them before its own.
    outputs : sequence of int
        The values that are the model's.

    Attributes
    ----------
    released : list of tuples of int
        For each layer the values that nothing reads after it.
    directions : list
        For each layer what the columns hold that it reads: one direction, or both; None where that isn't
        known.
    size : int or None
        How many numbers each step of x has; None where any will do.
    sizes : list of int or None
        For each value how many numbers its last axis has; None where any will do.
    num_embeddings : int or None
        What the indices in x are below; None where x is floats.
    batch_first : bool
        As in the recurrent layers.
    by_step : list of bool
        For each value whether it has steps, rather than a vector for each sequence.

    Raises
    ------
    TypeError
        If something is no layer.
    ValueError
        If a layer can't stand where it does.
    """

    def __init__(
        self,
        layers: Sequence[AnyLayer],
        names: Sequence[str],
        sources: Sequence[tuple[int, ...]],
        outputs: Sequence[int],
    ) -> None:
        self.layers, self.names, self.sources, self.outputs = layers, names, sources, outputs
        self._check_layers()
        self.recurrent = [layer for layer in layers if isinstance(layer, Recurrent)]
        self.batch_first = bool(self.recurrent) and self.recurrent[0].batch_first
        self._check_layout()
        self.num_embeddings = self._indices_end()
        self.size = self._follow_sizes()
        self.by_step = self._follow_steps()
        self.directions = self._follow_directions()
        self.released = self._last_readers()

    def _check_layers(self) -> None:
        if not self.layers:
            raise ValueError("layers: expected at least one, got none")
        seen = set()
        for layer, name in zip(self.layers, self.names, strict=True):
            if not isinstance(layer, KINDS):
                expected = one_of("a layer of fastlstm.layers")
                raise TypeError(f"layers: expected {expected}, got {type(layer).__name__} at {name}")
            if id(layer) in seen:
                raise ValueError(f"layers: expected each only once, got {layer!r} again at {name}")
            seen.add(id(layer))

    def _check_layout(self) -> None:
        for layer, name in zip(self.layers, self.names, strict=True):
            if isinstance(layer, Recurrent) and layer.batch_first != self.batch_first:
                expected = f"batch_first={self.batch_first} as before"
                raise ValueError(f"layers: expected {expected}, got {layer!r} at {name}")

    def _indices_end(self) -> int | None:
        """Return what indices in x are below: what reads x reads either all indices or all floats."""
        ends = []
        for layer, name, read in zip(self.layers, self.names, self.sources, strict=True):
            end = layer._num_embeddings
            if end is not None and read != (0,):
                raise ValueError(
                    f"layers: expected {type(layer).__name__} only as the first, got it at {name}"
                )
            if 0 in read:
                ends.append(end)
                if (end is None) != (ends[0] is None):
                    raise ValueError(f"layers: expected all that read x to read indices, or none, got {name}")
        return min((end for end in ends if end is not None), default=None)

    def _follow_sizes(self) -> int | None:
        """Return the size of x; ValueError unless each layer reads as many numbers as its source gives."""
        size_of_x: int | None = None
        sizes: list[int | None] = [None]
        as_x = [self.num_embeddings is None]  # whether a value has as many numbers as x
        for layer, name, read in zip(self.layers, self.names, self.sources, strict=True):
            given = [size_of_x if as_x[source] else sizes[source] for source in read]
            if given[0] is not None and layer._reads not in (None, given[0]):
                raise ValueError(
                    f"layers: expected one that reads {given[0]} numbers at {name}, got {layer!r}"
                )
            if isinstance(layer, Joint):
                sizes.append(self._joint_size(layer, name, given))
                as_x.append(False)
                continue
            if as_x[read[0]] and layer._reads is not None:
                size_of_x = layer._reads
            sizes.append(layer._gives or layer._reads or given[0])
            as_x.append(as_x[read[0]] and layer._gives is None)
        self.sizes = [size_of_x if like else size for size, like in zip(sizes, as_x, strict=True)]
        return size_of_x

    def _joint_size(self, layer: Joint, name: str, given: Sequence[int | None]) -> int | None:
        try:
            return layer._size(given)
        except ValueError as error:
            raise ValueError(f"layers: {error} at {name}") from None

    def _follow_steps(self) -> list[bool]:
        """Return which values have steps; ValueError where a layer over time follows a readout."""
        readouts: list[Readout | None] = [None]
        for layer, name, read in zip(self.layers, self.names, self.sources, strict=True):
            before = [readouts[source] for source in read]
            readout = next((each for each in before if each is not None), None)
            over_time = isinstance(layer, (Recurrent, Readout))
            over_time = over_time or (isinstance(layer, TemporalLayer) and layer._over_time)
            if readout is not None and (over_time or None in before):
                raise ValueError(
                    f"layers: expected nothing over time after {readout!r}, got {layer!r} at {name}"
                )
            readouts.append(layer if isinstance(layer, Readout) else readout)
        return [readout is None for readout in readouts]

    def _follow_directions(self) -> list[Directions | None]:
        """Return what each layer finds in its columns: a `Linear` mixes two directions, leaves one alone."""
        values: list[Directions | None] = ["forward"]
        found: list[Directions | None] = []
        for layer, name, read in zip(self.layers, self.names, self.sources, strict=True):
            given = {values[source] for source in read}
            directions = given.pop() if len(given) == 1 else None
            found.append(directions)
            if isinstance(layer, Readout) and layer._tells_directions and directions is None:
                raise ValueError(f"layers: expected {layer!r} to read columns of one layer, got it at {name}")
            if isinstance(layer, Recurrent):
                both = layer.bidirectional and not layer._merges
                directions = "both" if both else "reverse" if layer.reverse else "forward"
            elif directions == "both" and isinstance(layer, Joint):
                directions = None if layer._mixes_columns else "both"
            elif directions == "both" and layer._gives is not None:
                directions = "forward"
            values.append(directions)
        return found

    def _last_readers(self) -> list[tuple[int, ...]]:
        kept = set(self.outputs)
        released: list[tuple[int, ...]] = []
        for read in reversed(self.sources):
            released.append(tuple(sorted(set(read) - kept)))
            kept |= set(read)
        return released[::-1]


def chain_of(wiring: Wiring, of_temporal: Callable[[int], Evaluation | None]) -> list[Evaluation] | None:
    """Return what evaluates each layer, where they are a chain to one output; None otherwise.

    `of_temporal` says it for a layer that is no `PlainLayer`, by its place.
    """
    chain: list[Evaluation] = []
    is_new = False
    for place, (layer, read) in enumerate(zip(wiring.layers, wiring.sources, strict=True)):
        if read != (place,):
            return None
        if isinstance(layer, PlainLayer):
            chain.append(layer._evaluate_over if is_new else layer._evaluate)
            is_new = is_new or layer._gives_new
        else:
            evaluation = of_temporal(place)
            if evaluation is None:
                return None
            assert isinstance(layer, (Recurrent, TemporalLayer))
            chain.append(evaluation)
            is_new = layer._gives_new
    return chain if list(wiring.outputs) == [len(chain)] else None
