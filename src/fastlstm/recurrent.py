"""LSTM and RNN: parameters, layers, directions and state over the core's one direction of one layer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ._arrays import Array, as_dtype, as_floats, as_probability, as_size, check_shape
from ._core import Layer, RaggedBatch, empty, run, zeros
from .inspection import Trace, trace
from .parameters import Parameterised, Weights
from .ragged import Arrangement, Padding
from .streaming import Stream
from .tape import Kept, Place, Tape
from .workspace import Workspaces

State = TypeVar("State")
Rng = np.random.Generator | np.random.BitGenerator | np.random.SeedSequence | int | None


def dropout_mask(rng: np.random.Generator, p: float, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return 0 for a share p of the numbers, 1 / (1 - p) for the others."""
    keep = 1 - p
    mask: Array = (rng.random(shape, np.float32) < keep).astype(dtype)
    if keep:
        mask /= keep
    return mask


class Recurrent(Parameterised, Generic[State]):
    """What LSTM and RNN share: everything but the cell and the form of the state."""

    cell: str
    """The core's name of the cell."""
    directions: int
    """How many directions each layer runs in: 1 or 2."""
    output_size: int
    """The size of one direction's h: proj_size where there is a projection, else hidden_size."""
    reads_indices = False
    has_readout = False
    _state_names: tuple[str, ...]
    _gates: int

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
    ) -> None:
        self.input_size = as_size(input_size, "input_size")
        self.hidden_size = as_size(hidden_size, "hidden_size")
        self.num_layers = as_size(num_layers, "num_layers")
        self.proj_size = as_size(proj_size, "proj_size", least=0)
        if self.proj_size >= self.hidden_size:
            raise ValueError(f"proj_size: expected less than hidden_size {hidden_size}, got {proj_size}")
        self.bias = bool(bias)
        self.batch_first = bool(batch_first)
        self.bidirectional = bool(bidirectional)
        self.dropout = as_probability(dropout, "dropout")
        self.dtype = as_dtype(dtype)
        if self.dropout and self.num_layers == 1:
            warnings.warn(
                f"dropout: falls between layers, so {dropout} does nothing with num_layers=1", stacklevel=3
            )
        self.directions = 2 if self.bidirectional else 1
        self.output_size = self.proj_size or self.hidden_size
        # How many numbers each step of y has, and the sizes of h and, for an LSTM, c.
        self._gives = self.directions * self.output_size
        self._state_sizes = (self.output_size, self.hidden_size)[: len(self._state_names)]
        self._rng = np.random.default_rng(rng)
        self._workspaces = Workspaces()
        self._draw_initial(self._parameter_shapes(), self.dtype, self._draw)

    @property
    def generators(self) -> tuple[np.random.Generator, ...]:
        """What draws the dropout between layers."""
        return (self._rng,)

    def _draw(self, name: str, shape: tuple[int, ...]) -> Array:
        bound = 1 / np.sqrt(self.hidden_size)
        return self._rng.uniform(-bound, bound, shape)

    # Sizes and names

    @property
    def _reads(self) -> int:
        """How many numbers each step of x has."""
        return self.input_size

    def _places(self) -> Iterator[Place]:
        for layer in range(self.num_layers):
            for direction in range(self.directions):
                yield Place(layer, direction)

    def _parameter_shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        rows = self._gates * self.hidden_size
        for place in self._places():
            columns = self.input_size if place.layer == 0 else self._gives
            yield place.name("weight_ih"), (rows, columns)
            yield place.name("weight_hh"), (rows, self.output_size)
            if self.bias:
                yield place.name("bias_ih"), (rows,)
                yield place.name("bias_hh"), (rows,)
            if self.proj_size:
                yield place.name("weight_hr"), (self.proj_size, self.hidden_size)

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

    def __repr__(self) -> str:
        arguments = [str(self.input_size), str(self.hidden_size), *self._options()]
        return f"{type(self).__name__}({', '.join(arguments)})"

    # Packed weights

    def _layers(self, weights: Weights) -> list[Layer]:
        """Return the packed layers, one for each place; they are kept with the weights they came from."""
        if weights.derived is None:
            weights.derived = [self._packed(place, weights.arrays) for place in self._places()]
        layers: list[Layer] = weights.derived
        return layers

    def _packed(self, place: Place, arrays: Mapping[str, Array]) -> Layer:
        weight_ih = arrays[place.name("weight_ih")]
        if self.bias:
            bias = arrays[place.name("bias_ih")] + arrays[place.name("bias_hh")]
        else:
            bias = np.zeros(len(weight_ih), self.dtype)
        weight_hr = arrays[place.name("weight_hr")] if self.proj_size else None
        reverse = place.direction == 1
        return Layer(self.cell, weight_ih, arrays[place.name("weight_hh")], bias, weight_hr, reverse)

    # Passes

    def __call__(
        self, x: ArrayLike, state: State | None = None, *, lengths: ArrayLike | None = None
    ) -> tuple[Array, State]:
        """Run in evaluation: no dropout, and nothing kept for backward. See `forward`.

        Returns
        -------
        y : array
        state : as `state`
        """
        y, final, _ = self._run(x, state, lengths, False, self._weights)
        return y, final

    def forward(
        self, x: ArrayLike, state: State | None = None, *, lengths: ArrayLike | None = None
    ) -> tuple[Array, State, Tape[State]]:
        """Run in training: with dropout between layers, and a tape for `Tape.backward`.

        Parameters
        ----------
        x : array (T, B, I), or (B, T, I) with `batch_first`, or (T, I) for one sequence
            Floats of any size, strided or not; cast to the model's dtype and never modified.
        state : initial state, optional
            For an LSTM (h_0, c_0), for an RNN h_0. h is (layers·D, B, P) and c (layers·D, B, H), D the
            number of directions and P `proj_size` or else H; without B for one sequence. Zeros if None.
        lengths : integer array (B,), optional
            How many steps each sequence has, 0 to T, in any order. Steps past a sequence's end have
            no influence on anything; the reverse direction starts at a sequence's own last step.

        Returns
        -------
        y : array (T, B, D·P), laid out as `x`
            The last layer's h, zero past a sequence's end.
        state : as `state`
            After each sequence's own last step; the initial state for a length of zero.
        tape : Tape
            Keeps 5·H numbers a row and step of each LSTM layer and direction (gates and c), beside the
            layers' inputs and outputs; of `x` no copy where it needs no cast, so leave that as it is
            until `backward`.

        Raises
        ------
        ValueError
            If a shape or a length is not as above.
        TypeError
            If an array is not one of floats, or `lengths` not one of integers.
        """
        y, final, tape = self._run(x, state, lengths, True, self._weights)
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
    ) -> tuple[Array, State, Tape[State] | None]:
        """Run forward; `training` makes a tape, and drops outputs between layers unless `drop` is false."""
        given = as_floats(x, "x")
        padding = self._padding(given)
        arrangement = Arrangement(padding.T, padding.B, padding.lengths(lengths))
        layers = self._layers(weights)
        start = self._states(state, padding, "state")
        if state is not None:  # zeros are ours, and in any order
            start = [arrangement.sort(array) for array in start]
        rows = padding.rows(arrangement, given, self.dtype)
        result = padding.empty(self._gives, self.dtype)
        if training:  # what a tape keeps must not be the caller's to change: neither states nor outputs
            kept = Kept(self, arrangement, layers, start, rows, self.dropout if drop else 0.0)
            final = [empty(array.shape, array.dtype) for array in start]
            outputs = kept.outputs
        else:
            kept, final = None, start
            outputs = self._outputs(arrangement, result if padding.in_order(arrangement) else None)
        self._run_layers(rows, layers, arrangement.batch, start, final, outputs, kept)
        if outputs[-1] is not result:
            padding.unpack(arrangement, outputs[-1], result)
        final_state = self._to_state(self._like_caller(final, arrangement, padding))
        if kept is None:
            return result, final_state, None
        tape: Tape[State] = Tape(self, kept, padding, given.dtype, self._state_dtypes(state))
        return result, final_state, tape

    def _outputs(self, arrangement: Arrangement, last: Array | None) -> list[Array]:
        """Return an array for the output of each layer: `last` for the last one, if that is given."""
        own = self.num_layers - (last is not None)
        outputs = [empty((arrangement.batch.rows, self._gives), self.dtype) for _ in range(own)]
        return outputs if last is None else [*outputs, last]

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
        if kept is None:
            run(layers, batch, rows, outputs, start, final)
        elif not kept.dropout:
            run(layers, batch, rows, outputs, start, final, kept.gates, kept.cells)
        else:
            for layer in range(self.num_layers):
                if layer:
                    self._drop(kept, layer)
                rows = kept.inputs[layer]
                run(layers, batch, rows, outputs, start, final, kept.gates, kept.cells, layer, layer + 1)

    def _padding(self, x: Array) -> Padding:
        shape = x.shape
        if len(shape) not in (2, 3) or shape[-1] != self.input_size:
            layout = "(B, T, I)" if self.batch_first else "(T, B, I)"
            raise ValueError(f"x: expected shape {layout} or (T, I) with I={self.input_size}, got {shape}")
        return Padding.of(shape[:-1], self.batch_first)

    def _drop(self, kept: Kept, layer: int) -> None:
        """Let a layer read the output of the one below with dropout, and keep the mask."""
        below = kept.outputs[layer - 1]
        mask = dropout_mask(self._rng, kept.dropout, below.shape, self.dtype)
        kept.masks[layer - 1] = mask
        kept.inputs[layer] = below * mask

    # State: a list of one array a name inside, LSTM's tuple or RNN's array outside

    def _to_state(self, arrays: list[Array]) -> State:
        raise NotImplementedError

    def _from_state(self, state: State, name: str) -> tuple[Any, ...]:
        """Return the parts of a state handed in as argument `name`."""
        raise NotImplementedError

    def _like_caller(self, states: list[Array], arrangement: Arrangement, padding: Padding) -> list[Array]:
        """Return states in the order of the rows as the caller has them."""
        if not arrangement.dense:
            states = [arrangement.unsort(array) for array in states]
        return [array[:, 0] for array in states] if padding.unbatched else states

    def _states(self, state: State | None, padding: Padding, argument: str) -> list[Array]:
        """Return a checked state, or zeros, as (layers·D, B, size) arrays."""
        count = self.num_layers * self.directions
        if state is None:
            return [zeros((count, padding.B, size), self.dtype) for size in self._state_sizes]
        arrays = []
        parts = self._from_state(state, argument)
        for name, size, part in zip(self._state_names, self._state_sizes, parts, strict=True):
            shape = (count, padding.B, size)
            if part is None:
                arrays.append(zeros(shape, self.dtype))
                continue
            array = as_floats(part, f"{argument} {name}", self.dtype)
            check_shape(array, f"{argument} {name}", padding.state_shape(count, size))
            arrays.append(array.reshape(shape))
        return arrays

    def _state_dtypes(self, state: State | None) -> list[np.dtype[Any]]:
        if state is None:
            return [self.dtype] * len(self._state_names)
        return [
            self.dtype if part is None else as_floats(part, "state").dtype
            for part in self._from_state(state, "state")
        ]

    # Other ways to run

    def trace(
        self, x: ArrayLike, state: State | None = None, *, lengths: ArrayLike | None = None
    ) -> Trace[State]:
        """Run as calling does, the same bits, and return all gates, cells and outputs of every step.

        Parameters
        ----------
        x, state, lengths
            As for `forward`.

        Returns
        -------
        Trace
            `y` and `state` as the call returns them, and `trace[layer, direction]` with the arrays i, f,
            g, o, c and h, laid out as `x`; h alone for an RNN.

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
        return trace(self, x, state, lengths)

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


class LSTM(Recurrent[tuple[Array, Array]]):
    """Long short-term memory over one or more layers, in one or both directions.

    Names, defaults, shapes and the gate order i, f, g, o are those of `torch.nn.LSTM`, and the
    `state_dict` of one loads into the other. With pre = W_ih x + b_ih + W_hh h + b_hh::

        i, f, g, o = sigmoid, sigmoid, tanh, sigmoid (pre)
        c = f * c + i * g
        h = o * tanh(c)                 (W_hr times that, with a projection)

    Parameters
    ----------
    input_size : int
        I, numbers in each step of the input.
    hidden_size : int
        H, units of a layer.
    num_layers : int, default 1
        Each layer above the first reads the outputs of the one below.
    bias : bool, default True
        Whether pre-activations have biases (two, `bias_ih` and `bias_hh`, as PyTorch has them).
    batch_first : bool, default False
        Whether batches are (B, T, I) rather than (T, B, I).
    dropout : float, default 0.0
        Share of each layer's outputs but the last's that `forward` sets to zero; the others are scaled
        by 1 / (1 - dropout). Calling the model drops nothing.
    bidirectional : bool, default False
        Whether each layer also runs from last step to first; y then holds both, forward first.
    proj_size : int, default 0
        P, the size that h is projected to; 0 for no projection.
    dtype : {"float32", "float64"}, default "float32"
    rng : numpy.random.Generator, seed or None
        Draws the initial values, U(-1/sqrt(H), 1/sqrt(H)) for every parameter, and dropout.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Notes
    -----
    Calling a model gives the same bits for a sequence alone or in any batch, whole or in pieces with
    the state carried, and with any number of threads.

    References
    ----------
    .. [1] S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997.
    .. [2] F. Gers, J. Schmidhuber and F. Cummins, "Learning to Forget: Continual Prediction with LSTM",
       Neural Computation 12(10), 2000.
    .. [3] H. Sak, A. Senior and F. Beaufays, "Long Short-Term Memory Based Recurrent Neural Network
       Architectures for Large Vocabulary Speech Recognition", arXiv:1402.1128, 2014: the projection.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> lstm = fastlstm.LSTM(3, 5, batch_first=True, rng=0)
    >>> x = np.zeros((2, 7, 3), np.float32)
    >>> y, (h_n, c_n) = lstm(x)
    >>> y.shape, h_n.shape, c_n.shape
    ((2, 7, 5), (1, 2, 5), (1, 2, 5))
    >>> y, state, tape = lstm.forward(x, lengths=[7, 4])
    >>> gradients = tape.backward(np.ones_like(y))
    >>> gradients.input.shape, gradients.parameters["weight_hh_l0"].shape
    ((2, 7, 3), (20, 5))
    """

    cell = "lstm"
    _state_names = ("h", "c")
    _gates = 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: DTypeLike = "float32",
        rng: Rng = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            dtype,
            rng,
        )

    def _to_state(self, arrays: list[Array]) -> tuple[Array, Array]:
        h, c = arrays
        return h, c

    def _from_state(self, state: tuple[Array, Array], name: str) -> tuple[Any, ...]:
        if not isinstance(state, (tuple, list)):
            raise TypeError(f"{name}: expected a pair (h, c), got {type(state).__name__}")
        if len(state) != 2:
            raise ValueError(f"{name}: expected a pair (h, c), got {len(state)} items")
        return tuple(state)


class RNN(Recurrent[Array]):
    """A plain recurrent network over one or more layers, in one or both directions.

    The face is `LSTM`'s, the state is h alone, and names, defaults and shapes are those of
    `torch.nn.RNN`::

        h = tanh(W_ih x + b_ih + W_hh h + b_hh)         or relu

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
        As for `LSTM`.
    nonlinearity : {"tanh", "relu"}, default "tanh"
    bias, batch_first, dropout, bidirectional, dtype, rng
        As for `LSTM`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    .. [1] J. Elman, "Finding Structure in Time", Cognitive Science 14(2), 1990.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> rnn = fastlstm.RNN(3, 5, nonlinearity="relu", rng=0)
    >>> y, h_n = rnn(np.zeros((7, 2, 3)))
    >>> y.shape, h_n.shape
    ((7, 2, 5), (1, 2, 5))
    """

    _state_names = ("h",)
    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: DTypeLike = "float32",
        rng: Rng = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity: expected 'tanh' or 'relu', got {nonlinearity!r}")
        self.cell = nonlinearity
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, dtype, rng
        )

    @property
    def nonlinearity(self) -> str:
        """The activation: "tanh" or "relu"."""
        return self.cell

    def _options(self) -> Iterator[str]:
        if self.cell != "tanh":
            yield f"nonlinearity={self.cell!r}"
        yield from super()._options()

    def _to_state(self, arrays: list[Array]) -> Array:
        return arrays[0]

    def _from_state(self, state: Array, name: str) -> tuple[Any, ...]:
        return (state,)
