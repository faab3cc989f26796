"""Passes over tensors that own their memory: what the operators do on the CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ..._core import empty
from ...model.batch import Arrangement, Sequences
from ...model.checks import Array
from ...model.tape import Kept, Tape
from ...model.workspace import Slices
from .packed import Form, Packed, array_of, packed_of, tensor_of

Tensors = Sequence[torch.Tensor]


def forward(
    x: torch.Tensor,
    state: Tensors,
    weights: Tensors,
    batch_sizes: torch.Tensor | None,
    form: Form,
) -> list[torch.Tensor]:
    """Run in evaluation: return y and the final states."""
    packed = packed_of(form, weights)
    y, final, _ = packed.model._run_over(
        array_of(x), _sequences(x, batch_sizes), _state(packed, state), False, packed.weights
    )
    return _tensors((y, *packed.model._from_state(final, "state")), x.dtype)


def forward_kept(
    x: torch.Tensor,
    state: Tensors,
    weights: Tensors,
    batch_sizes: torch.Tensor | None,
    form: Form,
) -> list[torch.Tensor]:
    """Run in training: return y, the final states, and the memory that `backward` reads."""
    packed, sequences = packed_of(form, weights), _sequences(x, batch_sizes)
    model = packed.model
    memory = empty((packed.kept_columns, math.prod(x.shape[:-1])), model.dtype)
    y, final, tape = model._run_over(
        array_of(x),
        sequences,
        _state(packed, state),
        True,
        packed.weights,
        workspace=Slices(memory),
    )
    assert tape is not None
    assert tape._kept is not None
    if tape._kept.workspace.late:  # the pass went on in other memory
        memory = _copied(tape._kept, memory)
    return [*_tensors((y, *model._from_state(final, "state")), x.dtype), torch.from_numpy(memory)]


def backward(
    gradients: Tensors,
    x: torch.Tensor,
    state: Tensors,
    weights: Tensors,
    kept: torch.Tensor,
    batch_sizes: torch.Tensor | None,
    form: Form,
    input_gradient: bool,
    keep: bool,
) -> list[torch.Tensor]:
    """Return the gradients of x, of the states that were given, and of all weights.

    That of x has no numbers if it is not wanted. `kept` is overwritten, unless it is to be kept.
    """
    packed = packed_of(form, weights)
    tape = _tape(packed, x, _state(packed, state), _sequences(x, batch_sizes), kept)
    dy, *dstate = map(array_of, gradients)
    result = tape.backward(dy, _joined(dstate), input_gradient=input_gradient, keep=keep)
    dx = x.new_empty(0) if result.input is None else tensor_of(result.input, x.dtype)
    d_state = packed.model._from_state(result.state, "state")
    return [
        dx,
        *(tensor_of(array, part.dtype) for array, part in zip(d_state, state, strict=False)),
        *(
            tensor_of(result.parameters[name], weight.dtype)
            for name, weight in zip(packed.weights.arrays, weights, strict=True)
        ),
    ]


def _sequences(x: torch.Tensor, batch_sizes: torch.Tensor | None) -> Sequences:
    """Return the layout of x: (T, B, I), or (rows, I) of packed sequences."""
    if batch_sizes is not None:
        return Sequences.of_packed(batch_sizes.numpy())
    T, B, _ = x.shape
    return Sequences(T, B, False, False, None)


def _state(packed: Packed, state: Tensors) -> Any:
    """Return a state as the model has it; None for none."""
    return _joined([array_of(part) for part in state])


def _joined(state: Sequence[Array]) -> Any:
    return tuple(state) if len(state) > 1 else next(iter(state), None)


def _tensors(arrays: Sequence[Array], dtype: torch.dtype) -> list[torch.Tensor]:
    return [tensor_of(array, dtype) for array in arrays]


def _copied(kept: Kept, memory: Array) -> Array:
    """Return what a pass kept as it would have been in `memory`, which nobody may use again."""
    copy = empty(memory.shape, memory.dtype)
    slices = Slices(copy)
    for array in kept.in_order():
        rows, columns = array.shape
        slices.empty(rows, columns, array.dtype)[...] = array
    return copy


def _tape(
    packed: Packed, x: torch.Tensor, state: Any, sequences: Sequences, memory: torch.Tensor
) -> Tape[Any]:
    """Return the tape of the pass that kept `memory`."""
    model, arrangement, array = packed.model, Arrangement(sequences), array_of(x)
    start = [arrangement.sort(part) for part in model._states(state, sequences, "state")]
    kept = Kept(
        model,
        arrangement,
        model._layers(packed.weights),
        start,
        arrangement.rows(array, model.dtype),
        0.0,
        workspace=Slices(array_of(memory)),
    )
    kept.workspace = model._workspaces.take()
    return Tape(model, kept, array.dtype, [model.dtype] * len(start), ())
