"""Layers one after another, as one model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arrays import Array, as_floats, as_integers, check_shape
from .gradients import Gradients
from .layers.base import LayerTape, PlainLayer
from .layers.embedding import Embedding
from .layers.readouts import Readout
from .parameters import Parameterised, replace, weights_of
from .ragged import Padding, Sequences
from .recurrent import Recurrent
from .sequential_stream import SequentialStream
from .tape import Tape

AnyLayer = Recurrent[Any] | Readout | PlainLayer
AnyTape = Tape[Any] | LayerTape
States = tuple[Any, ...]


class Sequential(Parameterised):
    """Layers one after another, as `torch.nn.Sequential`, with state and lengths led through.

    Parameters are named by the layer's place and their name there: "0.weight", "1.weight_ih_l0", as
    PyTorch names them.

    Parameters
    ----------
    *layers : LSTM, RNN or a layer of `fastlstm.layers`
        At least one; an `Embedding` only as the first, and nothing that runs over time after a readout.
        Each reads what the one before gives.

    Attributes
    ----------
    layers : tuple
    batch_first : bool
        As the recurrent layers have it, who must all agree; False where there are none.
    reads_indices : bool
        Whether x is integers, for an `Embedding`.
    has_readout : bool
        Whether y is a vector for each sequence rather than for each step.

    Raises
    ------
    TypeError
        If something is no such layer.
    ValueError
        If a layer can't stand where it does.

    Notes
    -----
    With `lengths`, what stands past a sequence's end has no influence on anything, and y is zero there.
    Readouts learn lengths, layout and directions from the model.

    The layers remain layers of their own: to change one's parameters is to change the model's. A model
    runs with all its parameters as they were at one moment, whoever changes them meanwhile.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> model = fastlstm.Sequential(
    ...     fastlstm.Embedding(10, 4, rng=0), fastlstm.LSTM(4, 8, rng=0), fastlstm.Linear(8, 10, rng=0)
    ... )
    >>> x = np.zeros((7, 2), int)
    >>> model(x, lengths=[7, 3]).shape
    (7, 2, 10)
    >>> y, state, tape = model.forward(x)
    >>> sorted(tape.backward(np.ones_like(y)).parameters)[:3]
    ['0.weight', '1.bias_hh_l0', '1.bias_ih_l0']
    >>> y, state, tape = model.forward(x, state)        # goes on where the last one ended
    """

    def __init__(self, *layers: AnyLayer) -> None:
        check_layers(layers)
        self.layers = layers
        self.reads_indices = isinstance(layers[0], Embedding)
        self._recurrent = [layer for layer in layers if isinstance(layer, Recurrent)]
        self.has_readout = any(isinstance(layer, Readout) for layer in layers)
        self._two_directions = reads_two_directions(layers)
        self.batch_first = bool(self._recurrent) and self._recurrent[0].batch_first

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"

    def __reduce__(self) -> tuple[type[Sequential], tuple[AnyLayer, ...]]:
        return Sequential, self.layers

    @property
    def parameters(self) -> Mapping[str, Array]:
        """Read-only views of all layers' parameters by name, as they are at one moment."""
        return MappingProxyType(full_names(weights.arrays for weights in weights_of(self.layers)))

    @property
    def generators(self) -> tuple[np.random.Generator, ...]:
        """What draws in the layers' dropout."""
        return tuple(generator for layer in self.layers for generator in layer.generators)

    def _replace(self, arrays: Mapping[str, Array]) -> None:
        changes: dict[int, dict[str, Array]] = {}
        for full_name, array in arrays.items():
            place, name = full_name.split(".", 1)
            changes.setdefault(int(place), {})[name] = array
        replace([self.layers[place] for place in changes], list(changes.values()))

    # Passes

    def __call__(self, x: ArrayLike, *, lengths: ArrayLike | None = None) -> Array:
        """Return y in evaluation, from the zero state. See `forward`."""
        return self.run(x, lengths=lengths)[0]

    def run(
        self, x: ArrayLike, state: Sequence[Any] | None = None, *, lengths: ArrayLike | None = None
    ) -> tuple[Array, States]:
        """Return y and the final state in evaluation: no dropout, and nothing kept. See `forward`."""
        y, final, _, _ = self._run(x, state, lengths, training=False)
        return y, final

    def forward(
        self, x: ArrayLike, state: Sequence[Any] | None = None, *, lengths: ArrayLike | None = None
    ) -> tuple[Array, States, SequentialTape]:
        """Run in training, and keep what `SequentialTape.backward` needs.

        Parameters
        ----------
        x : array (T, B, I), or (B, T, I) with `batch_first`, or (T, I) for one sequence
            As the first layer takes it: for an `Embedding` indices, without I. A model that has no
            layer over time takes whatever its first layer takes.
        state : sequence, optional
            For each recurrent layer its initial state, or None, which counts as zeros.
        lengths : integer array (B,), optional
            How many steps each sequence has, 0 to T, in any order.

        Returns
        -------
        y : array
            The last layer's.
        state : tuple
            For each recurrent layer its final state.
        tape : SequentialTape
            Holds what the layers' tapes hold: leave `x` as it is until `backward`.

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above.
        """
        y, final, tapes, sequences = self._run(x, state, lengths, training=True)
        return y, final, SequentialTape(self, tapes, sequences, y.shape)

    def _run(
        self, x: ArrayLike, state: Sequence[Any] | None, lengths: ArrayLike | None, training: bool
    ) -> tuple[Array, States, list[AnyTape], Sequences | None]:
        rows: NDArray[Any] = as_integers(x, "x") if self.reads_indices else as_floats(x, "x")
        sequences = self._sequences(rows.shape, lengths)
        states = iter(self._states(state, sequences, "state"))
        if sequences is not None and isinstance(self.layers[0], PlainLayer):
            rows = sequences.zero_past_ends(rows)
        final, tapes = [], []
        for layer, weights in zip(self.layers, weights_of(self.layers), strict=True):
            tape: AnyTape | None = None
            if isinstance(layer, Recurrent):
                rows, last, tape = layer._run(rows, next(states), lengths, training, weights)
                final.append(last)
            elif isinstance(layer, Readout):
                assert sequences is not None
                rows, tape = layer._forward(rows, sequences, self._two_directions)
            elif training:
                rows, tape = layer._forward(rows, weights)
            else:
                rows = layer._evaluate(rows, weights)
            if training and tape is not None:
                tapes.append(tape)
        if sequences is not None and not self.has_readout:
            rows = sequences.zero_past_ends(rows)
        return rows, tuple(final), tapes, sequences

    def _sequences(self, shape: tuple[int, ...], lengths: ArrayLike | None) -> Sequences | None:
        """Return how sequences lie in an x of that shape; None where nothing runs over time."""
        if lengths is None and not self._recurrent and not self.has_readout:
            return None
        leading = shape if self.reads_indices else shape[:-1]
        if len(leading) not in (1, 2):
            axes, last = "B, T" if self.batch_first else "T, B", "" if self.reads_indices else ", I"
            raise ValueError(f"x: expected shape ({axes}{last}) or (T{last or ','}), got {shape}")
        padding = Padding.of(leading, self.batch_first)
        return Sequences(padding, padding.lengths(lengths))

    def stream(self, batch_size: int | None = None) -> SequentialStream:
        """Return a stream: the model fed one step at a time, its state carried along.

        Parameters
        ----------
        batch_size : int, optional
            Step n sequences together. None steps one sequence, frame by frame.

        Raises
        ------
        ValueError
            If a layer is bidirectional or a readout: they would need the steps that have not come yet.

        Examples
        --------
        >>> import fastlstm
        >>> model = fastlstm.Sequential(fastlstm.Embedding(10, 4, rng=0), fastlstm.LSTM(4, 8, rng=0))
        >>> stream = model.stream()
        >>> stream.step(7).shape
        (8,)
        """
        return SequentialStream(self, batch_size)

    def _states(
        self, state: Sequence[Any] | None, sequences: Sequences | None, argument: str
    ) -> Sequence[Any]:
        """Return a state for each recurrent layer, checked before anything runs."""
        if state is None:
            return [None] * len(self._recurrent)
        if not isinstance(state, (tuple, list)):
            raise TypeError(f"{argument}: expected a tuple of states, got {type(state).__name__}")
        if len(state) != len(self._recurrent):
            expected = f"a state for each of {len(self._recurrent)} recurrent layers"
            raise ValueError(f"{argument}: expected {expected}, got {len(state)}")
        for k, (layer, part) in enumerate(zip(self._recurrent, state, strict=True)):
            assert sequences is not None
            layer._states(part, sequences.padding, f"{argument}[{k}]")
        return state


