"""Many sequences in one table of states, any of them advanced in one call."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .base import Model, check_one_output
from .batch import Sequences
from .cells import one_of
from .checks import Array, as_floats, as_integers, as_size
from .initial import initial_state
from .parameters import weights_of
from .stream import check_out

Slots = NDArray[np.int64] | slice


class StreamPool:
    """Up to `capacity` sequences that run through one model, each at its own pace.

    Every stream gives the bits that it would have given alone, whatever the others do. Any number of threads
    may use a pool; their calls take turns. A call runs with the model's weights as they are when it begins.

    Parameters
    ----------
    model : LSTM, RNN or Sequential
        One that runs forward in time, without readout.
    capacity : int
        How many streams may be open at once; their states are allocated here.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> pool = fastlstm.StreamPool(fastlstm.LSTM(3, 5, rng=0), capacity=1000)
    >>> a, b, c = (pool.open() for _ in range(3))
    >>> pool.step([c, a], np.ones((2, 3))).shape
    (2, 5)
    >>> pool.close(b)
    >>> len(pool), b in pool
    (2, False)
    """

    def __init__(self, model: Model, capacity: int) -> None:
        if not isinstance(model, Model):
            raise TypeError(f"model: expected an {one_of('Sequential')}, got {type(model).__name__}")
        check_one_output(model)
        model._check_causal()
        self._model = model
        self._layers = layers = model._recurrent
        self._capacity = as_size(capacity, "capacity")
        # By recurrent layer and name of the state: (layers, capacity, size).
        self._tables = [
            [np.zeros((layer.num_layers, self._capacity, size), layer.dtype) for size in layer._state_sizes]
            for layer in layers
        ]
        # An id is generation * capacity + slot, so none is given out twice; -1 where a slot is free.
        self._owners = np.full(self._capacity, -1, np.int64)
        self._generations = np.zeros(self._capacity, np.int64)
        self._free = deque(range(self._capacity))
        self._lock = threading.RLock()
        with _registering:
            _pools.add(self)

    def __repr__(self) -> str:
        return f"<{len(self)} of {self._capacity} streams through {self._model!r}>"

    @property
    def capacity(self) -> int:
        """How many streams may be open at once."""
        return self._capacity

    def __len__(self) -> int:
        """Return how many streams are open."""
        return self._capacity - len(self._free)

    def __contains__(self, id: object) -> bool:
        """Return whether a stream of that id is open."""
        if not isinstance(id, (int, np.integer)) or id < 0:
            return False
        return bool(self._owners[id % self._capacity] == id)

    def open(self) -> int:
        """Begin a stream at the model's initial state, and return its id, which no other stream ever has.

        Raises
        ------
        RuntimeError
            If `capacity` streams are open.
        """
        with self._lock:
            if not self._free:
                raise RuntimeError(f"open: expected fewer than {self._capacity} open streams: close some")
            slot = self._free.popleft()
            id = int(self._generations[slot]) * self._capacity + slot
            self._begin(slot)
            self._owners[slot] = id
            return id

    def close(self, id: int) -> None:
        """End a stream; its place is free for another.

        Raises
        ------
        KeyError
            If no such stream is open.
        """
        with self._lock:
            slot = self._slot(id)
            self._owners[slot] = -1
            self._generations[slot] += 1
            self._free.append(slot)

    def step(self, ids: ArrayLike, x: ArrayLike, out: Array | None = None) -> Array:
        """Advance some streams by one frame each.

        Parameters
        ----------
        ids : integer array (n,)
            Open streams, none of them twice, in any order.
        x : array (n, I)
            A frame for each; (n,) indices where the model begins with an `Embedding`.
        out : array (n, outputs), optional
            Where to write; of the model's dtype and C-contiguous.

        Returns
        -------
        array
            `out`, or a new one.

        Raises
        ------
        KeyError
            If an id is not one of an open stream.
        ValueError, TypeError
            If an argument is not as above. No stream's state has changed then.
        """
        frames = self._model._as_input(x, "x")
        time = 1 if self._model.batch_first else 0
        with self._lock:
            slots = self._slots(ids, frames.shape[:1])
            y, final = self._run(slots, np.expand_dims(frames, time), None)
            result: Array = y.squeeze(time)
            if out is not None:
                check_out(out, result.shape, result.dtype)
                out[...] = result
                result = out
            self._move(slots, final)
        return result

    def feed(self, ids: ArrayLike, x: ArrayLike, lengths: ArrayLike | None = None) -> Array:
        """Advance some streams by a chunk of frames each.

        Parameters
        ----------
        ids : integer array (n,)
            As for `step`.
        x : array (T, n, I), or (n, T, I) with the model's `batch_first`
            Without I for indices.
        lengths : integer array (n,), optional
            How many frames each stream has, 0 to T.

        Returns
        -------
        array
            Laid out as `x`; zero past a chunk's end.

        Raises
        ------
        KeyError, ValueError, TypeError
            As for `step`.
        """
        frames = self._model._as_input(x, "x")
        axis = 0 if self._model.batch_first else 1
        with self._lock:
            slots = self._slots(ids, frames.shape[axis : axis + 1])
            y, final = self._run(slots, frames, lengths)
            shape = frames.shape[:2]
            self._move(slots, final, Sequences.of(shape, self._model.batch_first, lengths).steps > 0)
        return y

    def state(self, id: int) -> Any:
        """Return a stream's state, as that of one sequence: a copy.

        Raises
        ------
        KeyError
            If no such stream is open.
        """
        with self._lock:
            slot = self._slot(id)
            return self._joined([[table[:, slot].copy() for table in tables] for tables in self._tables])

    def restore(self, id: int, state: Any) -> None:
        """Set a stream's state to one that `state` returned, of this pool or of another of the model.

        Raises
        ------
        KeyError
            If no such stream is open.
        ValueError, TypeError
            If `state` is not such a state; the stream is as it was then.
        """
        with self._lock:
            slot = self._slot(id)
            places = []
            for layer, tables, parts in zip(self._layers, self._tables, self._parts(state), strict=True):
                for name, table, part in zip(layer._cell.states, tables, parts, strict=True):
                    shape = (table.shape[0], table.shape[2])
                    array = as_floats(part, f"state {name}", layer.dtype, shape)
                    places.append((table, array))
            for table, array in places:
                table[:, slot] = array

    # Inside

    def _begin(self, slot: int) -> None:
        """Set the states of a slot to those that sequences begin with."""
        for layer, weights, tables in zip(self._layers, weights_of(self._layers), self._tables, strict=True):
            for name, table in zip(layer._cell.states, tables, strict=True):
                table[:, slot : slot + 1] = initial_state(weights.arrays, name)

    def _slot(self, id: int) -> int:
        if id not in self:
            raise KeyError(f"id: expected one of an open stream, got {id!r}")
        return int(id) % self._capacity

    def _slots(self, ids: ArrayLike, count: tuple[int, ...]) -> Slots:
        """Return where the streams lie; a slice where they are neighbours in order."""
        wanted = as_integers(ids, "ids", count)
        slots = wanted % self._capacity
        unknown = wanted[(wanted < 0) | (self._owners[slots] != wanted)]
        if len(unknown):
            raise KeyError(f"ids: expected those of open streams, got {unknown[0]}")
        if not len(slots):
            return slice(0, 0)
        first = int(slots[0])
        if np.array_equal(slots, np.arange(first, first + len(slots))):
            return slice(first, first + len(slots))
        if len(np.unique(slots)) < len(slots):
            values, counts = np.unique(wanted, return_counts=True)
            raise ValueError(f"ids: expected each only once, got {values[counts > 1][0]} again")
        return slots

    def _run(self, slots: Slots, frames: NDArray[Any], lengths: ArrayLike | None) -> tuple[Array, Any]:
        """Run streams over frames in the model's layout; return y and the states to move them to."""
        state = self._joined([[table[:, slots] for table in tables] for tables in self._tables])
        return self._model.run(frames, state, lengths=lengths)

    def _move(self, slots: Slots, state: Any, fed: NDArray[np.bool_] | None = None) -> None:
        """Set streams' states; those that were not `fed` any frames keep theirs."""
        moving: Slots = slice(None)
        if fed is not None and not fed.all():
            moving = np.flatnonzero(fed)
            slots = np.arange(self._capacity)[slots][moving]
        for tables, parts in zip(self._tables, self._parts(state), strict=True):
            for table, part in zip(tables, parts, strict=True):
                table[:, slots] = part[:, moving]

    def _joined(self, by_layer: list[list[Array]]) -> Any:
        """Return a state as the model has it."""
        states = tuple(layer._to_state(arrays) for layer, arrays in zip(self._layers, by_layer, strict=True))
        return self._model._joined(states)

    def _parts(self, state: Any) -> list[tuple[Any, ...]]:
        """Return a state's arrays by layer; ValueError or TypeError unless it is the model's."""
        states = self._model._parts(state)
        if not isinstance(states, (tuple, list)) or len(states) != len(self._layers):
            raise ValueError(f"state: expected a state for each of {len(self._layers)} layers")
        return [layer._from_state(part, "state") for layer, part in zip(self._layers, states, strict=True)]


# A fork waits until no pool is in a call, so that a child finds its pools consistent and unlocked.

_pools: weakref.WeakSet[StreamPool] = weakref.WeakSet()
_held: list[StreamPool] = []
_registering = threading.RLock()


def _before_fork() -> None:
    _registering.acquire()
    _held.extend(_pools)
    for pool in _held:
        pool._lock.acquire()


def _after_fork() -> None:
    for pool in _held:
        pool._lock.release()
    _held.clear()
    _registering.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
