"""What all recurrent models share: parameters, layers, directions and state over the core's passes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._core import Layer, RaggedBatch, empty, run, zeros
from .attributes import Setting
from .base import Model
from .batch import Arrangement, Sequences
from .cells import CELLS, Cell
from .checks import Array, as_boolean, as_dtype, as_floats, as_generator, as_probability, as_size
from .heads import (
    block_diagonal,
    check_heads,
    of_pass,
    passes_of,
    states_for_core,
    states_from_core,
)
from .initial import Init, check_initial, initial_state, initial_values, learned_name
from .masks import dropout_mask
from .merge import merged
from .options import OPTIONS, checked_options, options_of
from .parameters import Weights, all_taken, borrowed
from .precision import PRECISIONS, UNIT_SCALE, check_precision, check_trains, matrix
from .stream import Stream
from .tape import Kept, Place, Tape
from .variants import Function, check_masks, check_variant, dropped, variant_of
from .weight_drop import weights_dropped
from .workspace import Workspace, Workspaces

if TYPE_CHECKING:
    from .trace import Trace

State = TypeVar("State")
MOST_LAYERS = 10_000
"""Layers are made and packed one by one: a model of several times as many takes minutes to make."""

Rng = np.random.Generator | np.random.BitGenerator | np.random.SeedSequence | int | None


class Recurrent(Model, Generic[State]):
    """Everything but the cell, which is an entry of `CELLS`, and the constructor."""

    cell: str
    """The name of the cell in `CELLS`."""
    _axes = "TB"
    num_embeddings = None
    reads_indices = False
    has_readout = False
    dropout = Setting(as_probability)
    _fixed = Model._fixed | {
        "cell",
        "directions",
        "output_size",
        "hidden_size",
        "num_layers",
        "bias",
        "bidirectional",
        "proj_size",
        "dtype",
        *OPTIONS,
    }
    reverse: bool
    clip: float | None
    activations: tuple[Function, ...] | None
    zoneout: tuple[float, float]
    recurrent_dropout: float
    gate_masks: bool
    peepholes: bool
    input_forget: bool
    cell_clip: float | None
    layer_norm: bool
    heads: int
    reset_after: bool
    _kind: str
    """The name of the class that a model is one of, or of a subclass of."""
    _functions: tuple[str, ...] = ("tanh",)
    """The functions of a cell without `activations`."""
    init: Init
    learn_state: bool
    merge: str
    weight_drop: float
    empty_state: str
    _precisions = PRECISIONS
    _scales_x = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int,
        dtype: DTypeLike,
        rng: Rng,
        options: Mapping[str, Any],
    ) -> None:
        self.input_size: Final = as_size(input_size, "input_size")
        self.hidden_size: Final = as_size(hidden_size, "hidden_size")
        self.num_layers: Final = as_size(num_layers, "num_layers", most=MOST_LAYERS)
        self.proj_size: Final = as_size(proj_size, "proj_size", least=0)
        if self.proj_size >= self.hidden_size:
            raise ValueError(f"proj_size: expected less than hidden_size {hidden_size}, got {proj_size}")
        self.bias: Final = as_boolean(bias, "bias")
        self.batch_first: Final = as_boolean(batch_first, "batch_first")
        self.bidirectional: Final = as_boolean(bidirectional, "bidirectional")
        self.dropout = dropout
        self.dtype: Final = as_dtype(dtype)
        for name, value in checked_options(self._kind, options).items():
            setattr(self, name, value)
        if self.reverse and self.bidirectional:
            raise ValueError("reverse: expected False with bidirectional=True, which has both directions")
        if self.merge != "concat" and not self.bidirectional:
            raise ValueError(f"merge: expected 'concat' without bidirectional=True, got {self.merge!r}")
        check_precision(self)
        self._kept_as = self.precision
        check_variant(self)
        self.cell = self._core_cell()
        check_initial(self)
        check_heads(self)
        self._passes: Final = passes_of(self.hidden_size, self.heads)
        # Whether the core has states in another form than the model.
        self._rearranges = self._passes > 1 or len(self._cell.states) > 2
        if self.dropout and self.num_layers == 1:
            warnings.warn(
                f"dropout: falls between layers, so {dropout} does nothing with num_layers=1", stacklevel=3
            )
        self.directions: Final = 2 if self.bidirectional else 1
        """How many directions each layer runs in: 1 or 2."""
        self.output_size: Final = self.proj_size or self.hidden_size
        """The size of one direction's h: proj_size where there is a projection, else hidden_size."""
        self.is_causal: Final = not (self.bidirectional or self.reverse)
        # How many numbers each step of a layer's output has, before directions are merged and after, and the
        # sizes of h and, for an LSTM, c.
        self._merges = self.merge != "concat"
        self._forgets_empty = self.empty_state == "zero"
        self._both = self.directions * self.output_size
        self._gives = self.output_size if self._merges else self._both
        self._state_sizes = (self.output_size, *[self.hidden_size] * (len(self._cell.states) - 1))
        self._rng = as_generator(rng)
        self._workspaces = Workspaces()
        self._draw_initial(self._parameter_shapes(), self.dtype, self._draw, self.precision)

    @property
    def generators(self) -> tuple[np.random.Generator, ...]:
        """What draws the dropout between layers and of weights."""
        return (self._rng,)

    def _core_cell(self) -> str:
        """Return the core's name of the model's cell."""
        raise NotImplementedError

    def _draw(self, name: str, shape: tuple[int, ...]) -> Array:
        return initial_values(self, name, shape)

    # Sizes and names

    @property
    def _cell(self) -> Cell:
        return CELLS[self.cell]

    @property
    def _weight_rows(self) -> int:
        """Rows of the weights for each unit."""
        return self._cell.weight_rows

    _num_embeddings = None
    _gives_new = True

    @property
    def _reads(self) -> int:
        """How many numbers each step of x has."""
        return self.input_size

    def _places(self) -> Iterator[Place]:
        for layer in range(self.num_layers):
            for direction in range(self.directions):
                yield Place(layer, direction)

    def _parameter_shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        rows = self._weight_rows * self.hidden_size
        for place in self._places():
            columns = self.input_size if place.layer == 0 else self._gives
            yield place.name("weight_ih"), (rows, columns)
            yield place.name("weight_hh"), (rows, self.output_size // self.heads)
            if self.bias:
                yield place.name("bias_ih"), (rows,)
                yield place.name("bias_hh"), (rows,)
            if self.peepholes:
                yield place.name("weight_ch"), ((2 if self.input_forget else 3) * self.hidden_size,)
            if self.layer_norm:
                yield place.name("gain_ih"), (rows,)
                yield place.name("gain_hh"), (rows,)
            if self._norms_c:
                yield place.name("gain_c"), (self.hidden_size,)
                yield place.name("bias_c"), (self.hidden_size,)
            if self.proj_size:
                yield place.name("weight_hr"), (self.proj_size, self.hidden_size)
        if self.learn_state:
            for state, size in zip(self._cell.states, self._state_sizes, strict=True):
                yield learned_name(state), (self.num_layers * self.directions, size)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        directions = 2 if self.bidirectional else 1
        if self.directions != directions:  # with a forged number the loop over names might not end
            raise ValueError(f"state: expected directions {directions}, got {self.directions!r}")
        as_size(self.heads, "state: heads")
        weights = self.parameters
        expected = all_taken(weights, self._parameter_shapes(), self.dtype, self.precision)
        if len(expected) != len(weights):
            raise ValueError(f"state: expected {len(expected)} parameters, got {len(weights)}")
        passes = passes_of(self.hidden_size, self.heads)
        if self._passes != passes:
            raise ValueError(f"state: expected {passes} passes, got {self._passes!r}")

    def options(self) -> dict[str, Any]:
        """Return those options that differ from their defaults, by name."""
        known = options_of(self._kind)
        return {
            name: getattr(self, name)
            for name, option in known.items()
            if getattr(self, name) != option.default
        }

    def _options(self) -> Iterator[str]:
        """Arguments that differ from their defaults, for `repr`."""
        if self.num_layers != 1:
            yield f"num_layers={self.num_layers}"
        for name, default in (("bias", True), ("batch_first", False), ("bidirectional", False)):
            if getattr(self, name) != default:
                yield f"{name}={not default}"
        for name in ("dropout", "proj_size"):
            if getattr(self, name):
                yield f"{name}={getattr(self, name)}"
        if self.dtype != np.float32:
            yield f"dtype={self.dtype.name!r}"
        yield from (f"{name}={value!r}" for name, value in self.options().items())

    def __repr__(self) -> str:
        arguments = [str(self.input_size), str(self.hidden_size), *self._options()]
        return f"{type(self).__name__}({', '.join(arguments)})"

    # Packed weights

    def _layers(self, weights: Weights) -> list[Layer]:
        """Return the packed layers, one for each place. They are packed once and kept with their weights."""
        if weights.derived is None:
            weights.derived = self._packed_all(weights.arrays)
        layers: list[Layer] = weights.derived
        return layers

    def _layers_dropped(self, weights: Weights) -> tuple[list[Layer], dict[str, Array]]:
        """Return layers packed for one pass with `weight_drop`, and the masks of their weights by name."""
        arrays, masks = weights_dropped(self, weights.arrays)
        return self._packed_all(arrays), masks

    def _packed_all(self, arrays: Mapping[str, Array]) -> list[Layer]:
        """Return a packed layer for each pass of each place."""
        kept_as = self._kept_as  # which another thread may change that trains with rounded weights
        places = self._places()
        return [self._packed(place, k, arrays, kept_as) for place in places for k in range(self._passes)]

    def _packed(self, place: Place, k: int, arrays: Mapping[str, Array], kept_as: str | None) -> Layer:
        weight_ih, scale_ih = matrix(arrays, place.name("weight_ih"), kept_as)
        weight_hh, scale_hh = matrix(arrays, place.name("weight_hh"), kept_as)
        biases = [
            arrays[place.name(name)] if self.bias else np.zeros(len(weight_ih), self.dtype)
            for name in ("bias_ih", "bias_hh")
        ]
        weight_hr = scale_hr = None
        if self.proj_size:
            weight_hr, scale_hr = matrix(arrays, place.name("weight_hr"), kept_as)
        weight_ih, weight_hh, bias = self._for_core(weight_ih, weight_hh, *biases)
        scales = None
        if scale_ih is not None and scale_hh is not None:
            of_x, of_h = self._scales_for_core(scale_ih, scale_hh, k)
            scales = of_x, of_h, scale_hr, self._x_scale(place), 8 if place.layer else self.x_bits
        peephole = self._peephole_for_core(place, arrays)
        if self.heads > 1:
            blocks, H = len(weight_ih) // self.hidden_size, self.hidden_size
            weight_ih = of_pass(weight_ih, blocks, self._passes, k)
            weight_hh = block_diagonal(of_pass(weight_hh, blocks, self._passes, k), blocks)
            bias = of_pass(bias, len(bias) // H, self._passes, k)
            if peephole is not None:
                peephole = of_pass(peephole.reshape(-1), 3, self._passes, k).reshape(3, -1)
        variant = variant_of(self, peephole)
        norms = None
        if self.layer_norm:
            norms, bias = self._norms_for_core(place, arrays, bias), np.zeros_like(bias)
        backward = self._runs_backward(place)
        return Layer(
            self.cell,
            weight_ih,
            weight_hh,
            bias,
            weight_hr,
            backward,
            variant,
            norms,
            kept_as,
            scales,
            not self._is_whole,
        )

    def _rows_for_core(self, of_x: Array, of_h: Array) -> tuple[Array, Array]:
        """Return numbers for each row of both matrices, in the core's order of rows."""
        none = np.zeros(len(of_x), self.dtype)
        weight_ih, weight_hh, _ = self._for_core(of_x[:, None], of_h[:, None], none, none)
        return weight_ih[:, 0], weight_hh[:, 0]

    @property
    def _norms_c(self) -> bool:
        """Whether c is normalised."""
        return self.layer_norm and "c" in self._cell.states

    def _norms_for_core(self, place: Place, arrays: Mapping[str, Array], bias: Array) -> dict[str, Array]:
        """Return the gains and biases of what is normalised, in the core's order of rows."""
        gain_ih, gain_hh = self._rows_for_core(*(arrays[place.name(f"gain_{of}")] for of in ("ih", "hh")))
        norms = {"gain_ih": gain_ih, "gain_hh": gain_hh, "bias": bias}
        if self._norms_c:
            norms |= {name: arrays[place.name(name)] for name in ("gain_c", "bias_c")}
        return norms

    def _scales_for_core(self, scale_ih: Array, scale_hh: Array, k: int) -> Iterator[Array]:
        """Yield the scales of both matrices' rows, in the order that the k-th pass has the rows in."""
        none = np.zeros(len(scale_ih), self.dtype)
        of_x, of_h = (scale.reshape(len(scale), -1) for scale in (scale_ih, scale_hh))
        for rows in self._for_core(of_x, of_h, none, none)[:2]:
            own = of_pass(rows, len(rows) // self.hidden_size, self._passes, k)
            # Where rows are negated, the weights are, not what one is worth.
            yield np.abs(own[:, 0] if scale_ih.ndim == 1 else own)

    def _x_scale(self, place: Place) -> float | None:
        """Return what one of x's whole numbers is worth; None: found for each row."""
        if place.layer == 0:
            return self.x_scale
        drops = self.dropout and not self._is_whole  # what stays is scaled then, and may be larger than 1
        return UNIT_SCALE if self._is_bounded and not drops else None

    @property
    def _is_bounded(self) -> bool:
        """Whether what a layer gives lies from -1 to 1, as its state does."""
        unusual = self.activations or self.proj_size or "relu" in self._functions or self.merge == "sum"
        return not unusual

    def _runs_backward(self, place: Place) -> bool:
        return self.reverse or place.direction == 1

    def _for_core(
        self, weight_ih: Array, weight_hh: Array, bias_ih: Array, bias_hh: Array
    ) -> tuple[Array, Array, Array]:
        """Return the weights in the core's order of gates, and the bias of each of the cell's chains."""
        return weight_ih, weight_hh, bias_ih + bias_hh

    def _from_core(
        self, weight_ih: Array, weight_hh: Array, bias: Array
    ) -> tuple[Array, Array, Array, Array]:
        """Return the gradients of both weights and both biases, from those of what `_for_core` returned."""
        return weight_ih, weight_hh, bias, bias.copy()

    def _peephole_for_core(self, place: Place, arrays: Mapping[str, Array]) -> Array | None:
        """Return a direction's peepholes as the core has them, (3, H); None without."""
        return None

    def _peephole_from_core(self, peephole: Array) -> Array:
        """Return the gradient of `weight_ch`, from that of what `_peephole_for_core` returned."""
        return peephole.reshape(-1)

    # Passes

    def __call__(
        self,
        x: ArrayLike,
        state: State | None = None,
        *,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> tuple[Array, State]:
        """Run in evaluation: no dropout, and nothing kept for backward. See `forward`.

        Returns
        -------
        y : array
        state : as `state`
        """
        y, final, _ = self._run(x, state, lengths, False, self._weights, mask=mask)
        return y, final

    def run(
        self,
        x: ArrayLike,
        state: State | None = None,
        *,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        weights: Mapping[str, ArrayLike] | None = None,
    ) -> tuple[Array, State]:
        """Return y and the final state in evaluation, as calling the model does.

        Parameters
        ----------
        x, state, lengths, mask
            As for `forward`.
        weights : mapping of str to array, optional
            What parameters are in this pass, by their names; those that are not named are the model's own.
            They are copied and packed, and with the next pass compared with that copy, all their bits, and
            packed again only if one differs. `parameters` of another model can't change, and are neither
            copied nor compared. The model remembers the last such weights, until its own change.

        Returns
        -------
        y : array
        state : as `state`

        Raises
        ------
        ValueError, TypeError
            As `forward`; or if a weight is none of the model's, or not one that `update` takes.

        Examples
        --------
        >>> import numpy as np, fastlstm
        >>> lstm, other = (fastlstm.LSTM(3, 5, rng=seed) for seed in range(2))
        >>> y, state = lstm.run(np.ones((7, 2, 3)), weights=other.parameters)
        >>> bool((y == other(np.ones((7, 2, 3)))[0]).all())
        True
        """
        own = self._weights if weights is None else borrowed(self._weights, weights)
        y, final, _ = self._run(x, state, lengths, False, own, mask=mask)
        return y, final

    def forward(
        self,
        x: ArrayLike,
        state: State | None = None,
        *,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        drop: bool = True,
        weights: Mapping[str, ArrayLike] | None = None,
    ) -> tuple[Array, State, Tape[State]]:
        """Run in training: with dropout, and a tape for `Tape.backward`.

        Parameters
        ----------
        x : array (T, B, I), or (B, T, I) with `batch_first`, or (T, I) for one sequence
            Floats of any size, strided or not; cast to the model's dtype and never modified.
        state : initial state, optional
            For an LSTM (h_0, c_0), else h_0. h is (layers·D, B, P) and c (layers·D, B, H), D the
            number of directions and P `proj_size` or else H; without B for one sequence. If None, what was
            learned with `learn_state`, else zeros.
        lengths : integer array (B,), optional
            How many steps each sequence has, 0 to T, in any order. Steps past a sequence's end have
            no influence on anything; the reverse direction starts at a sequence's own last step.
        mask : bool array (T, B), (B, T) with `batch_first`, or (T,) for one sequence, optional
            In the place of lengths: which steps each sequence has, with holes anywhere. A masked step has
            no influence on anything. It leaves the state as it is, and y repeats there what the direction
            gave last, zeros before its first step: as a layer of Keras has it, but for Keras's
            `Bidirectional`, which gives zeros at all masked steps.
        drop : bool, default True
            Whether outputs and weights are dropped, as `dropout` and `weight_drop` say. Without, y has the
            bits of the call.
        weights : mapping of str to array, optional
            What parameters are in this pass, as for `run`; the tape's gradients are those of these.

        Returns
        -------
        y : array (T, B, D·P), laid out as `x`
            The last layer's h, zero past an end that `lengths` gives; (T, B, P) where `merge` makes one of
            both directions.
        state : as `state`
            After each sequence's own last step; for a length of zero as `empty_state` says.
        tape : Tape
            Keeps 5·H numbers a row and step of each LSTM layer and direction (gates and c), 4·H of a GRU's,
            beside the layers' inputs and outputs; of `x` no copy where it needs no cast, so leave that as
            it is until `backward`.

        Raises
        ------
        ValueError
            If a shape or a length is not as above, there are both lengths and a mask, the weights are whole
            numbers, or `run` refuses one.
        TypeError
            If an array is not one of floats, `lengths` not one of integers or `mask` not one of booleans.
        """
        check_trains(self)
        dropping = as_boolean(drop, "drop")
        if dropping:
            check_masks(self)
        own = self._weights if weights is None else borrowed(self._weights, weights)
        y, final, tape = self._run(x, state, lengths, True, own, dropping, mask)
        assert tape is not None
        return y, final, tape

    def _run(
        self,
        x: ArrayLike,
        state: State | None,
        lengths: ArrayLike | None,
        training: bool,
        weights: Weights,
        drop: bool = True,
        mask: ArrayLike | None = None,
    ) -> tuple[Array, State, Tape[State] | None]:
        """Run forward; `training` makes a tape, and drops outputs and weights unless `drop` is false."""
        given = as_floats(x, "x")
        return self._run_over(given, self._sequences(given, lengths, mask), state, training, weights, drop)

    def _run_over(
        self,
        given: Array,
        sequences: Sequences,
        state: State | None,
        training: bool,
        weights: Weights,
        drop: bool = True,
        workspace: Workspace | None = None,
    ) -> tuple[Array, State, Tape[State] | None]:
        """Run forward over checked sequences; what a tape keeps comes from `workspace`, if there is one."""
        # The largest array first: where memory can't hold it, nothing has been done yet.
        result = sequences.empty(self._gives, self.dtype)
        arrangement = Arrangement(sequences)
        start = self._states(state, sequences, "state", weights.arrays if self.learn_state else None)
        if state is not None:  # what all begin with is the same in any order, and needs no copy
            start = [arrangement.sort(array) for array in start]
        if self._rearranges:
            start = states_for_core(start, self._passes)
        rows = arrangement.rows(given, self.dtype)
        if training and drop and self.weight_drop:
            layers, masks = self._layers_dropped(weights)
        else:
            layers, masks = self._layers(weights), None
        if training:  # the caller must not be able to change what a tape keeps: so it gets copies
            dropout = self.dropout if drop else 0.0
            kept = Kept(self, arrangement, layers, start, rows, dropout, masks, workspace)
            if drop:
                kept.droppings = [
                    dropped(self, arrangement, h_0, layer)
                    for h_0, layer in zip(start[0], layers, strict=True)
                ]
            final = [empty(array.shape, array.dtype) for array in start]
            outputs = kept.outputs
        else:
            kept, final = None, start
            in_place = arrangement.in_order and not self._merges
            outputs = self._outputs(arrangement, result if in_place else None)
        self._run_layers(rows, layers, arrangement.batch, start, final, outputs, kept)
        if self._forgets_empty:
            arrangement.zero_empty(final)
        if outputs[-1].shape == result.shape and kept is None:
            result = outputs[-1]
        else:
            self._lay_out(arrangement, outputs[-1], result)
        if self._rearranges:
            final = states_from_core(final, len(self._cell.states), self._passes)
        final_state = self._to_state(arrangement.unsort(final))
        if kept is None:
            return result, final_state, None
        tape: Tape[State] = Tape(
            self, kept, given.dtype, self._state_dtypes(state), self._learned_states(state)
        )
        return result, final_state, tape

    def _outputs(self, arrangement: Arrangement, last: Array | None) -> list[Array]:
        """Return an array for the output of each layer: `last` for the last one, if that is given."""
        own = self.num_layers - (last is not None)
        outputs = [empty((arrangement.batch.rows, self._both), self.dtype) for _ in range(own)]
        return outputs if last is None else [*outputs, last]

    def _lay_out(self, arrangement: Arrangement, rows: Array, result: Array) -> None:
        """Write the rows of the last layer into `result`, y as the caller has it."""
        if arrangement.masked:
            both = self._repeated(arrangement, rows)
            if self._merges:
                merged(self.merge, both, result)
            else:
                result[...] = both
            return
        if self._merges and arrangement.in_order:
            merged(self.merge, rows, result.reshape(len(rows), self._gives))
            return
        if self._merges:
            rows = merged(self.merge, rows, empty((len(rows), self._gives), self.dtype))
        arrangement.pad(rows, result)

    def _repeated(self, arrangement: Arrangement, rows: Array) -> Array:
        """Return the directions' outputs as the caller has them, repeated at masked steps."""
        both = arrangement.sequences.empty(self._both, self.dtype)
        for direction in range(self.directions):
            columns = slice(direction * self.output_size, (direction + 1) * self.output_size)
            backward = self._runs_backward(Place(0, direction))
            arrangement.repeat(rows[:, columns], both[..., columns], backward)
        return both

    def _run_layers(
        self,
        rows: Array,
        layers: list[Layer],
        batch: RaggedBatch,
        start: list[Array],
        final: list[Array],
        outputs: list[Array],
        kept: Kept | None,
    ) -> None:
        """Write the outputs of all layers, and what is to be kept."""
        if kept is None and not self._merges:
            run(layers, batch, rows, outputs, start, final)
            return
        gates, cells, dropout = (None, None, 0.0) if kept is None else (kept.gates, kept.cells, kept.dropout)
        # Layers may run at the same time, some steps apart, where nothing between them has to wait for all.
        at_once = 1 if dropout or self._merges else self.num_layers
        for first in range(0, self.num_layers, at_once):
            if first:
                rows = self._between(outputs[first - 1], first, kept)
            whole = run(
                layers,
                batch,
                rows,
                outputs,
                start,
                final,
                gates,
                cells,
                first,
                first + at_once,
                None if kept is None else kept.droppings,
                None if kept is None else kept.normalised,
            )
            if kept is not None:
                kept.workspace.late |= not whole

    def _sequences(self, x: Array, lengths: ArrayLike | None, mask: ArrayLike | None) -> Sequences:
        shape = x.shape
        if len(shape) not in (2, 3) or shape[-1] != self.input_size:
            layout = "(B, T, I)" if self.batch_first else "(T, B, I)"
            raise ValueError(f"x: expected shape {layout} or (T, I) with I={self.input_size}, got {shape}")
        return Sequences.of(shape[:-1], self.batch_first, lengths, mask)

    def _between(self, below: Array, layer: int, kept: Kept | None) -> Array:
        """Return what a layer reads of the output of the one below, merged and with dropout, and keep it."""
        rows = below
        if self._merges:
            shape = len(below), self._gives
            memory = empty(shape, self.dtype) if kept is None else kept.workspace.empty(*shape, self.dtype)
            rows = merged(self.merge, below, memory)
        if kept is None:
            return rows
        if kept.dropout:
            mask = dropout_mask(self._rng, kept.dropout, rows.shape, self.dtype)
            kept.masks[layer - 1] = mask
            rows = rows * mask
        kept.between[layer - 1] = rows
        return rows

    # A state is a list of arrays inside, one a name; outside it is a tuple, or the array if there is but one

    def _to_state(self, arrays: list[Array]) -> State:
        state: Any = arrays[0] if len(arrays) == 1 else tuple(arrays)
        return state  # type: ignore[no-any-return]

    def _from_state(self, state: State, name: str) -> tuple[Any, ...]:
        """Return the parts of a state handed in as argument `name`."""
        names = self._cell.states
        if len(names) == 1:
            return (state,)
        expected = f"{'a pair ' if len(names) == 2 else ''}({', '.join(names)})"
        if not isinstance(state, (tuple, list)):
            raise TypeError(f"{name}: expected {expected}, got {type(state).__name__}")
        if len(state) != len(names):
            raise ValueError(f"{name}: expected {expected}, got {len(state)} items")
        return tuple(state)

    @property
    def _recurrent(self) -> tuple[Recurrent[State]]:
        return (self,)

    def _joined(self, states: tuple[Any, ...]) -> State:
        (state,) = states
        return state  # type: ignore[no-any-return]

    def _parts(self, state: State) -> tuple[State]:
        return (state,)

    def _states(
        self,
        state: State | None,
        sequences: Sequences,
        argument: str,
        learned: Mapping[str, Array] | None = None,
    ) -> list[Array]:
        """Return a checked state as (layers·D, B, size) arrays; what is None is `learned`, or zeros."""
        count = self.num_layers * self.directions
        if state is None and learned is None:
            return [zeros((count, sequences.B, size), self.dtype) for size in self._state_sizes]
        arrays = []
        names = self._cell.states
        parts = (None,) * len(names) if state is None else self._from_state(state, argument)
        for name, size, part in zip(names, self._state_sizes, parts, strict=True):
            shape = (count, sequences.B, size)
            if part is None:
                beginning = zeros(shape, self.dtype)
                if learned is not None:
                    beginning[...] = initial_state(learned, name)
                arrays.append(beginning)
                continue
            array = as_floats(part, f"{argument} {name}", self.dtype, sequences.state_shape(count, size))
            arrays.append(array.reshape(shape))
        return arrays

    def _state_dtypes(self, state: State | None) -> list[np.dtype[Any]]:
        if state is None:
            return [self.dtype] * len(self._cell.states)
        return [
            self.dtype if part is None else as_floats(part, "state").dtype
            for part in self._from_state(state, "state")
        ]

    def _learned_states(self, state: State | None) -> tuple[str, ...]:
        """Return the names of those states that were learned, since `state` does not give them."""
        names = self._cell.states if self.learn_state else ()
        if state is None or not names:
            return names
        parts = self._from_state(state, "state")
        return tuple(name for name, part in zip(names, parts, strict=True) if part is None)

    # Other ways to run

    def trace(
        self,
        x: ArrayLike,
        state: State | None = None,
        *,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> Trace[State]:
        """Run as calling does, the same bits, and return all gates, cells and outputs of every step.

        Parameters
        ----------
        x, state, lengths, mask
            As for `forward`.

        Returns
        -------
        Trace
            `y` and `state` as the call returns them, and `trace[layer, direction]` with the arrays i, f,
            g, o, c and h, laid out as `x`; h alone for an RNN, and n, r, z, n_h (rh if reset first) and h
            for a GRU.

        Raises
        ------
        ValueError, TypeError
            As `forward`.

        Examples
        --------
        >>> import numpy as np, fastlstm
        >>> trace = fastlstm.LSTM(3, 5, num_layers=2, rng=0).trace(np.ones((7, 3)))
        >>> trace[1, 0].f.shape
        (7, 5)
        """
        from .trace import trace  # most programs trace nothing, and import it for nothing

        return trace(self, x, state, lengths, mask)

    def stream(self, batch_size: int | None = None) -> Stream[State]:
        """Return a stream: the model fed one step at a time, its state carried along.

        Parameters
        ----------
        batch_size : int, optional
            Step n sequences together. None steps one sequence, as vectors.

        Raises
        ------
        ValueError
            If the model is bidirectional: it would need the steps that have not come yet.

        Examples
        --------
        >>> import numpy as np, fastlstm
        >>> stream = fastlstm.LSTM(3, 5, rng=0).stream()
        >>> stream.step(np.ones(3)).shape
        (5,)
        """
        return Stream(self, batch_size)
