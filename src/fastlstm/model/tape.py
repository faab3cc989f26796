"""What a forward pass of a recurrent model keeps, and the backward pass over it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._core import Backward, Dropped, Layer, Normalised
from .batch import Arrangement
from .checks import Array, as_boolean, as_floats
from .gradients import Gradients
from .heads import diagonal_blocks, of_passes, states_for_core, states_from_core
from .initial import learned_name
from .merge import halves, unmerged
from .workspace import Workspace

if TYPE_CHECKING:
    from .recurrent import Recurrent

State = TypeVar("State")


class Place(NamedTuple):
    """One direction of one layer."""

    layer: int
    direction: int

    def row(self, directions: int) -> int:
        """Return which row of a state, (layers·D, B, n), is this direction's, of so many in each layer."""
        return self.layer * directions + self.direction

    def name(self, short: str) -> str:
        """Return PyTorch's name of this direction's parameter."""
        return f"{short}_l{self.layer}" + ("_reverse" if self.direction else "")


def h_and_c(states: list[Array], k: int) -> tuple[Array, Array | None]:
    """Return the k-th place's h and c; c is None for a cell without."""
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
        weight_masks: Mapping[str, Array] | None = None,
        workspace: Workspace | None = None,
    ) -> None:
        """Take the memory that a pass over `rows` writes to: the outputs, and what the cell keeps beside.

        It comes from `workspace`, or else from the model's.
        """
        count, H, dtype = arrangement.batch.rows, model.hidden_size, model.dtype
        self.arrangement = arrangement
        self.layers = layers
        self.start = start
        self.dropout = dropout
        # What the pass multiplied parameters by, with `weight_drop`, by their names.
        self.weight_masks = weight_masks or {}
        self.workspace = workspace = workspace or model._workspaces.take()
        # The input of the first layer, (rows, I) or (T, B, I); by layer the output, (rows, D·P).
        self.rows = rows
        self.outputs = [workspace.empty(count, model._both, dtype) for _ in range(model.num_layers)]
        # By layer but the first: the mask of dropout on its input; and the input, where it is not the output
        # of the layer below as it is.
        self.masks: list[Array | None] = [None] * (model.num_layers - 1)
        self.between: list[Array | None] = [None] * (model.num_layers - 1)
        # By pass, of which a place has several with heads: all gates, (rows, kept_size), and c, (rows, S).
        self.gates: list[Array | None] = [None] * len(layers)
        self.cells: list[Array | None] = [None] * len(layers)
        # By pass: what it drops of the recurrence.
        self.droppings: list[Dropped | None] = [None] * len(layers)
        # By pass: what is normalised.
        self.normalised: list[Normalised | None] = [None] * len(layers)
        if model.layer_norm:
            sizes = [model._weight_rows * H] * 2 + [H] * model._norms_c
            self.normalised = [self._normalised(sizes, dtype) for _ in layers]
        cell = model._cell
        if cell.gates:
            self.gates = [workspace.empty(count, layer.kept_size, dtype) for layer in layers]
        if len(cell.states) > 1:
            self.cells = [workspace.empty(count, layer.carried_size, dtype) for layer in layers]

    def _normalised(self, sizes: Sequence[int], dtype: np.dtype[Any]) -> Normalised:
        """Return room for what one direction of a layer normalises: rows of so many numbers each."""
        rows = self.arrangement.batch.rows

        def arrays(*columns: int) -> tuple[Array, ...]:
            return tuple(self.workspace.empty(rows, n, dtype) for n in columns)

        return Normalised(arrays(*sizes), arrays(*[1] * len(sizes)))

    def input(self, layer: int) -> Array:
        """Return the input of a layer."""
        if layer == 0:
            return self.rows
        between = self.between[layer - 1]
        return self.outputs[layer - 1] if between is None else between

    def in_order(self) -> list[Array]:
        """Return what the pass wrote, in the order in which its memory was asked for."""
        return [array for array in (*self.outputs, *self.gates, *self.cells) if array is not None]

    @property
    def nbytes(self) -> int:
        """The bytes of all that was kept but the input."""
        arrays = (
            *(*self.outputs, *self.gates, *self.cells, *self.normalised),
            *(*self.masks, *self.between, *self.weight_masks.values()),
        )
        return sum(array.nbytes for array in arrays if array is not None)

    def output(self, place: Place, size: int) -> Array:
        """Return a direction's columns of its layer's output."""
        return self.outputs[place.layer][:, place.direction * size :][:, :size]

    def copied(self, workspace: Workspace) -> Kept:
        """Return the same with copies in `workspace` of what a backward pass overwrites."""
        other = copy.copy(self)
        other.workspace = workspace
        other.gates = [None if gates is None else workspace.like(gates) for gates in self.gates]
        for mine, its in zip(self.gates, other.gates, strict=True):
            if mine is not None and its is not None:
                its[...] = mine
        other.normalised = [None if kept is None else kept.copy() for kept in self.normalised]
        return other


