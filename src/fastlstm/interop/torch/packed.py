"""Models that run with the weights of tensors, which are packed once for as long as they stay the same."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..._core import cells
from ...model.cells import CELLS, Cell
from ...model.checks import Array
from ...model.gru import GRU
from ...model.lstm import LSTM
from ...model.recurrent import Recurrent
from ...model.rnn import RNN
from ...model.tape import Place
from ..lent import lent, without_weights

CELL_OF = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "tanh", "RNN_RELU": "relu"}
"""Our name of the cell of each of PyTorch's modes."""

VIEWED = frozenset((torch.float32, torch.float64))
"""What we calculate in; shorter floats are cast to float32."""

BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""By the bytes of a number: as what its bits can be read."""

COMPARED_WHOLE = 4096
"""A weight of so many numbers or fewer is compared whole at each pass."""

SAMPLE = 8
"""Of larger ones, as many rows and columns."""


class Form(NamedTuple):
    """What a recurrent module is, beyond the sizes that its weights tell."""

    mode: str
    num_layers: int
    bias: bool
    bidirectional: bool

    @property
    def cell(self) -> Cell:
        """What is known of the cell."""
        return CELLS[CELL_OF[self.mode]]

    @property
    def directions(self) -> int:
        """In how many directions each layer runs."""
        return 2 if self.bidirectional else 1

    def weights_of_place(self, projects: bool) -> tuple[str, ...]:
        """Return the short names of the weights of a direction, in PyTorch's order."""
        biases = ("bias_ih", "bias_hh") if self.bias else ()
        return ("weight_ih", "weight_hh", *biases, *(("weight_hr",) if projects else ()))

    def names(self, count: int) -> list[str]:
        """Return the names of all weights in PyTorch's order, of which there are so many."""
        places = self.num_layers * self.directions
        each = self.weights_of_place(projects=count > places * len(self.weights_of_place(False)))
        return [
            Place(layer, direction).name(short)
            for layer in range(self.num_layers)
            for direction in range(self.directions)
            for short in each
        ]

    def hidden_size(self, weights: Sequence[torch.Tensor]) -> int:
        """Return H."""
        return weights[0].shape[0] // self.cell.weight_rows

    def kept_columns(self, weights: Sequence[torch.Tensor]) -> int:
        """Return how many numbers of each row a training pass keeps: outputs, gates and c."""
        known, H = cells()[self.cell.name], self.hidden_size(weights)
        gates = max(known["kept"], known["chains"]) if self.cell.gates else 0
        each = weights[1].shape[1] + (gates + known["states"] - 1) * H
        return self.num_layers * self.directions * each


def array_of(tensor: torch.Tensor) -> Array:
    """Return a tensor's numbers: a view of float32 and float64, a float32 copy of shorter floats."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    array: Array = (tensor if tensor.dtype in VIEWED else tensor.float()).numpy()
    return array


def tensor_of(array: Array, dtype: torch.dtype) -> torch.Tensor:
    """Return an array as a tensor of that dtype, in the same memory where it has that dtype already."""
    tensor = torch.from_numpy(array)
    return tensor if tensor.dtype is dtype else tensor.to(dtype)


@lru_cache(maxsize=256)
def _model(form: Form, shapes: tuple[torch.Size, ...], dtype: np.dtype[Any]) -> Recurrent[Any]:
    """Return a model of that form and with parameters of these shapes."""
    named = dict(zip(form.names(len(shapes)), shapes, strict=True))
    (rows, input_size), (_, output_size) = shapes[:2]
    hidden_size = rows // form.cell.weight_rows
    shared: dict[str, Any] = {
        "num_layers": form.num_layers,
        "bias": form.bias,
        "bidirectional": form.bidirectional,
        "dtype": dtype,
    }
    make: Callable[..., Recurrent[Any]]
    if form.mode == "LSTM":
        make = partial(LSTM, proj_size=output_size if "weight_hr_l0" in named else 0)
    elif form.mode == "GRU":
        make = GRU
    else:
        make = partial(RNN, nonlinearity=form.cell.name)
    return without_weights(lambda: make(input_size, hidden_size, **shared), named, dtype)


class _Seen:
    """A tensor as it was when it was packed.

    PyTorch counts the changes of a tensor in place, but not those through `.data` or an array that shares its
    memory. Of a small tensor these are noticed whatever they change; of a large one, whose comparison would
    take longer than a step, if they change one of a few numbers, as all do that give it new weights.
    """

    __slots__ = ("_address", "_few", "_few_bits", "_held", "_stride", "_version")

    def __init__(self, tensor: torch.Tensor) -> None:
        # Held, so that no other tensor can come to lie where this one lay.
        self._held = tensor.detach()
        self._address, self._stride = tensor.data_ptr(), tensor.stride()
        self._version = -1 if _changes_unseen(tensor) else tensor._version
        bits: NDArray[Any] = self._held.view(BITS[tensor.element_size()]).numpy()
        whole = bits.size <= COMPARED_WHOLE
        self._few = bits[tuple(slice(None, None, 1 if whole else -(-size // SAMPLE)) for size in bits.shape)]
        self._few_bits = self._few.tobytes()

    def is_still(self, tensor: torch.Tensor) -> bool:
        """Return whether `tensor` is that one, and unchanged."""
        return (
            self._version >= 0
            and tensor.data_ptr() == self._address
            and tensor._version == self._version
            and tensor.stride() == self._stride
            and self._few.tobytes() == self._few_bits
        )


def _changes_unseen(tensor: torch.Tensor) -> bool:
    """Return whether a tensor changes without being counted: one of inference mode, or of many processes."""
    return tensor.is_inference() or tensor.is_shared()


class Packed:
    """A model, and the weights of some tensors, packed.

    Attributes
    ----------
    model : Recurrent
    weights : Weights
        Views of the tensors by the names of the model's parameters.
    kept_columns : int
        How many numbers of each row a training pass keeps.
    """

    def __init__(self, form: Form, tensors: Sequence[torch.Tensor]) -> None:
        arrays = [array_of(tensor) for tensor in tensors]
        self.model = _model(form, tuple(tensor.shape for tensor in tensors), arrays[0].dtype)
        self.weights = lent(dict(zip(form.names(len(arrays)), arrays, strict=True)))
        self.kept_columns = form.kept_columns(tensors)
        self._form = form
        self._seen = [_Seen(tensor) for tensor in tensors]

    def is_still(self, form: Form, tensors: Sequence[torch.Tensor]) -> bool:
        """Return whether it is packed of these tensors, as they are now."""
        return (
            form == self._form
            and len(tensors) == len(self._seen)
            and all(seen.is_still(tensor) for seen, tensor in zip(self._seen, tensors, strict=True))
        )


_packed: dict[int, tuple[weakref.ref[torch.Tensor], Packed]] = {}
"""What was packed last, by the id of the first of its tensors, for as long as that lives."""


def packed_of(form: Form, tensors: Sequence[torch.Tensor]) -> Packed:
    """Return tensors as the packed weights of a model: those of the last pass, if they are still the same."""
    first, key = tensors[0], id(tensors[0])
    held, last = _packed.get(key, (None, None))
    if held is not None and held() is first and last is not None and last.is_still(form, tensors):
        return last
    packed = Packed(form, tensors)
    _packed[key] = (weakref.ref(first, lambda gone: _forget(key, gone)), packed)
    return packed


def _forget(key: int, gone: weakref.ref[torch.Tensor]) -> None:
    held = _packed.get(key)
    if held is not None and held[0] is gone:
        _packed.pop(key, None)
