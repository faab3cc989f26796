"""Layers that read x and each other, as one model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .base import Model
from .batch import Sequences
from .checks import Array, as_boolean, as_integers
from .joint import Joint
from .layer import Directions, PlainLayer, Readout
from .layered_stream import LayeredStream
from .layered_tape import AnyTape, LayeredTape, States
from .parameters import Parameters, Weights, borrowed, by_layer, check_names, full_names, replace, weights_of
from .precision import check_trains
from .recurrent import Recurrent
from .temporal import TemporalLayer
from .wiring import AnyLayer, Evaluation, Wiring, chain_of

Value = tuple[NDArray[Any], Sequences | None]
"""What a layer gives, and where sequences lie in it; None where each row stands for itself."""


class Layered(Model):
    """Base of `Sequential` and `Graph`: what runs layers that are wired together."""

    _fixed = Model._fixed | {"layers"}
    _causal = "one that runs forward in time, without readout or windows"

    def __init__(self, wiring: Wiring) -> None:
        self._wiring: Final = wiring
        self.layers: Final = tuple(wiring.layers)
        self._recurrent: Final = wiring.recurrent
        self._ignored = [
            f"{part}.{name}"
            for part, layer in zip(wiring.names, self.layers, strict=True)
            for name in layer._ignored
        ]
        self.batch_first: Final = wiring.batch_first
        self.num_embeddings: Final = wiring.num_embeddings
        self.reads_indices: Final = self.num_embeddings is not None
        self.input_size: Final = wiring.size
        temporal = [layer for layer in self.layers if isinstance(layer, TemporalLayer)]
        readouts = any(isinstance(layer, Readout) for layer in self.layers)
        self._moves_steps: Final = any(layer._windowed for layer in temporal)
        self._over_time: Final = bool(
            self._recurrent or readouts or any(layer._over_time for layer in temporal)
        )
        self._starts_plain: Final = any(
            0 in read and isinstance(layer, (PlainLayer, Joint))
            for layer, read in zip(self.layers, wiring.sources, strict=True)
        )
        self.has_readout: Final = not any(wiring.by_step[output] for output in wiring.outputs)
        self._streams: Final = (
            not readouts
            and all(layer.is_causal for layer in self._recurrent)
            and all(layer._streams for layer in temporal)
        )
        self.is_causal: Final = self._streams and not self._moves_steps
        self._alone: Final = chain_of(wiring, self._evaluation_alone)

    def _evaluation_alone(self, place: int) -> Evaluation | None:
        """Return what evaluates a layer for one whole sequence (T, n); None if it has a state or no steps."""
        layer = self.layers[place]
        return layer._evaluate_alone if isinstance(layer, TemporalLayer) else None

    @property
    def parameters(self) -> Mapping[str, Array]:
        """Read-only views of all layers' parameters by name, as they are at one moment."""
        return Parameters(self._full_names(weights.arrays for weights in weights_of(self.layers)))

    @property
    def generators(self) -> tuple[np.random.Generator, ...]:
        """What draws in the layers' dropout."""
        return tuple(generator for layer in self.layers for generator in layer.generators)

    def _cast(self, dtype: np.dtype[Any]) -> Self:
        for layer in self.layers:
            layer._cast(dtype)
        return self

    @property
    def _is_whole(self) -> bool:
        return any(layer._is_whole for layer in self.layers)

    def _full_names(self, named: Iterable[Mapping[str, Array]]) -> dict[str, Array]:
        """Return what the layers have by name, by full names."""
        return full_names(self._wiring.names, named)

    def _replace(self, arrays: Mapping[str, Array]) -> None:
        changes, layers = by_layer(arrays), dict(zip(self._wiring.names, self.layers, strict=True))
        replace([layers[name] for name in changes], list(changes.values()))

    def lengths_after(self, lengths: ArrayLike) -> NDArray[np.int64]:
        """Return how many steps y has for sequences of `lengths` steps.

        Parameters
        ----------
        lengths : integer array

        Returns
        -------
        int64 array of the same shape

        Raises
        ------
        TypeError
            If `lengths` is something else.
        ValueError
            If the model has several outputs, or one after a readout.
        """
        given = as_integers(lengths, "lengths")
        if not self._moves_steps:
            return given
        if len(self._wiring.outputs) > 1 or self.has_readout:
            raise ValueError("lengths: expected a model with one output, which has steps, got another")
        values = [given]
        for layer, read in zip(self.layers, self._wiring.sources, strict=True):
            steps = values[read[0]]
            values.append(layer.lengths_after(steps) if isinstance(layer, TemporalLayer) else steps)
        return values[self._wiring.outputs[0]]

    # Passes

    def __call__(
        self, x: ArrayLike, *, lengths: ArrayLike | None = None, mask: ArrayLike | None = None
    ) -> Any:
        """Return y in evaluation, from the initial state. See `forward`."""
        if self._alone is not None and lengths is mask is None:
            rows = self._as_input(x, "x")
            if rows.ndim == 2 and rows.shape[1] == self.input_size:
                for evaluate, own in zip(self._alone, weights_of(self.layers), strict=True):
                    rows = evaluate(rows, own)
                return rows
        return self.run(x, lengths=lengths, mask=mask)[0]

    def run(
        self,
        x: ArrayLike,
        state: Sequence[Any] | None = None,
        *,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        weights: Mapping[str, ArrayLike] | None = None,
    ) -> tuple[Any, States]:
        """Return y and the final state in evaluation: no dropout, and nothing kept. See `forward`.

        With `weights`, by their names, some or all parameters are others in this pass: see `LSTM.run`.
        """
        own = weights_of(self.layers) if weights is None else self._borrowed(weights)
        outputs, final, _, _ = self._run(x, state, lengths, mask, own, training=False)
        return self._as_y([rows for rows, _ in outputs]), final

    def _borrowed(self, weights: Mapping[str, ArrayLike]) -> list[Weights]:
        """Return each layer's weights for a pass with some that are borrowed."""
        own = weights_of(self.layers)
        check_names(weights, "weights", self._full_names(layer.arrays for layer in own))
        given = by_layer(weights)
        return [
            borrowed(layer, given.get(name, {}), f"{name}.")
            for layer, name in zip(own, self._wiring.names, strict=True)
        ]

    def forward(
        self,
        x: ArrayLike,
        state: Sequence[Any] | None = None,
        *,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        drop: bool = True,
        weights: Mapping[str, ArrayLike] | None = None,
    ) -> tuple[Any, States, LayeredTape]:
        """Run in training, and keep what `LayeredTape.backward` needs.

        Parameters
        ----------
        x : array (T, B, I), or (B, T, I) with `batch_first`, or (T, I) for one sequence
            As the first layer takes it: for an `Embedding` indices, without I. A model that has no
            layer over time takes whatever its first layer takes.
        state : sequence, optional
            For each recurrent layer its initial state; None is zeros, or what the layer learned.
        lengths : integer array (B,), optional
            How many steps each sequence has, 0 to T, in any order. Layers that change them tell those after
            them: see `lengths_after`.
        mask : bool array (T, B), (B, T) with `batch_first`, or (T,), optional
            In the place of lengths: which steps each sequence has. Recurrent layers leave the others out, as
            `LSTM.forward` says, and so do readouts; layers that treat every step alike run over what the
            layer before repeats there.
        drop : bool, default True
            Whether anything is dropped: by `Dropout`, and by recurrent layers. Without, a `BatchNorm1d` runs
            as in evaluation.
        weights : mapping of str to array, optional
            What parameters are in this pass, as for `run`; the tape's gradients are those of these.

        Returns
        -------
        y : array
            The last layer's; of a `Graph` with several outputs a dict of arrays.
        state : tuple
            For each recurrent layer its final state.
        tape : LayeredTape
            Holds what the layers' tapes hold: leave `x` as it is until `backward`.

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above.
        """
        check_trains(self)
        dropping = as_boolean(drop, "drop")
        own = weights_of(self.layers) if weights is None else self._borrowed(weights)
        outputs, final, tapes, given = self._run(x, state, lengths, mask, own, training=True, drop=dropping)
        tape = LayeredTape(self, tapes, given, outputs)
        return self._as_y([rows for rows, _ in outputs]), final, tape

    def _run(
        self,
        x: ArrayLike,
        state: Sequence[Any] | None,
        lengths: ArrayLike | None,
        mask: ArrayLike | None,
        weights: list[Weights],
        training: bool,
        drop: bool = True,
    ) -> tuple[list[Value], States, list[AnyTape], Sequences | None]:
        """Return the outputs, final states, in training the layers' tapes, and where sequences lie in x."""
        given, wiring = self._as_input(x, "x"), self._wiring
        sequences = self._sequences(given.shape, lengths, mask)
        if sequences is not None and self._starts_plain:
            given = sequences.zero_unread(given)
        passing = Pass(self._states(state, sequences, "state"), mask, training, drop)
        values: list[Any] = [(given, sequences)]
        for layer, own, sources, released, directions in zip(
            self.layers, weights, wiring.sources, wiring.released, wiring.directions, strict=True
        ):
            read = [values[source] for source in sources]
            values.append(passing.through(layer, own, read, directions))
            for source in released:
                values[source] = None
        outputs = [_without_past(*values[output]) for output in wiring.outputs]
        return outputs, tuple(passing.final), passing.tapes, sequences

    def _as_y(self, outputs: Sequence[Any]) -> Any:
        """Return the outputs as the model gives them."""
        return outputs[0]

    def _from_y(self, dy: Any) -> list[Any]:
        """Return the gradient of what the model gives as that of each output."""
        return [dy]

    def _output_names(self, name: str) -> list[str]:
        """Return what the parts of an argument for each output are called in errors."""
        return [name]

    def _check_streams(self) -> None:
        """Raise ValueError unless the model can be fed its input as it comes."""
        if not self._streams:
            expected = "one that runs forward in time, without readout"
            raise ValueError(f"model: expected {expected}, got {self!r}")

    def _joined(self, states: States) -> States:
        return states

    def _parts(self, state: States) -> States:
        return state

    def _sequences(
        self, shape: tuple[int, ...], lengths: ArrayLike | None, mask: ArrayLike | None
    ) -> Sequences | None:
        """Return how sequences lie in an x of that shape; None where nothing runs over time."""
        if lengths is None and mask is None and not self._over_time:
            return None
        leading = shape if self.reads_indices else shape[:-1]
        if len(leading) not in (1, 2):
            axes, last = "B, T" if self.batch_first else "T, B", "" if self.reads_indices else ", I"
            raise ValueError(f"x: expected shape ({axes}{last}) or (T{last or ','}), got {shape}")
        return Sequences.of(leading, self.batch_first, lengths, mask)

    def stream(self, batch_size: int | None = None) -> LayeredStream:
        """Return a stream: the model fed one step at a time, its state carried along.

        Parameters
        ----------
        batch_size : int, optional
            Step n sequences together. None steps one sequence, frame by frame.

        Raises
        ------
        ValueError
            If a layer is bidirectional, a readout or a norm over time: they would need the steps that have
            not come yet.

        Examples
        --------
        >>> import fastlstm
        >>> model = fastlstm.Sequential(fastlstm.Embedding(10, 4, rng=0), fastlstm.LSTM(4, 8, rng=0))
        >>> stream = model.stream()
        >>> stream.step(7).shape
        (8,)
        """
        return LayeredStream(self, batch_size)

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
            layer._states(part, sequences, f"{argument}[{k}]")
        return state


