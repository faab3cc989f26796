"""Streams through a model of several layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .checks import Array
from .joint import Joint, JointStream
from .layer import PlainLayer
from .parameters import Weights, weights_of
from .recurrent import Recurrent
from .stream import Stream, axes_of, check_chunk, check_out, continued
from .temporal import TemporalLayer, TemporalStream
from .wiring import AnyLayer, Evaluation, chain_of

if TYPE_CHECKING:
    from .layered import Layered

AnyStream = Stream[Any] | TemporalStream | JointStream


class LayeredStream:
    """As `Stream`, through the layers of a `Sequential` or a `Graph`.

    Made by `Sequential.stream`. The frames are as its first layer takes them: for an `Embedding` an index, or
    (batch_size,) of them. The state is a tuple with that of each layer that has one.

    A layer with windows gives a step once all steps have come that it reads, and may give fewer steps than it
    gets. So `step` may return None, `feed` fewer steps than it is given, and `finish` those that reach into
    the padding at the end. What a stream gives is, all in all, what the model gives for the whole sequence.
    """

    def __init__(self, model: Layered, batch_size: int | None = None) -> None:
        model._check_streams()
        self._model = model
        self._axes = axes_of(batch_size)
        self._time = 1 if self._axes and model.batch_first else 0
        self._by_place: list[Any] = [
            self._stream(layer, len(sources))
            for layer, sources in zip(model.layers, model._wiring.sources, strict=True)
        ]
        self._chain = chain_of(model._wiring, self._evaluation)
        self._streams: list[AnyStream] = [stream for stream in self._by_place if stream is not None]
        self._begin()

    def _stream(self, layer: AnyLayer, inputs: int) -> AnyStream | None:
        """Return what keeps a layer's state; None where it has none."""
        if isinstance(layer, Recurrent):
            return Stream(layer, *self._axes)
        if isinstance(layer, TemporalLayer) and layer._windowed:
            return layer._stream(self._axes, self._model.batch_first)
        if isinstance(layer, Joint) and self._model._moves_steps:
            return JointStream(layer, inputs, self._time)
        return None

    def _evaluation(self, place: int) -> Evaluation | None:
        """Return what runs a step through a layer with a state; None if it may give none."""
        stream = self._by_place[place]
        return stream._next if isinstance(stream, Stream) else None

    def __repr__(self) -> str:
        return f"<stream of {(*self._axes, 1)[0]} through {self._model!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return continued, (self._model, *self._axes), self.state

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def copy(self) -> LayeredStream:
        """Return an independent stream that starts from the same state."""
        other = LayeredStream(self._model, *self._axes)
        other.state = self.state
        return other

    def reset(self) -> None:
        """Start again from the layers' initial states. See `Stream.reset`."""
        for stream in self._streams:
            stream.reset()
        self._begin()

    def _begin(self) -> None:
        frame = () if self._model.reads_indices else (self._model.input_size or 0,)
        self._nothing: NDArray[Any] = np.zeros(
            self._chunk_shape(0, frame), np.int64 if self._model.reads_indices else np.float32
        )

    def _chunk_shape(self, steps: int, frame: tuple[int, ...]) -> tuple[int, ...]:
        return (*self._axes, steps, *frame) if self._time else (steps, *self._axes, *frame)

    @property
    def state(self) -> tuple[Any, ...]:
        """The state of each layer that has one; a copy. Setting it checks and copies."""
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

    def step(self, x_t: ArrayLike, out: Array | None = None) -> Any:
        """Run one step and return the last layer's output. See `Stream.step`.

        Layers around the recurrent ones allocate what they return. Behind a layer with windows there may be
        no output at a step: then it is None, and `out` stays as it is.
        """
        rows: Any = self._model._as_input(x_t, "x_t")
        weights = weights_of(self._model.layers)
        shape = rows.shape
        frame = () if self._model.reads_indices else shape[-1:]
        if shape != (*self._axes, *frame):
            raise ValueError(f"x_t: expected shape {(*self._axes, *frame)}, got {shape}")
        if self._chain is not None:
            for advance, own in zip(self._chain, weights, strict=True):
                rows = advance(rows, own)
            return rows if out is None else self._written([rows], out)
        if self._model._moves_steps:
            chunk = np.expand_dims(rows, self._time)
            outputs = [self._last(y) for y in self._advance(chunk, weights, ending=False)]
        else:
            outputs = self._step(rows, weights)
        if out is None or any(output is None for output in outputs):
            return self._model._as_y(outputs)
        return self._written(outputs, out)

    def _written(self, outputs: list[Any], out: Array) -> Array:
        if len(outputs) > 1:
            raise ValueError(f"out: expected None for a model with {len(outputs)} outputs, got an array")
        check_out(out, outputs[0].shape, outputs[0].dtype)
        out[...] = outputs[0]
        return out

    def _last(self, y: Array) -> Array | None:
        """Return the frame of a chunk that has one at most; None if it has none."""
        return y.squeeze(self._time) if y.shape[self._time] else None

    def _step(self, rows: Any, weights: list[Weights]) -> list[Any]:
        """Return the outputs of a step where every layer gives one."""
        wiring = self._model._wiring
        values = [rows]
        for layer, stream, own, sources in zip(
            self._model.layers, self._by_place, weights, wiring.sources, strict=True
        ):
            given = values[sources[0]]
            if stream is not None:
                given = stream._step(given, None, own)
            elif isinstance(layer, PlainLayer):
                given = layer._evaluate(given, own)
            elif isinstance(layer, Joint):
                given = layer._forward([values[source] for source in sources])[0]
            elif isinstance(layer, TemporalLayer):
                given = layer._evaluate(given, None, own)[0]
            values.append(given)
        return [values[output] for output in wiring.outputs]

    def feed(self, x: ArrayLike) -> Any:
        """Run a chunk of steps, and return the last layer's output of each. See `Stream.feed`.

        Behind a layer with windows it is that of those that are complete.
        """
        rows = self._model._as_input(x, "x")
        shape = rows.shape
        check_chunk(
            shape, self._model.batch_first, self._axes, () if self._model.reads_indices else shape[-1:]
        )
        if self._model._moves_steps:
            return self._model._as_y(self._advance(rows, weights_of(self._model.layers), ending=False))
        y, final = self._model.run(rows, self.state)
        if rows.size:  # no frames are a pause, not a sequence without a step
            self.state = final
        return y

    def finish(self) -> Any:
        """Return the steps that are still to come at the sequence's end, and start again.

        Where no layer has windows there are none.
        """
        weights = weights_of(self._model.layers)
        y = self._model._as_y(self._advance(self._nothing, weights, ending=True))
        self.reset()
        return y

    def _advance(self, rows: NDArray[Any], weights: list[Weights], ending: bool) -> list[Array]:
        """Return what a chunk of steps completes, of each output; at the end also what reaches past it."""
        wiring = self._model._wiring
        self._nothing = rows[(slice(0), ...) if not self._time else (slice(None), slice(0))]
        before, values = self.state, [rows]
        try:
            for layer, stream, own, sources in zip(
                self._model.layers, self._by_place, weights, wiring.sources, strict=True
            ):
                values.append(
                    self._through(layer, stream, own, [values[source] for source in sources], ending)
                )
        except Exception:
            self.state = before
            raise
        return [values[output] for output in wiring.outputs]

    def _through(self, layer: AnyLayer, stream: Any, own: Weights, given: list[Any], ending: bool) -> Array:
        """Return what a chunk of steps completes behind one layer."""
        if isinstance(layer, Recurrent):
            y, final, _ = layer._run(given[0], stream.state, None, False, own)
            if y.shape[self._time]:
                stream.state = final
            return y
        if isinstance(layer, PlainLayer):
            return layer._evaluate(given[0], own)
        if isinstance(layer, Joint):
            joined: Array = stream.feed(given)
            return joined
        assert isinstance(layer, TemporalLayer)
        if stream is None:
            return layer._evaluate(given[0], None, own)[0]
        slid: Array = (stream.finish if ending else stream.feed)(given[0], own)
        return slid
