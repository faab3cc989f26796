"""What goes on inside a recurrent model: its gates and cells, and how far back its gradient reaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arrays import Array, as_index
from .tape import Kept, Place

if TYPE_CHECKING:
    from .recurrent import Recurrent

State = TypeVar("State")


@dataclass(frozen=True)
class Steps:
    """What one direction of one layer went through, zero past a sequence's end.

    Attributes
    ----------
    i, f, g, o : arrays laid out as x, H numbers a step; None for an RNN
        The gates after their activations: input, forget, candidate, output.
    c : array laid out as x, H numbers a step; None for an RNN
        The cell state after each step.
    h : array laid out as x, P numbers a step
        The output, after the projection where there is one.
    """

    i: Array | None
    f: Array | None
    g: Array | None
    o: Array | None
    c: Array | None
    h: Array

    def by_name(self) -> dict[str, Array]:
        """Return those arrays that are not None by name, in the order i, f, g, o, c, h."""
        return {name: array for name, array in vars(self).items() if array is not None}

    def _map(self, function: Callable[[Array], Array]) -> Steps:
        """Return the steps with every array replaced by the function of it."""
        arrays: Mapping[str, Array | None] = vars(self)
        changed: Any = {name: None if a is None else function(a) for name, a in arrays.items()}
        return Steps(**changed)


@dataclass(frozen=True)
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

    def __getitem__(self, place: tuple[int, int]) -> Steps:
        if place not in self.steps:
            places = ", ".join(str(tuple(known)) for known in self.steps)
            raise ValueError(f"layer, direction: expected one of {places}, got {place!r}")
        return self.steps[place]

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
        # An LSTM's state is a pair of arrays (layers·D, B, n), an RNN's one.
        state: Any = self.state
        state = tuple(part[:, b] for part in state) if isinstance(state, tuple) else state[:, b]
        return Trace(self.y[own], state, steps, None, self.batch_first)


def trace(
    model: Recurrent[State], x: ArrayLike, state: State | None, lengths: ArrayLike | None
) -> Trace[State]:
    """Run `model` and return what went on inside. See `Recurrent.trace`."""
    y, final, tape = model._run(x, state, lengths, True, model._weights, drop=False)
    assert tape is not None
    assert tape._kept is not None
    kept, padding = tape._kept, tape._padding

    def in_callers_layout(rows: Array) -> Array:
        out = padding.empty(rows.shape[1], model.dtype)
        padding.unpack(kept.arrangement, rows, out)
        return out

    steps: dict[tuple[int, int], Steps] = {
        place: _kept_steps(model, kept, place)._map(in_callers_layout) for place in model._places()
    }
    model._workspaces.give(kept.workspace)
    given = padding.lengths(lengths)
    own = None if padding.unbatched else np.full(padding.B, padding.T if given is None else given)
    return Trace(y, final, steps, own, model.batch_first)


def _kept_steps(model: Recurrent[Any], kept: Kept, place: Place) -> Steps:
    """Return what was kept for one direction of one layer, as rows."""
    h = kept.output(place, model.output_size)
    k = place.layer * model.directions + place.direction
    gates, cells = kept.gates[k], kept.cells[k]
    if gates is None:
        return Steps(None, None, None, None, None, h)
    i, f, g, o = np.split(gates, 4, axis=1)
    return Steps(i, f, g, o, cells, h)


def gradient_reach(model: Recurrent[Any], x: ArrayLike) -> NDArray[np.float64]:
    """Return how strongly the last output depends on the input k steps before it.

    That is the norm of the gradient of the last step's output with respect to x[T - 1 - k]. The output
    is taken along the direction whose entries are all equal, a vector of length 1, so that models of
    different sizes compare. One backward pass, without dropout.

    Parameters
    ----------
    model : LSTM or RNN
        Not bidirectional.
    x : array (T, B, I), or (B, T, I) with `batch_first`, or (T, I) for one sequence

    Returns
    -------
    float64 array (T,)
        By distance k = 0..T-1, the mean over the batch.

    Raises
    ------
    ValueError
        If the model is bidirectional, or x has another shape or no step at all.
    TypeError
        If x is not an array of floats.

    References
    ----------
    .. [1] Y. Bengio, P. Simard and P. Frasconi, "Learning Long-Term Dependencies with Gradient Descent is
       Difficult", IEEE Transactions on Neural Networks 5(2), 1994.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.inspection import gradient_reach
    >>> reach = gradient_reach(fastlstm.RNN(3, 5, rng=0), np.ones((20, 3)))
    >>> reach.shape, bool(reach[19] < reach[0])
    ((20,), True)
    """
    if model.bidirectional:
        raise ValueError(f"model: expected one that runs forward in time, got {model!r}")
    y, _, tape = model._run(x, None, None, True, model._weights, drop=False)
    assert tape is not None
    if y.size == 0:
        raise ValueError(f"x: expected at least one step of one sequence, got shape {np.shape(x)}")
    steps = 1 if model.batch_first and y.ndim == 3 else 0
    dy = np.zeros_like(y)
    np.moveaxis(dy, steps, 0)[-1] = 1 / np.sqrt(model.output_size)
    dx = tape.backward(dy).input
    assert dx is not None
    norms = np.moveaxis(np.linalg.norm(dx.astype(np.float64), axis=-1), steps, 0)
    reach: NDArray[np.float64] = norms.reshape(len(norms), -1).mean(axis=1)[::-1].copy()
    return reach
