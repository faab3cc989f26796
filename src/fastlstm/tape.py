"""What a forward pass of a recurrent model keeps, and the backward pass over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arrays import Array, as_floats, check_shape
from ._core import Layer, empty
from .gradients import Gradients
from .ragged import Arrangement, Padding

if TYPE_CHECKING:
    from .recurrent import Recurrent

State = TypeVar("State")

SHORT_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


class Place(NamedTuple):
    """One direction of one layer."""

    layer: int
    direction: int

    def name(self, short: str) -> str:
        """Return PyTorch's name of this direction's parameter."""
        return f"{short}_l{self.layer}" + ("_reverse" if self.direction else "")


def h_and_c(states: list[Array], k: int) -> tuple[Array, Array | None]:
    """Return the k-th place's h and c, c None for an RNN."""
    return states[0][k], states[1][k] if len(states) == 2 else None


class Kept:
    """What a forward pass leaves behind, by layer or by place (direction of a layer)."""

    def __init__(
        self,
        model: Recurrent[Any],
        arrangement: Arrangement,
        layers: list[Layer],
        start: list[Array],
        rows: Array,
        dropout: float,
    ) -> None:
        """Take the memory that a pass over `rows` writes to; of an RNN the outputs are all that is kept."""
        count, H, dtype = arrangement.batch.rows, model.hidden_size, model.dtype
        self.arrangement = arrangement
        self.layers = layers
        self.start = start
        self.dropout = dropout
        self.workspace = workspace = model._workspaces.take()
        # By layer: what it gives, rows (rows, D·P); what it reads, rows (rows, I) or (T, B, I).
        self.outputs = [workspace.empty(count, model._gives, dtype) for _ in range(model.num_layers)]
        self.inputs = [rows, *self.outputs[:-1]]
        # By layer but the first: on its input.
        self.masks: list[Array | None] = [None] * (model.num_layers - 1)
        # By place: (rows, 4·H) and (rows, H).
        self.gates: list[Array | None] = [None] * len(layers)
        self.cells: list[Array | None] = [None] * len(layers)
        if model.cell == "lstm":
            self.gates = [workspace.empty(count, 4 * H, dtype) for _ in layers]
            self.cells = [workspace.empty(count, H, dtype) for _ in layers]

    @property
    def nbytes(self) -> int:
        """The bytes of all that was kept but the input."""
        arrays = (*self.outputs, *self.gates, *self.cells, *self.masks)
        return sum(array.nbytes for array in arrays if array is not None)

    def output(self, place: Place, size: int) -> Array:
        """Return a direction's columns of its layer's output."""
        return self.outputs[place.layer][:, place.direction * size :][:, :size]


