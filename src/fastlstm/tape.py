"""What a forward pass of a recurrent model keeps, and the backward pass over it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arrays import Array, as_floats, check_shape
from ._core import Layer, empty
from .gradients import Gradients
from .ragged import Arrangement, Padding
from .workspace import Workspace

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


@dataclass
class Kept:
    """What a forward pass leaves behind, by layer or by place (direction of a layer)."""

    arrangement: Arrangement
    layers: list[Layer]
    start: list[Array]
    workspace: Workspace
    dropout: float
    inputs: list[Array] = field(default_factory=list)  # by layer: rows (rows, I)
    outputs: list[Array] = field(default_factory=list)  # by layer: rows (rows, D·P)
    masks: list[Array | None] = field(default_factory=list)  # by layer but the first: on its input
    gates: list[Array | None] = field(default_factory=list)  # by place: (rows, 4·H)
    cells: list[Array | None] = field(default_factory=list)  # by place: (rows, H)

    def begin_layer(self, rows: Array, columns: int) -> Array:
        """Keep a layer's input rows; return the array for its output."""
        self.inputs.append(rows)
        self.outputs.append(self.workspace.empty(len(rows), columns, self.start[0].dtype))
        return self.outputs[-1]

    def begin_direction(self, model: Recurrent[Any]) -> tuple[Array | None, Array | None]:
        """Return arrays for a direction's (gates, cells); an RNN needs its output only."""
        gates = cells = None
        if model.cell == "lstm":
            rows, H = len(self.inputs[-1]), model.hidden_size
            gates = self.workspace.empty(rows, 4 * H, model.dtype)
            cells = self.workspace.empty(rows, H, model.dtype)
        self.gates.append(gates)
        self.cells.append(cells)
        return gates, cells

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
            model._like_caller(kept.arrangement.unsort(array), padding).astype(dtype, copy=False)
            for array, dtype in zip(d_start, self._state_dtypes, strict=True)
        ]
        if d_input is not None and d_rows is not None and not np.may_share_memory(d_rows, d_input):
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
            in_place = self._padding.adjacent_rows(kept.arrangement, d_input)
            if in_place is not None and d_input.dtype == dtype:
                return in_place
        rows, columns = kept.inputs[layer].shape
        return kept.workspace.empty(rows, columns, dtype)

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
                gates = kept.workspace.empty(len(rows), model.hidden_size, model.dtype)
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
