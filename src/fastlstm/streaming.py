"""Models fed one step at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ._arrays import Array, as_floats, as_size, check_shape
from ._core import Stepper

if TYPE_CHECKING:
    from .recurrent import Recurrent

State = TypeVar("State")


class Stream(Generic[State]):
    """One sequence, or `batch_size` of them, running through a model step by step.

    Made by `Recurrent.stream`. Steps give the bits that the whole sequence would have given. A stream uses
    its model's weights as they are at each step, and belongs to one thread at a time; any number of
    streams may share a model.
    """

    def __init__(self, model: Recurrent[State], batch_size: int | None = None) -> None:
        if model.bidirectional:
            raise ValueError(f"model: expected one that runs forward in time, got {model!r}")
        self._model = model
        self._sequences = () if batch_size is None else (as_size(batch_size, "batch_size"),)
        self._batch_size = self._sequences[0] if self._sequences else 1
        self._shape = (*self._sequences, model.output_size)
        self.reset()

    def reset(self) -> None:
        """Start again from the zero state."""
        model = self._model
        self._states = [
            np.zeros((model.num_layers, self._batch_size, model._state_size(name)), model.dtype)
            for name in model._state_names
        ]
        self._use_current_weights()

    @property
    def state(self) -> State:
        """The state, shaped as a model's; a copy. Setting it checks and copies."""
        return self._model._to_state(
            [array.reshape(self._state_shape(array.shape[2])).copy() for array in self._states]
        )

    @state.setter
    def state(self, state: State) -> None:
        parts = self._model._from_state(state, "state")
        fresh = []
        for name, part, current in zip(self._model._state_names, parts, self._states, strict=True):
            array = as_floats(part, f"state {name}", current.dtype)
            check_shape(array, f"state {name}", self._state_shape(current.shape[2]))
            fresh.append(np.array(array, order="C").reshape(current.shape))
        self._states = fresh
        self._use_current_weights()

    def _state_shape(self, size: int) -> tuple[int, ...]:
        return (self._model.num_layers, *self._sequences, size)

    def step(self, x_t: ArrayLike, out: Array | None = None) -> Array:
        """Run one step and return the last layer's h.

        Parameters
        ----------
        x_t : array (I,), or (batch_size, I)
        out : array (H or P,), or (batch_size, H or P), optional
            Where to write; of the model's dtype and C-contiguous.

        Returns
        -------
        array
            `out`, or a new one.

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above; the state has not moved then.
        """
        if self._weights is not self._model._weights:
            self._use_current_weights()
        result = np.empty(self._shape, self._model.dtype) if out is None else out
        if not self._stepper.step(x_t, result):
            self._check_out(result)
            x = as_floats(x_t, "x_t", self._model.dtype)
            check_shape(x, "x_t", (*self._sequences, self._model.input_size))
            self._stepper.step(np.array(x, order="C"), result)
        return result

    @property
    def stepper(self) -> Stepper:
        """What `step` runs on, for Cython code that steps in a loop of its own: `fastlstm.Stepper`.

        Its steps move this stream's state. It has the model's weights as they are now and is of no more use
        once they have changed, after `reset`, and after `state` has been set: take it again then.
        """
        if self._weights is not self._model._weights:
            self._use_current_weights()
        return self._stepper

    def _use_current_weights(self) -> None:
        model, (h, *c) = self._model, self._states
        weights = model._weights
        between = [np.empty(array.shape, model.dtype) for array in h[:-1]]
        self._stepper = Stepper(
            model._layers(weights), self._batch_size, list(h), list(c[0]) if c else None, between
        )
        self._weights = weights

    def _check_out(self, out: Array) -> None:
        dtype = self._model.dtype
        if not isinstance(out, np.ndarray) or out.dtype != dtype:
            raise TypeError(
                f"out: expected an array of {dtype}, got {getattr(out, 'dtype', type(out).__name__)}"
            )
        check_shape(out, "out", self._shape)
        if not (out.flags.c_contiguous and out.flags.writeable):
            raise ValueError("out: expected a writable C-contiguous array")