class Tape(Generic[State]):
    """What one forward pass kept, for one backward pass."""

    def __init__(
        self,
        model: Recurrent[State],
        kept: Kept,
        padding: Padding,
        input_dtype: np.dtype[Any],
        state_dtypes: list[np.dtype[Any]],
    ) -> None:
        self._model = model
        self._kept: Kept | None = kept
        self._padding = padding
        self._input_dtype = input_dtype
        self._state_dtypes = state_dtypes

    @property
    def nbytes(self) -> int:
        """How many bytes the tape keeps, beside the input; 0 after `backward`."""
        return 0 if self._kept is None else self._kept.nbytes

    def backward(
        self, dy: ArrayLike | None = None, dstate: State | None = None, *, input_gradient: bool = True
    ) -> Gradients[State]:
        """Return the gradients for those of the forward pass's results.

        Parameters
        ----------
        dy : array like y, optional
            Gradient of the loss with respect to y; None counts as zeros. What stands past a
            sequence's end is ignored.
        dstate : as the state, optional
            Gradients of the final state; None, or None in the place of h_n or c_n, counts as zeros.
        input_gradient : bool, default True
            Whether that of the input is wanted, too: it takes a share of the time that nobody needs where
            x are data.

        Returns
        -------
        Gradients
            `input` (None if it is not wanted), `state` (of the initial state) and `parameters`, each with
            the shape and dtype of what it is the gradient of.

        Raises
        ------
        RuntimeError
            If the tape was used before: backward works in the memory that forward kept.
        ValueError, TypeError
            As `Recurrent.forward`; the tape can still be used then.
        """
        if self._kept is None:
            raise RuntimeError(
                "tape: expected one backward for each forward, got a second: run forward again"
            )
        model, padding, kept = self._model, self._padding, self._kept
        d_rows: Array | None = None
        if dy is not None:
            array = as_floats(dy, "dy", model.dtype)
            check_shape(array, "dy", padding.shape(model._gives))
            d_rows = kept.arrangement.rows(padding.time_major(array))
        d_start = [kept.arrangement.sort(a) for a in model._states(dstate, padding, "dstate")]
        self._kept = None
        parameters: dict[str, Array] = {}
        needed = max(packed.workspace_bytes(kept.arrangement.batch) for packed in kept.layers)
        workspace = kept.workspace.bytes(needed)
        d_input = padding.empty(model.input_size, self._input_dtype) if input_gradient else None
        for layer in reversed(range(model.num_layers)):
            dx = self._input_rows(layer, kept, d_input)
            self._backward_layer(layer, kept, d_rows, d_start, parameters, workspace, dx)
            d_rows = dx
            mask = kept.masks[layer - 1] if layer else None
            if mask is not None and d_rows is not None:
                d_rows *= mask
        states = [
            array.astype(dtype, copy=False)
            for array, dtype in zip(
                model._like_caller(d_start, kept.arrangement, padding), self._state_dtypes, strict=True
            )
        ]
        if d_input is not None and d_rows is not None and d_rows is not d_input:
            padding.unpack(kept.arrangement, d_rows, d_input)
        model._workspaces.give(kept.workspace)
        return Gradients(
            d_input,
            model._to_state(states),
            {name: parameters[name] for name in model.parameters},
        )

    def _input_rows(self, layer: int, kept: Kept, d_input: Array | None) -> Array | None:
        """Return the array for the gradient of a layer's input rows: the result itself, if that can be."""
        dtype = self._model.dtype
        if layer == 0:
            if d_input is None:
                return None
            if self._padding.in_order(kept.arrangement) and d_input.dtype == dtype:
                return d_input
        return kept.workspace.empty(kept.arrangement.batch.rows, kept.inputs[layer].shape[-1], dtype)

    def _backward_layer(
        self,
        layer: int,
        kept: Kept,
        dy: Array | None,
        d_start: list[Array],
        parameters: dict[str, Array],
        workspace: NDArray[np.uint8],
        dx: Array | None,
    ) -> None:
        """Run both directions of a layer: write its input's gradient, turn d_start's into the initial's."""
        model, size, rows = self._model, self._model.output_size, kept.inputs[layer]
        for direction in range(model.directions):
            place, k = Place(layer, direction), layer * model.directions + direction
            weights = [name for name in model.parameters if name in map(place.name, SHORT_NAMES)]
            gradients = {name: empty(model.parameters[name].shape, model.dtype) for name in weights}
            gates = kept.gates[k]
            if gates is None:
                gates = kept.workspace.empty(kept.arrangement.batch.rows, model.hidden_size, model.dtype)
            bias = gradients.get(place.name("bias_ih"))
            if bias is None:
                bias = empty((gates.shape[1],), model.dtype)
            kept.layers[k].backward(
                kept.arrangement.batch,
                rows,
                *h_and_c(kept.start, k),
                kept.output(place, size),
                gates,
                kept.cells[k],
                None if dy is None else dy[:, direction * size :][:, :size],
                *h_and_c(d_start, k),
                dx,
                direction == 1,
                gradients[place.name("weight_ih")],
                gradients[place.name("weight_hh")],
                bias,
                gradients.get(place.name("weight_hr")),
                workspace,
            )
            if model.bias:
                gradients[place.name("bias_hh")] = bias.copy()
            parameters |= gradients
