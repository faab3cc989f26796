"""What a model is made of, layer by layer: shapes, parameters, work and bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .tables import as_html, as_text

if TYPE_CHECKING:
    from .layered import Layered
    from .parameters import Parameterised

LONGEST = 60
"""How many characters of a layer a row shows."""
HEADS = ("", "layer", "output", "parameters", "multiply-adds a step", "bytes")


@dataclass(frozen=True)
class LayerSummary:
    """One layer of a model.

    Attributes
    ----------
    name : str
        What stands before the names of its parameters.
    layer : str
        As it shows itself.
    output : str
        The shape of what it gives: T steps of B sequences. T' are those that a window leaves of T.
    parameters : int
        How many numbers it has.
    multiply_adds : int
        How many its products with matrices take for each step that it reads of one sequence; what is done
        number by number, such as gates and norms, is not counted.
    nbytes : int
        Of its parameters.
    """

    name: str
    layer: str
    output: str
    parameters: int
    multiply_adds: int
    nbytes: int

    def _cells(self) -> tuple[str, ...]:
        counts = (self.parameters, self.multiply_adds, self.nbytes)
        return self.name, _cut(self.layer), self.output, *(f"{count:,}" for count in counts)


@dataclass(frozen=True)
class Summary:
    """What a model is made of; `model.summary()` makes it. It prints as a table, in notebooks too.

    Attributes
    ----------
    layers : tuple of LayerSummary
    parameters, multiply_adds, nbytes : int
        Of all layers.

    Examples
    --------
    >>> import fastlstm
    >>> model = fastlstm.Sequential(fastlstm.LSTM(3, 5, rng=0), fastlstm.LastStep(), fastlstm.Linear(5, 2))
    >>> model.summary()
       layer         output     parameters  multiply-adds a step  bytes
    0  LSTM(3, 5)    (T, B, 5)         200                   160    800
    1  LastStep()    (B, 5)              0                     0      0
    2  Linear(5, 2)  (B, 2)             12                    10     48
       in all                          212                   170    848
    >>> model.summary().parameters
    212
    """

    layers: tuple[LayerSummary, ...]

    @property
    def parameters(self) -> int:
        """How many numbers all layers have."""
        return sum(row.parameters for row in self.layers)

    @property
    def multiply_adds(self) -> int:
        """How many multiply-adds all layers take, each for one step that it reads."""
        return sum(row.multiply_adds for row in self.layers)

    @property
    def nbytes(self) -> int:
        """The bytes of all parameters."""
        return sum(row.nbytes for row in self.layers)

    def _rows(self) -> list[tuple[str, ...]]:
        counts = (self.parameters, self.multiply_adds, self.nbytes)
        total = ("", "in all", "", *(f"{count:,}" for count in counts))
        return [*(row._cells() for row in self.layers), *([total] if len(self.layers) > 1 else [])]

    def __repr__(self) -> str:
        return as_text(HEADS, self._rows(), left=3)

    def _repr_html_(self) -> str:
        return as_html(HEADS, self._rows(), left=3)


def summary(model: Parameterised) -> Summary:
    """Return what a model is made of. See `Parameterised.summary`."""
    layered: Any = model
    if not hasattr(model, "_wiring"):
        return Summary((_summary("", model, _output(model)),))
    return Summary(tuple(map(_summary, layered._wiring.names, layered.layers, _outputs(layered))))


def _summary(name: str, layer: Parameterised, output: str) -> LayerSummary:
    arrays = layer.parameters.values()
    return LayerSummary(
        name,
        repr(layer),
        output,
        layer.num_parameters,
        layer._multiply_adds,
        sum(array.nbytes for array in arrays),
    )


def _output(layer: Any) -> str:
    """Return the shape of what a layer by itself gives."""
    size = layer._gives or layer._reads
    return _shape(layer._axes, 1 if layer._leaves_fewer else 0, size, getattr(layer, "batch_first", False))


def _outputs(model: Layered) -> list[str]:
    """Return the shapes of what each layer of a model gives."""
    wiring = model._wiring
    shapes, windows = [], [0]
    for k, (layer, read) in enumerate(zip(model.layers, wiring.sources, strict=True), start=1):
        windows.append(max(windows[source] for source in read) + layer._leaves_fewer)
        axes = "B" if not wiring.by_step[k] else "TB" if model._over_time else "..."
        shapes.append(_shape(axes, windows[k], wiring.sizes[k], model.batch_first))
    return shapes


def _shape(axes: str, windows: int, size: int | None, batch_first: bool) -> str:
    """Return a shape with `size` numbers on the last axis, after so many windows over the steps."""
    steps = "T" + "'" * windows
    of_steps = f"B, {steps}" if batch_first else f"{steps}, B"
    return f"({of_steps if axes == 'TB' else axes}, {size or 'n'})"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."
