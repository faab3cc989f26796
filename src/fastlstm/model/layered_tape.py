"""What a forward pass over several layers kept, and the backward pass over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .checks import Array, as_boolean, as_floats
from .gradients import Gradients
from .joint import JointTape
from .layer import LayerTape
from .tape import Tape

if TYPE_CHECKING:
    from .batch import Sequences
    from .layered import Layered, Value

AnyTape = Tape[Any] | LayerTape | JointTape
States = tuple[Any, ...]


class LayeredTape:
    """What one forward pass of several layers kept, for one backward pass, or for several with `keep`."""

    def __init__(
        self, model: Layered, tapes: list[AnyTape], given: Sequences | None, outputs: Sequence[Value]
    ) -> None:
        self._model = model
        self._tapes = tapes
        self._given = given
        self._outputs = [(rows.shape, sequences) for rows, sequences in outputs]

    def __repr__(self) -> str:
        kept = sum(tape.nbytes for tape in self._tapes if isinstance(tape, Tape))
        shapes = ", ".join(str(shape) for shape, _ in self._outputs)
        return f"<tape of {self._model!r}: y {shapes}, {kept:,} bytes kept by recurrent layers>"

    def backward(
        self,
        dy: Any = None,
        dstate: Sequence[Any] | None = None,
        *,
        input_gradient: bool = True,
        keep: bool = False,
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
            Whether the gradient of the input is calculated, too; a first layer that is recurrent saves time
            without.
        keep : bool, default False
            Whether the tape can be used again, as `Tape.backward` has it.

        Returns
        -------
        Gradients
            `input` (None for indices, or if it is not wanted), `state` (for each recurrent layer that of
            its initial state) and `parameters`.

        Raises
        ------
        RuntimeError
            If the tape was used before without `keep`, and there is a recurrent layer.
        ValueError, TypeError
            As `Layered.forward`; the tape can still be used then.
        """
        wanted = as_boolean(input_gradient, "input_gradient")
        again = as_boolean(keep, "keep")
        dstates = list(self._model._states(dstate, self._given, "dstate"))
        wiring = self._model._wiring
        d_values: dict[int, Array] = {}
        for output, gradient in zip(wiring.outputs, self._checked(dy), strict=True):
            _add(d_values, output, gradient)
        d_initial: list[Any] = []
        by_layer: list[Mapping[str, Array]] = []
        for place, tape in reversed(list(enumerate(self._tapes))):
            sources = wiring.sources[place]
            d_rows = d_values.pop(place + 1, None)
            if isinstance(tape, JointTape):
                inputs: Sequence[Array | None] = () if d_rows is None else tape.backward(d_rows)
                by_layer.insert(0, {})
            elif isinstance(tape, Tape):
                used = wanted or sources != (0,)
                gradients: Gradients[Any] = tape.backward(
                    d_rows, dstates.pop(), input_gradient=used, keep=again
                )
                d_initial.insert(0, gradients.state)
                inputs = (gradients.input,)
                by_layer.insert(0, gradients.parameters)
            else:
                gradients = tape.backward(d_rows)
                inputs = (gradients.input,)
                by_layer.insert(0, gradients.parameters)
            for source, d_input in zip(sources, inputs, strict=False):
                _add(d_values, source, d_input)
        d_x = d_values.get(0) if wanted else None
        return Gradients(d_x, tuple(d_initial), self._model._full_names(by_layer))

    def _checked(self, dy: Any) -> list[Array | None]:
        """Return the gradient of each output, zero past the ends of sequences; None where there is none."""
        checked: list[Array | None] = []
        for name, given, (shape, sequences) in zip(
            self._model._output_names("dy"), self._model._from_y(dy), self._outputs, strict=True
        ):
            if given is None:
                checked.append(None)
                continue
            gradient = as_floats(given, name, shape=shape)
            checked.append(gradient if sequences is None else sequences.zero_past_ends(gradient))
        return checked


def _add(values: dict[int, Array], place: int, gradient: Array | None) -> None:
    """Add a gradient to that of a value, if there is one."""
    if gradient is not None:
        values[place] = values[place] + gradient if place in values else gradient
