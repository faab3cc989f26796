"""What all that runs over whole sequences has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .cells import one_of
from .checks import Array, as_floats, as_integers
from .parameters import Parameterised

if TYPE_CHECKING:
    from .recurrent import Recurrent


class Model(Parameterised):
    """Base of `LSTM`, `RNN` and `Sequential`: what can be trained, served and streamed.

    Attributes
    ----------
    batch_first : bool
        Whether batches are (B, T, I) rather than (T, B, I).
    input_size : int or None
        How many numbers each step of x has; None for indices, and where any number will do.
    num_embeddings : int or None
        What the indices in x are below; None where x is floats.
    reads_indices : bool
        Whether x is integers, for an `Embedding`.
    has_readout : bool
        Whether y is a vector for each sequence rather than for each step.
    is_causal : bool
        Whether each step of y depends on the steps until then alone, and `state` has all that it needs of
        those: without readout, reverse direction or windows over several steps.

    Examples
    --------
    >>> import fastlstm
    >>> from fastlstm.model import Model
    >>> model: Model = fastlstm.Sequential(fastlstm.LSTM(3, 5, rng=0), fastlstm.LastStep())
    >>> model.input_size, model.has_readout, model.is_causal
    (3, True, False)
    """

    if TYPE_CHECKING:
        # Plain attributes of the subclasses, so that reading them costs nothing.
        @property
        def batch_first(self) -> bool: ...  # noqa: D102
        @property
        def input_size(self) -> int | None: ...  # noqa: D102
        @property
        def num_embeddings(self) -> int | None: ...  # noqa: D102
        @property
        def reads_indices(self) -> bool: ...  # noqa: D102
        @property
        def has_readout(self) -> bool: ...  # noqa: D102
        @property
        def is_causal(self) -> bool: ...  # noqa: D102
        @property
        def _recurrent(self) -> Sequence[Recurrent[Any]]: ...  # the layers that have a state

    _fixed = Parameterised._fixed | {
        "batch_first",
        "input_size",
        "num_embeddings",
        "reads_indices",
        "has_readout",
        "is_causal",
    }
    _one_output = True
    """Whether y is an array, rather than a dict of them."""
    _causal = "one that runs forward in time"
    """What a model is expected to be that can be cut between any two steps."""

    def run(
        self,
        x: ArrayLike,
        state: Any = None,
        *,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        weights: Mapping[str, ArrayLike] | None = None,
    ) -> tuple[Array, Any]:
        """Return y and the final state in evaluation: no dropout, and nothing kept. See `forward`."""
        raise NotImplementedError

    def forward(
        self,
        x: ArrayLike,
        state: Any = None,
        *,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        drop: bool = True,
        weights: Mapping[str, ArrayLike] | None = None,
    ) -> tuple[Array, Any, Any]:
        """Return y and the final state in training, without dropout if asked, and a tape to go back over."""
        raise NotImplementedError

    def lengths_after(self, lengths: ArrayLike) -> NDArray[np.int64]:
        """Return how many steps y has for sequences of `lengths` steps."""
        return as_integers(lengths, "lengths")

    def stream(self, batch_size: int | None = None) -> Any:
        """Return a stream: the model fed one step at a time, its state carried along."""
        raise NotImplementedError

    def _joined(self, states: tuple[Any, ...]) -> Any:
        """Return the state of the model, from those of its recurrent layers."""
        raise NotImplementedError

    def _parts(self, state: Any) -> Any:
        """Return a state of the model as one for each recurrent layer; what it is has not been checked."""
        raise NotImplementedError

    def _as_input(self, x: ArrayLike, name: str) -> NDArray[Any]:
        """Return what the model reads: indices or floats."""
        return as_integers(x, name) if self.reads_indices else as_floats(x, name)

    def _check_causal(self) -> None:
        """Raise ValueError unless the model can be cut between any two steps, its state led on."""
        if not self.is_causal:
            raise ValueError(f"model: expected {self._causal}, got {self!r}")


def check_model(model: object) -> None:
    """Raise TypeError unless `model` can be trained and asked for outputs."""
    if not isinstance(model, Model):
        raise TypeError(f"model: expected {one_of('Sequential')}, got {type(model).__name__}")
    check_one_output(model)


def check_one_output(model: Model) -> None:
    """Raise ValueError if a model gives a dict of arrays."""
    if not model._one_output:
        raise ValueError(f"model: expected one with one output, got {model!r}")
