"""Models fed as their input comes: one step at a time, or several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._core import Stepper, empty
from .checks import Array, as_floats, as_size, check_shape
from .heads import states_for_core, states_from_core
from .initial import initial_state
from .parameters import Weights

if TYPE_CHECKING:
    from .recurrent import Recurrent

State = TypeVar("State")


class Stream(Generic[State]):
    """One sequence, or `batch_size` of them, running through a model step by step.

    Made by `Recurrent.stream`. Steps and chunks give the bits that the whole sequence would have given. A
    stream uses its model's weights as they are at each call, and belongs to one thread at a time; any
    number of streams may share a model. Streams are pickled with their model.
    """

    def __init__(self, model: Recurrent[State], batch_size: int | None = None) -> None:
        model._check_causal()
        self._model = model
        self._axes = axes_of(batch_size)
        self._batch_size = self._axes[0] if self._axes else 1
        self._shape = (*self._axes, model.output_size)
        self._states = states_for_core(self._initial(), model._passes)
        self._use(model._weights)

    def __repr__(self) -> str:
        return f"<stream of {self._batch_size} through {self._model!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return continued, (self._model, *self._axes), self.state

    def __setstate__(self, state: State) -> None:
        self.state = state

    def copy(self) -> Self:
        """Return an independent stream that starts from the same state."""
        other = type(self)(self._model, *self._axes)
        other.state = self.state
        return other

    def reset(self) -> None:
        """Start again from the model's initial state: zeros, or what was learned with `learn_state`."""
        self._overwrite(self._initial())

    @property
    def state(self) -> State:
        """The state, shaped as a model's; a copy. Setting it checks and copies."""
        return self._model._to_state(
            [
                array.reshape(self._state_shape(array.shape[2])).copy()
                for array in states_from_core(
                    self._states, len(self._model._cell.states), self._model._passes
                )
            ]
        )

    @state.setter
    def state(self, state: State) -> None:
        self._move(self._model._from_state(state, "state"))

    def _move(self, parts: tuple[Any, ...]) -> None:
        """Check all parts of a state, and then copy them into the arrays that the stepper works on."""
        model, checked = self._model, []
        for name, part, size in zip(model._cell.states, parts, model._state_sizes, strict=True):
            array = as_floats(part, f"state {name}", model.dtype, self._state_shape(size))
            checked.append(array.reshape(model.num_layers, self._batch_size, size))
        self._overwrite(checked)

    def _initial(self) -> list[Array]:
        """Return what sequences begin with, by name: (layers, batch_size, size)."""
        model = self._model
        states = [
            empty((model.num_layers, self._batch_size, size), model.dtype) for size in model._state_sizes
        ]
        for name, array in zip(model._cell.states, states, strict=True):
            array[...] = initial_state(model._weights.arrays, name)
        return states

    def _overwrite(self, states: list[Array]) -> None:
        for array, current in zip(states_for_core(states, self._model._passes), self._states, strict=True):
            current[...] = array

    def _state_shape(self, size: int) -> tuple[int, ...]:
        return (self._model.num_layers, *self._axes, size)

    def step(self, x_t: ArrayLike, out: Array | None = None) -> Array:
        """Run one step and return the last layer's h.

        Parameters
        ----------
        x_t : array (I,), or (batch_size, I)
        out : array (H or P,), or (batch_size, H or P), optional
            Where to write; of the model's dtype and C-contiguous. Nothing is allocated then.

        Returns
        -------
        array
            `out`, or a new one.

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above; the state is unchanged then.
        RuntimeError
            If another thread is stepping this stream.
        """
        # The fast path of a step: one Python frame, and no check that the stepper makes itself.
        if out is not None and self._weights is self._model._weights and self._stepper.step(x_t, out):
            return out
        return self._step(x_t, out, self._model._weights)

    def _step(self, x_t: ArrayLike, out: Array | None, weights: Weights) -> Array:
        if self._weights is not weights:
            self._use(weights)
        result = np.empty(self._shape, self._model.dtype) if out is None else out
        if not self._stepper.step(x_t, result):
            check_out(result, self._shape, self._model.dtype)
            frame = (*self._axes, self._model.input_size)
            x = as_floats(x_t, "x_t", self._model.dtype, frame)
            self._stepper.step(np.array(x, order="C"), result)
        return result

    def _next(self, x_t: Array, weights: Weights) -> Array:
        """Run one step with the weights that a model of several layers has."""
        return self._step(x_t, None, weights)

    def feed(self, x: ArrayLike) -> Array:
        """Run a chunk of steps, and return the last layer's h of each.

        Parameters
        ----------
        x : array (T, I), or (T, batch_size, I), or (batch_size, T, I) with the model's `batch_first`
            Of any T.

        Returns
        -------
        array
            Laid out as `x`.

        Raises
        ------
        ValueError, TypeError
            If `x` is not as above; the state is unchanged then.
        """
        array = as_floats(x, "x")
        check_chunk(array.shape, self._model.batch_first, self._axes, (self._model.input_size,))
        y, final = self._model(array, self.state)
        if array.size:  # no frames are a pause, not a sequence without a step
            self.state = final
        return y

    @property
    def stepper(self) -> Stepper:
        """What `step` runs on, for Cython code that steps in a loop of its own: `fastlstm.Stepper`.

        Its steps move this stream's state. It has the model's weights as they are now: once they have
        changed, take `stepper` again.
        """
        if self._weights is not self._model._weights:
            self._use(self._model._weights)
        return self._stepper

    def _use(self, weights: Weights) -> None:
        model, (h, *c) = self._model, self._states
        shape = (self._batch_size, model.output_size)
        between = [empty(shape, model.dtype) for _ in range(model.num_layers - 1)]
        self._stepper = Stepper(
            model._layers(weights),
            self._batch_size,
            list(h),
            list(c[0]) if c else None,
            between,
            model._passes,
        )
        self._weights = weights


def continued(model: Any, batch_size: int | None = None) -> Any:
    """Return a stream through a model, for pickle."""
    return model.stream(batch_size)


def axes_of(batch_size: int | None) -> tuple[int, ...]:
    """Return the axes that a stream's frames have for their sequences: none, or one."""
    return () if batch_size is None else (as_size(batch_size, "batch_size"),)


def check_chunk(
    shape: tuple[int, ...], batch_first: bool, axes: tuple[int, ...], frame: tuple[int, ...]
) -> None:
    """Raise ValueError unless `shape` is that of a chunk of frames."""
    time = 1 if axes and batch_first else 0
    steps = shape[time] if len(shape) > time else 0
    expected = (*axes, steps, *frame) if time else (steps, *axes, *frame)
    if shape != expected:
        names = [*map(str, axes), *map(str, frame)]
        names.insert(time, "T")
        raise ValueError(f"x: expected shape ({', '.join(names)}{',' * (len(names) == 1)}), got {shape}")


def check_out(out: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise TypeError or ValueError unless `out` can take a result of that shape and dtype."""
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        raise TypeError(f"out: expected an array of {dtype}, got {getattr(out, 'dtype', type(out).__name__)}")
    check_shape(out, "out", shape)
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out: expected a writable C-contiguous array")
