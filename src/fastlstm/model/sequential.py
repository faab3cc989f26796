"""Layers one after another, as one model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import SupportsIndex, overload

from .layered import Layered
from .wiring import AnyLayer, Wiring


class Sequential(Layered):
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
        As in the recurrent layers, which must all agree; False where there are none.
    input_size : int or None
        How many numbers each step of x has; None for indices, and where any number will do.
    num_embeddings : int or None
        What the indices in x are below, for an `Embedding`; None where x is floats.
    reads_indices : bool
        Whether x is integers, for an `Embedding`.
    has_readout : bool
        Whether y is a vector for each sequence rather than for each step.
    is_causal : bool
        Whether each step of y depends on the steps until then alone, so that the model can be streamed.

    Raises
    ------
    TypeError
        If something is no such layer.
    ValueError
        If a layer can't stand where it does.

    Notes
    -----
    With `lengths`, what stands past a sequence's end has no influence on anything, and y is zero there; nor
    has what stands at the masked steps of a `mask`. Readouts learn lengths or mask, layout and directions
    from the model.

    The layers remain layers of their own: to change one's parameters is to change the model's. A model
    runs with all its parameters as they were at one moment, even if another thread changes them.

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
    >>> len(model), model[-1], model[:2]
    (3, Linear(8, 10), Sequential(Embedding(10, 4), LSTM(4, 8)))
    """

    def __init__(self, *layers: AnyLayer) -> None:
        count = len(layers)
        super().__init__(Wiring(layers, [*map(str, range(count))], [(k,) for k in range(count)], [count]))

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[AnyLayer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, place: SupportsIndex) -> AnyLayer: ...
    @overload
    def __getitem__(self, place: slice) -> Sequential: ...
    def __getitem__(self, place: SupportsIndex | slice) -> AnyLayer | Sequential:
        """Return a layer, or for a slice a model of some of these very layers."""
        return Sequential(*self.layers[place]) if isinstance(place, slice) else self.layers[place]

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"

    def __reduce__(self) -> tuple[type[Sequential], tuple[AnyLayer, ...]]:
        return Sequential, self.layers
