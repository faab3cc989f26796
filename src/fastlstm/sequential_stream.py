"""Streams through a `Sequential`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ._arrays import Array
from .layers.base import PlainLayer
from .parameters import weights_of
from .recurrent import Recurrent
from .streaming import Stream, as_sequences, check_chunk, check_out, continued

if TYPE_CHECKING:
    from .sequential import Sequential


class SequentialStream:
    """As `Stream`, through the layers of a `Sequential`.

    Made by `Sequential.stream`. The frames are as its first layer takes them: for an `Embedding` an index, or
    (batch_size,) of them. The state is a tuple with each recurrent layer's.
    """

    def __init__(self, model: Sequential, batch_size: int | None = None) -> None:
        check_streamed(model)
        self._model = model
        self._sequences = as_sequences(batch_size)
        self._streams: list[Stream[Any]] = [Stream(layer, batch_size) for layer in model._recurrent]

    def __repr__(self) -> str:
        return f"<stream of {(*self._sequences, 1)[0]} through {self._model!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return continued, (self._model, *self._sequences), self.state

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def copy(self) -> SequentialStream:
        """Return another stream at the same place, which goes its own way from there."""
        other = SequentialStream(self._model, *self._sequences)
        other.state = self.state
        return other

    def reset(self) -> None:
        """Start again from the zero state."""
        for stream in self._streams:
            stream.reset()

    @property
    def state(self) -> tuple[Any, ...]:
        """The state of each recurrent layer; a copy. Setting it checks and copies."""
        return tuple(stream.state for stream in self._streams)

    @state.setter
    def state(self, state: tuple[Any, ...]) -> None:
        if not isinstance(state, (tuple, list)) or len(state) != len(self._streams):
            got = f"{len(state)} of them" if isinstance(state, (tuple, list)) else type(state).__name__
            raise ValueError(f"state: expected a state for each of {len(self._streams)} layers, got {got}")
        before = self.state
        try:
            for stream, part in zip(self._streams, state, strict=True):
                stream.state = part
        except (TypeError, ValueError):
            for stream, part in zip(self._streams, before, strict=True):
                stream.state = part
            raise

    def step(self, x_t: ArrayLike, out: Array | None = None) -> Array:
        """Run one step and return the last layer's output. See `Stream.step`.

        Layers around the recurrent ones allocate what they return.
        """
        rows: Any = x_t
        weights = weights_of(self._model.layers)
        shape = np.shape(x_t)
        frame = () if self._model.reads_indices else shape[-1:]
        if shape != (*self._sequences, *frame):
            raise ValueError(f"x_t: expected shape {(*self._sequences, *frame)}, got {shape}")
        streams = iter(self._streams)
        for layer, own in zip(self._model.layers, weights, strict=True):
            if isinstance(layer, Recurrent):
                rows = next(streams)._step(rows, None, own)
            elif isinstance(layer, PlainLayer):
                rows = layer._evaluate(rows, own)
        if out is None:
            result: Array = rows
            return result
        check_out(out, rows.shape, rows.dtype)
        out[...] = rows
        return out

    def feed(self, x: ArrayLike) -> Array:
        """Run a chunk of steps, and return the last layer's output of each. See `Stream.feed`."""
        shape = np.shape(x)
        check_chunk(
            shape, self._model.batch_first, self._sequences, () if self._model.reads_indices else shape[-1:]
        )
        y, self.state = self._model.run(x, self.state)
        return y


def check_streamed(model: Sequential) -> None:
    """Raise ValueError unless a model can be fed step by step."""
    if model.has_readout or any(layer.bidirectional for layer in model._recurrent):
        raise ValueError(f"model: expected one that runs forward in time, without readout, got {model!r}")
