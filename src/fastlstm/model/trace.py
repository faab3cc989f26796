"""What went on inside a recurrent model: its gates, cells and outputs, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .checks import Array, as_index
from .tables import as_html
from .tape import Kept, Place

if TYPE_CHECKING:
    from .recurrent import Recurrent

State = TypeVar("State")


@dataclass(frozen=True, repr=False)
class Steps:
    """What one direction of one layer went through, zero past a sequence's end and at masked steps.

    Attributes
    ----------
    i, f, g, o : arrays laid out as x, H numbers a step; None but for an LSTM
        The gates after their activations: input, forget, candidate, output.
    c : array laid out as x, H numbers a step; None but for an LSTM
        The cell state after each step.
    h : array laid out as x, P numbers a step
        The output, after the projection where there is one.
    n, r, z, n_h : arrays laid out as x, H numbers a step; None but for a GRU
        The candidate and the reset and update gates after their activations, and what h gives to the
        candidate before the reset gate; n_h is None where that comes before the product.
    rh : array laid out as x, H numbers a step; None but for a GRU with `reset_after=False`
        What the candidate sees of the step before: r·h.
    i, f, z, o, s, c, n, m : arrays laid out as x, H numbers a step, for an SLSTM
        The input and forget gates, scaled, the candidate and the output gate; the slope of the logarithm of
        the forget gate; and the states beside h.
    """

    i: Array | None
    f: Array | None
    g: Array | None
    o: Array | None
    c: Array | None
    h: Array
    n: Array | None = None
    r: Array | None = None
    z: Array | None = None
    n_h: Array | None = None
    rh: Array | None = None
    m: Array | None = None
    s: Array | None = None

    def __repr__(self) -> str:
        return f"<steps: {', '.join(f'{name} {array.shape}' for name, array in self.by_name().items())}>"

    def by_name(self) -> dict[str, Array]:
        """Return those arrays that are not None by name, in the order above."""
        return {name: array for name, array in vars(self).items() if array is not None}

    def _map(self, function: Callable[[Array], Array]) -> Steps:
        """Return the steps with every array replaced by the function of it."""
        arrays: Mapping[str, Array | None] = vars(self)
        changed: Any = {name: None if a is None else function(a) for name, a in arrays.items()}
        return Steps(**changed)


@dataclass(frozen=True, repr=False)
class Trace(Generic[State]):
    """One run of a recurrent model and what went on inside; `Recurrent.trace` makes it.

    `trace[layer, direction]` is the `Steps` of one direction of one layer.

    Attributes
    ----------
    y, state
        As calling the model returns them.
    steps : mapping of (layer, direction) to Steps
    lengths : int array (B,), or None for one sequence
        How many steps each sequence of the batch has.
    batch_first : bool
        Whether the arrays of a batch are (B, T, n) rather than (T, B, n).

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> lstm = fastlstm.LSTM(3, 5, bidirectional=True, rng=0)
    >>> trace = lstm.trace(np.ones((7, 2, 3)), lengths=[7, 4])
    >>> trace[0, 1].c.shape
    (7, 2, 5)
    >>> trace.sequence(1)[0, 1].c.shape
    (4, 5)
    """

    y: Array
    state: State
    steps: Mapping[tuple[int, int], Steps]
    lengths: NDArray[np.int64] | None
    batch_first: bool

    def __repr__(self) -> str:
        count = 1 if self.lengths is None else len(self.lengths)
        steps = next(iter(self.steps.values())).by_name()
        places = ", ".join(str(tuple(place)) for place in self.steps)
        return f"<trace of {', '.join(steps)} at {places}: {self._num_steps} steps of {count}>"

    def _repr_html_(self) -> str:
        """Return a table for notebooks: what each quantity was, over all units and real steps."""
        rows = [
            [str(layer), str(direction), name, *_figures(array, is_gate)]
            for (layer, direction), steps in self.steps.items()
            for name, array, is_gate in self._quantities(steps)
        ]
        heads = ("layer", "direction", "", "mean", "least", "most", "shut, < 0.1", "open, > 0.9")
        return as_html(heads, rows, left=3, below=f"{self!r}; fastlstm.plot.trace draws one sequence")

    @property
    def _num_steps(self) -> int:
        return len(self.y) if self.lengths is None else int(self.lengths.sum())

    def _quantities(self, steps: Steps) -> Iterator[tuple[str, Array, bool]]:
        """Yield name and numbers (real steps, units) of each, and whether it is a gate from 0 to 1."""
        gates = {"o"} if steps.m is not None else {"i", "f", "o", "r", "z"}
        for name, array in steps.by_name().items():
            yield name, self._real(array), name in gates

    def _real(self, array: Array) -> Array:
        """Return the real steps of all sequences, (steps, units)."""
        if self.lengths is None:
            return array
        by_sequence = array if self.batch_first else array.swapaxes(0, 1)
        return np.concatenate(
            [steps[:length] for steps, length in zip(by_sequence, self.lengths, strict=True)]
        )

    def __getitem__(self, place: tuple[int, int]) -> Steps:
        try:
            return self.steps[place]
        except (KeyError, TypeError):  # no such place, or nothing that could be one
            places = ", ".join(str(tuple(known)) for known in self.steps)
            raise ValueError(f"layer, direction: expected one of {places}, got {place!r}") from None

    def sequence(self, b: int) -> Trace[State]:
        """Return sequence `b` of the batch by itself, cut to its own steps: views, laid out (T, n).

        Raises
        ------
        TypeError, ValueError
            If `b` is not an integer from 0 to B - 1, or there is no batch.
        """
        if self.lengths is None:
            raise ValueError(f"b: expected the trace of a batch to choose from, got one sequence and {b!r}")
        b = as_index(b, "b", len(self.lengths))
        own = (b, slice(self.lengths[b])) if self.batch_first else (slice(self.lengths[b]), b)
        steps = {place: steps._map(lambda array: array[own]) for place, steps in self.steps.items()}
        # An LSTM's state is a pair of arrays (layers·D, B, n), those of others are one.
        state: Any = self.state
        state = tuple(part[:, b] for part in state) if isinstance(state, tuple) else state[:, b]
        return Trace(self.y[own], state, steps, None, self.batch_first)


def _figures(array: Array, is_gate: bool) -> list[str]:
    """Return what a table shows of a quantity: mean, least, most, and how often a gate is shut or open."""
    if not array.size:
        return [""] * 5
    shares = [f"{share:.0%}" for share in ((array < 0.1).mean(), (array > 0.9).mean())]
    numbers = [f"{number:.3f}" for number in (array.mean(), array.min(), array.max())]
    return [*numbers, *(shares if is_gate else ("", ""))]


def trace(
    model: Recurrent[State],
    x: ArrayLike,
    state: State | None,
    lengths: ArrayLike | None,
    mask: ArrayLike | None,
) -> Trace[State]:
    """Run `model` and return what went on inside. See `Recurrent.trace`."""
    y, final, tape = model._run(x, state, lengths, True, model._weights, drop=False, mask=mask)
    assert tape is not None
    assert tape._kept is not None
    kept, sequences = tape._kept, tape._sequences

    def in_callers_layout(rows: Array) -> Array:
        out = sequences.empty(rows.shape[1], model.dtype)
        kept.arrangement.pad(rows, out)
        return out

    steps: dict[tuple[int, int], Steps] = {
        place: _kept_steps(model, kept, place)._map(in_callers_layout) for place in model._places()
    }
    model._workspaces.give(kept.workspace)
    own = None if sequences.unbatched else sequences.spans.copy()
    return Trace(y, final, steps, own, model.batch_first)


def _kept_steps(model: Recurrent[Any], kept: Kept, place: Place) -> Steps:
    """Return what was kept for one direction of one layer, as rows."""
    first = place.row(model.directions) * model._passes
    passes = slice(first, first + model._passes)
    arrays: dict[str, Any] = dict.fromkeys(("i", "f", "g", "o", "c"))
    arrays |= _by_name(model._cell.gates, kept.gates[passes])
    arrays |= _by_name(model._cell.states[1:], kept.cells[passes])
    return Steps(**arrays, h=kept.output(place, model.output_size))


def _by_name(names: Sequence[str], passes: Sequence[Array | None]) -> dict[str, Array]:
    """Return what the passes of a place kept by name: its columns, those of all passes side by side."""
    kept = [np.split(rows, len(names), axis=1) for rows in passes if rows is not None]
    return (
        {name: np.concatenate(parts, axis=1) for name, *parts in zip(names, *kept, strict=True)}
        if kept
        else {}
    )
