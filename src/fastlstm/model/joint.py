"""Base of the layers that make one of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from .checks import Array, as_floats
from .parameters import Parameterised


class JointTape:
    """What one forward pass of a layer with several inputs kept, for its backward pass."""

    def __init__(self, shape: tuple[int, ...], backward: Callable[[Array], list[Array]]) -> None:
        self._shape = shape
        self._backward = backward

    def __repr__(self) -> str:
        return f"<tape of a layer: y {self._shape}>"

    def backward(self, dy: ArrayLike) -> list[Array]:
        """Return each input's gradient for `dy`, that of the layer's output, of its shape.

        Raises
        ------
        ValueError, TypeError
            If `dy` is not an array of floats of that shape.
        """
        return self._backward(as_floats(dy, "dy", shape=self._shape))


class Joint(Parameterised):
    """Base of the layers that read several arrays, alike but for their last axis; for a `Graph`.

    A subclass says in `_join` how.
    """

    _reads = None
    _gives = None
    _num_embeddings = None
    _mixes_columns = False
    """Whether the columns of y are not those of each input."""

    def __init__(self) -> None:
        self._set_initial({})

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def _size(self, sizes: Sequence[int | None]) -> int | None:
        """Return the size of y's last axis, from those of the inputs; None where it isn't known.

        ValueError if they can't be joined.
        """
        known = {size for size in sizes if size is not None}
        if len(known) > 1:
            raise ValueError(f"expected inputs of one size, got {', '.join(map(str, sizes))}")
        return known.pop() if known else None

    def _join(self, given: Sequence[Array]) -> tuple[Array, Callable[[Array], list[Array]]]:
        """Return y, and what makes the inputs' gradients of its."""
        raise NotImplementedError

    def __call__(self, *x: ArrayLike) -> Array:
        """Return the layer's output. See `forward`."""
        return self.forward(*x)[0]

    def forward(self, *x: ArrayLike) -> tuple[Array, JointTape]:
        """Return the layer's output, and a tape for `JointTape.backward`.

        Parameters
        ----------
        *x : arrays (..., n)
            At least one; alike but for what the layer's description says.

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above.
        """
        given = [as_floats(array, f"x[{place}]") for place, array in enumerate(x)]
        if not given:
            raise ValueError("x: expected at least one array, got none")
        return self._forward(given)

    def _forward(self, given: Sequence[Array]) -> tuple[Array, JointTape]:
        for place, array in enumerate(given):
            if array.ndim == 0 or array.shape[:-1] != given[0].shape[:-1]:
                expected = f"({', '.join(map(str, given[0].shape[:-1]))}, n) as the first"
                raise ValueError(f"x[{place}]: expected shape {expected}, got {array.shape}")
        try:
            self._size([array.shape[-1] for array in given])
        except ValueError as error:
            raise ValueError(f"x: {error}") from None
        y, backward = self._join(given)
        return y, JointTape(y.shape, backward)


class JointStream:
    """A layer with several inputs, of which some come later than others: it keeps what waits for its like."""

    def __init__(self, layer: Joint, inputs: int, time: int) -> None:
        self._layer = layer
        self._inputs = inputs
        self._time = time
        self.reset()

    def reset(self) -> None:
        """Start again."""
        self._waiting: list[Array] | None = None

    @property
    def state(self) -> list[Array] | None:
        """What waits of each input; a copy. None before the first step."""
        return None if self._waiting is None else [array.copy() for array in self._waiting]

    @state.setter
    def state(self, state: Sequence[ArrayLike] | None) -> None:
        if state is None:
            self.reset()
            return
        if not isinstance(state, (tuple, list)) or len(state) != self._inputs:
            raise ValueError(f"state: expected {self._inputs} arrays of steps, got {type(state).__name__}")
        self._waiting = [as_floats(array, "state steps").copy() for array in state]

    def feed(self, given: Sequence[Array]) -> Array:
        """Return what the layer gives for the steps that all inputs have by now."""
        known = list(given)
        if self._waiting is not None:
            pairs = zip(self._waiting, given, strict=True)
            known = [np.concatenate(pair, axis=self._time) for pair in pairs]
        count = min(array.shape[self._time] for array in known)
        ready, waiting = zip(*(np.split(array, [count], axis=self._time) for array in known), strict=True)
        y, _ = self._layer._forward(ready)
        self._waiting = [array.copy() for array in waiting]
        return y