class Pass:
    """A pass forward over layers: what it has of each when the next one's turn comes.

    Attributes
    ----------
    final : list
        For each recurrent layer its final state.
    tapes : list
        In training, each layer's tape.
    """

    def __init__(self, states: Sequence[Any], mask: ArrayLike | None, training: bool, drop: bool) -> None:
        self._states = iter(states)
        self._mask = mask
        self._training = training
        self._drop = drop
        self.final: list[Any] = []
        self.tapes: list[AnyTape] = []

    def through(
        self, layer: AnyLayer, own: Weights, given: list[Value], directions: Directions | None
    ) -> Value:
        """Return what a layer gives."""
        rows, sequences = given[0]
        tape: AnyTape | None = None
        if isinstance(layer, Recurrent):
            assert sequences is not None
            rows, last, tape = layer._run(
                rows, next(self._states), sequences.lengths, self._training, own, self._drop, self._mask
            )
            self.final.append(last)
        elif isinstance(layer, Readout):
            assert sequences is not None
            rows, tape = layer._forward(rows, sequences, directions or "forward", own)
            sequences = None
        elif isinstance(layer, Joint):
            rows, tape = layer._forward([value for value, _ in given])
        elif isinstance(layer, TemporalLayer):
            if self._training:
                run = layer._forward if self._drop else layer._forward_whole
                rows, sequences, tape = run(rows, sequences, own)
            else:
                rows, sequences = layer._evaluate(rows, sequences, own)
        elif self._training:
            rows, tape = (layer._forward if self._drop else layer._forward_whole)(rows, own)
        else:
            rows = layer._evaluate(rows, own)
        if self._training and tape is not None:
            self.tapes.append(tape)
        return rows, sequences


def _without_past(rows: NDArray[Any], sequences: Sequences | None) -> Value:
    """Return what a layer gives, with zeros past each sequence's end."""
    return (rows if sequences is None else sequences.zero_past_ends(rows)), sequences