class SequentialTape:
    """What one forward pass of a `Sequential` kept, for one backward pass."""

    def __init__(
        self, model: Sequential, tapes: list[AnyTape], sequences: Sequences | None, shape: tuple[int, ...]
    ) -> None:
        self._model = model
        self._tapes = tapes
        self._sequences = sequences
        self._shape = shape

    def backward(
        self,
        dy: ArrayLike | None = None,
        dstate: Sequence[Any] | None = None,
        *,
        input_gradient: bool = True,
    ) -> Gradients[States]:
        """Return the gradients for those of the forward pass's results.

        Parameters
        ----------
        dy : array like y, optional
            Gradient of the loss with respect to y; None counts as zeros. What stands past a
            sequence's end is ignored.
        dstate : sequence, optional
            For each recurrent layer the gradient of its final state, or None, which counts as zeros.
        input_gradient : bool, default True
            Whether that of the input is wanted, too; where it is not, a first layer that is recurrent
            spares its calculation.

        Returns
        -------
        Gradients
            `input` (None for indices, or if it is not wanted), `state` (for each recurrent layer that of
            its initial state) and `parameters`.

        Raises
        ------
        RuntimeError
            If the tape was used before, and there is a recurrent layer.
        ValueError, TypeError
            As `Sequential.forward`; the tape can still be used then.
        """
        dstates = list(self._model._states(dstate, self._sequences, "dstate"))
        d_rows: Array | None = None
        if dy is not None:
            d_rows = as_floats(dy, "dy")
            check_shape(d_rows, "dy", self._shape)
            if self._sequences is not None and not self._model.has_readout:
                d_rows = self._sequences.zero_past_ends(d_rows)
        d_initial: list[Any] = []
        by_layer: list[Mapping[str, Array]] = []
        for place, tape in reversed(list(enumerate(self._tapes))):
            if isinstance(tape, Tape):
                wanted = input_gradient or place > 0
                gradients: Gradients[Any] = tape.backward(d_rows, dstates.pop(), input_gradient=wanted)
                d_initial.insert(0, gradients.state)
            else:
                gradients = tape.backward(d_rows)
            d_rows = gradients.input
            by_layer.insert(0, gradients.parameters)
        return Gradients(d_rows if input_gradient else None, tuple(d_initial), full_names(by_layer))