def _used() -> RuntimeError:
    """Return the error of a tape that was used before."""
    return RuntimeError(
        "tape: expected one backward for each forward, got a second: run forward again, "
        "or let the first one keep the tape, with keep=True"
    )


class Tape(Generic[State]):
    """What one forward pass kept, for one backward pass, or for several with `keep`."""

    def __init__(
        self,
        model: Recurrent[State],
        kept: Kept,
        input_dtype: np.dtype[Any],
        state_dtypes: list[np.dtype[Any]],
        learned_states: tuple[str, ...],
    ) -> None:
        self._model = model
        self._kept: Kept | None = kept
        self._taking = Lock()  # of two threads, one gets what was kept
        self._sequences = kept.arrangement.sequences
        self._input_dtype = input_dtype
        self._state_dtypes = state_dtypes
        self._learned_states = learned_states

    def __repr__(self) -> str:
        sequences = self._sequences
        kept = "used" if self._kept is None else f"{self.nbytes:,} bytes kept"
        return f"<tape of {self._model!r}: {sequences.T} steps of {sequences.B}, {kept}>"

    @property
    def nbytes(self) -> int:
        """How many bytes the tape keeps, beside the input; 0 after `backward` without `keep`."""
        kept = self._kept
        return 0 if kept is None else kept.nbytes

    def backward(
        self,
        dy: ArrayLike | None = None,
        dstate: State | None = None,
        *,
        input_gradient: bool = True,
        keep: bool = False,
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
            Whether the gradient of the input is calculated, too. It takes time; data need none.
        keep : bool, default False
            Whether the tape can be used again, for other gradients or the same. It costs a copy of the gates.

        Returns
        -------
        Gradients
            `input` (None if it is not wanted), `state` (that of the initial state) and `parameters`. Each
            gradient has the shape and dtype of the array it belongs to.

        Raises
        ------
        RuntimeError
            If the tape was used before without `keep`: backward works in the memory that forward kept.
        ValueError, TypeError
            As `Recurrent.forward`; the tape can still be used then.
        """
        model, sequences, kept = self._model, self._sequences, self._kept
        if kept is None:
            raise _used()
        arrangement = kept.arrangement
        wanted, again = as_boolean(input_gradient, "input_gradient"), as_boolean(keep, "keep")
        d_outputs = self._of_y(kept, dy)
        d_start = [arrangement.sort(array) for array in model._states(dstate, sequences, "dstate")]
        d_start = states_for_core(d_start, model._passes)
        if model._forgets_empty:  # a constant, whatever it began with
            arrangement.zero_empty(d_start)
        with self._taking:
            if self._kept is None:
                raise _used()
            if again:
                kept = kept.copied(model._workspaces.take())
            else:
                self._kept = None
        parameters: dict[str, Array] = {}
        needed = max(packed.workspace_bytes(arrangement.batch) for packed in kept.layers)
        workspace = kept.workspace.bytes(needed)
        d_input = sequences.empty(model.input_size, self._input_dtype) if wanted else None
        for layer in reversed(range(model.num_layers)):
            d_rows = self._backward_layer(
                layer, kept, d_outputs, d_start, parameters, workspace, self._input_rows(layer, kept, d_input)
            )
            if layer and d_rows is not None:
                mask = kept.masks[layer - 1]
                if mask is not None:
                    d_rows *= mask
                d_outputs = self._by_direction(d_rows, kept.outputs[layer - 1])
        d_start = states_from_core(d_start, len(model._cell.states), model._passes)
        if model.learn_state:
            parameters |= self._of_learned_states(d_start)
        for name, mask in kept.weight_masks.items():
            parameters[name] = parameters[name] * mask
        states = [
            array.astype(dtype, copy=False)
            for array, dtype in zip(arrangement.unsort(d_start), self._state_dtypes, strict=True)
        ]
        if d_input is not None and d_rows is not None and d_rows is not d_input:
            if d_rows.shape == d_input.shape and d_rows.dtype == d_input.dtype:
                d_input = d_rows  # a late worker may still write to the first d_input
            else:
                arrangement.pad(d_rows, d_input)
        model._workspaces.give(kept.workspace)
        return Gradients(
            d_input,
            model._to_state(states),
            {name: parameters[name] for name in model._weights.arrays},
        )

    def _of_learned_states(self, d_start: list[Array]) -> dict[str, Array]:
        """Return the gradients of the learned states by name: sums over the batch; zero where one was given.

        Sums are in float64, so that a large batch costs no digits.
        """
        dtype = self._model.dtype
        return {
            learned_name(name): array.sum(axis=1, dtype=np.float64).astype(dtype)
            if name in self._learned_states
            else np.zeros((len(array), array.shape[2]), dtype)
            for name, array in zip(self._model._cell.states, d_start, strict=True)
        }

    def _input_rows(self, layer: int, kept: Kept, d_input: Array | None) -> Array | None:
        """Return the array that the gradient of a layer's input is written to.

        None where it is not asked for; `d_input` itself where its rows lie in the order of a pass.
        """
        dtype = self._model.dtype
        if layer == 0:
            if d_input is None:
                return None
            if kept.arrangement.in_order and d_input.dtype == dtype:
                return d_input
        return kept.workspace.empty(kept.arrangement.batch.rows, kept.input(layer).shape[-1], dtype)

    def _backward_layer(
        self,
        layer: int,
        kept: Kept,
        d_outputs: Sequence[Array | None],
        d_start: list[Array],
        parameters: dict[str, Array],
        workspace: NDArray[np.uint8],
        dx: Array | None,
    ) -> Array | None:
        """Run all directions of a layer backward from their outputs' gradients; return that of its input.

        That is `dx`, unless a worker was late: then the caller did the work again, in other memory. In
        `d_start` the gradients of the final state are replaced by those of the initial state.
        """
        model, rows, before = self._model, kept.input(layer), None
        for direction in range(model.directions):
            place, results = Place(layer, direction), []
            for part in range(model._passes):
                # The last pass writes dx: its own gradient plus that of the passes before.
                last = direction + 1 == model.directions and part + 1 == model._passes
                own = dx if dx is None or last else kept.workspace.like(dx)
                k = place.row(model.directions) * model._passes + part
                dy, size = d_outputs[direction], kept.layers[k].output_size
                result = self._backward_pass(
                    k,
                    kept,
                    rows,
                    kept.output(place, model.output_size)[:, part * size :][:, :size],
                    None if dy is None else dy[:, part * size :][:, :size],
                    d_start,
                    own,
                    before,
                    workspace,
                )
                before = result.dx
                results.append(result)
            parameters |= self._named(place, results)
        return before

    def _backward_pass(
        self,
        k: int,
        kept: Kept,
        rows: Array,
        y: Array,
        dy: Array | None,
        d_start: list[Array],
        dx: Array | None,
        dx_before: Array | None,
        workspace: NDArray[np.uint8],
    ) -> Backward:
        """Run the k-th pass backward, and move its states' gradients on."""
        layer, gates = kept.layers[k], kept.gates[k]
        if gates is None:
            gates = kept.workspace.empty(kept.arrangement.batch.rows, layer.kept_size, self._model.dtype)
        result = layer.backward(
            kept.arrangement.batch,
            rows,
            *h_and_c(kept.start, k),
            y,
            gates,
            kept.cells[k],
            dy,
            *h_and_c(d_start, k),
            dx,
            dx_before,
            None if kept.workspace.late else workspace,
            kept.droppings[k],
            kept.normalised[k],
        )
        kept.workspace.late |= not result.whole
        for states, state in zip(d_start, (result.dh_0, result.dc_0), strict=False):
            states[k] = state
        return result

    def _of_y(self, kept: Kept, dy: ArrayLike | None) -> Sequence[Array | None]:
        """Return the gradient of each direction's output of the last layer, as rows."""
        model, arrangement, outputs = self._model, kept.arrangement, kept.outputs[-1]
        if dy is None:
            return (None,) * model.directions
        array = as_floats(dy, "dy", model.dtype, self._sequences.shape(model._gives))
        if not arrangement.masked:
            rows = arrangement.rows(array, model.dtype).reshape(-1, model._gives)
            return self._by_direction(rows, outputs)
        both = model._repeated(arrangement, outputs) if model._merges else outputs
        return [
            arrangement.sums(part, model._runs_backward(Place(0, direction)))
            for direction, part in enumerate(self._by_direction(array, both))
        ]

    def _by_direction(self, d_layer: Array, both: Array) -> tuple[Array, ...]:
        """Return the gradients of a layer's directions, from that of what it gives; they gave `both`."""
        model = self._model
        if model._merges:
            return unmerged(model.merge, d_layer, both)
        return halves(d_layer) if model.bidirectional else (d_layer,)

    def _named(self, place: Place, results: list[Backward]) -> dict[str, Array]:
        """Return a direction's gradients by the names of its parameters; each bias has one of its own."""
        model, result = self._model, results[0]
        weight_ih, weight_hh, bias_ih, bias_hh = model._from_core(*self._of_weights(results))
        gradients = {"weight_ih": weight_ih, "weight_hh": weight_hh}
        if model.bias:
            gradients |= {"bias_ih": bias_ih, "bias_hh": bias_hh}
        if model.peepholes:
            peephole = np.concatenate([part.dpeephole for part in results if part.dpeephole is not None], 1)
            gradients["weight_ch"] = model._peephole_from_core(peephole)
        if result.dgain_ih is not None and result.dgain_hh is not None:
            gain_ih, gain_hh, *_ = model._from_core(
                result.dgain_ih[:, None], result.dgain_hh[:, None], result.dbias
            )
            gradients |= {"gain_ih": gain_ih[:, 0], "gain_hh": gain_hh[:, 0]}
        if result.dgain_c is not None and result.dbias_c is not None:
            gradients |= {"gain_c": result.dgain_c, "bias_c": result.dbias_c}
        if result.dweight_hr is not None:
            gradients["weight_hr"] = result.dweight_hr
        return {place.name(short): gradient for short, gradient in gradients.items()}

    def _of_weights(self, results: list[Backward]) -> tuple[Array, Array, Array]:
        """Return the gradients of a direction's weights and bias, as the core has them, from its passes."""
        model, (result, *others) = self._model, results
        if model.heads == 1:
            assert not others
            return result.dweight_ih, result.dweight_hh, result.dbias
        H = model.hidden_size // model._passes
        gates, chains, each = (
            len(result.dweight_ih) // H,
            len(result.dbias) // H,
            model.hidden_size // model.heads,
        )
        return (
            of_passes([part.dweight_ih for part in results], gates),
            of_passes([diagonal_blocks(part.dweight_hh, gates, each) for part in results], gates),
            of_passes([part.dbias for part in results], chains),
        )