def full_names(by_layer: Iterable[Mapping[str, Array]]) -> dict[str, Array]:
    """Return what layers have by name, by their place and name."""
    return {f"{place}.{name}": array for place, named in enumerate(by_layer) for name, array in named.items()}


def reads_two_directions(layers: tuple[AnyLayer, ...]) -> bool:
    """Return whether a readout finds two directions side by side."""
    two = False
    for layer in layers:
        if isinstance(layer, Readout):
            break
        if isinstance(layer, Recurrent):
            two = layer.bidirectional
        elif layer._gives is not None:
            two = False
    return two


def check_layers(layers: tuple[AnyLayer, ...]) -> None:
    """Raise TypeError or ValueError unless each layer can stand where it does."""
    if not layers:
        raise ValueError("layers: expected at least one, got none")
    seen = set()
    for place, layer in enumerate(layers):
        if not isinstance(layer, (Recurrent, Readout, PlainLayer)):
            expected = "LSTM, RNN or a layer of fastlstm.layers"
            raise TypeError(f"layers: expected {expected}, got {type(layer).__name__} at {place}")
        if id(layer) in seen:
            raise ValueError(f"layers: expected each only once, got {layer!r} again at {place}")
        seen.add(id(layer))
        if isinstance(layer, Embedding) and place:
            raise ValueError(f"layers: expected Embedding only as the first, got it at {place}")
    check_sizes(layers)
    check_time(layers)


def check_sizes(layers: tuple[AnyLayer, ...]) -> None:
    """Raise ValueError unless each layer reads as many numbers as the one before gives."""
    size: int | None = None
    for place, layer in enumerate(layers):
        if size is not None and layer._reads not in (None, size):
            raise ValueError(f"layers: expected one that reads {size} numbers at {place}, got {layer!r}")
        size = layer._gives or layer._reads or size


def check_time(layers: tuple[AnyLayer, ...]) -> None:
    """Raise ValueError unless layers over time agree on their layout, and nothing follows a readout."""
    first: Recurrent[Any] | None = None
    readout: Readout | None = None
    for place, layer in enumerate(layers):
        if readout is not None and isinstance(layer, (Recurrent, Readout)):
            raise ValueError(
                f"layers: expected nothing over time after {readout!r}, got {layer!r} at {place}"
            )
        if isinstance(layer, Readout):
            readout = layer
        elif isinstance(layer, Recurrent):
            first = first or layer
            if layer.batch_first != first.batch_first:
                expected = f"batch_first={first.batch_first} as before"
                raise ValueError(f"layers: expected {expected}, got {layer!r} at {place}")
