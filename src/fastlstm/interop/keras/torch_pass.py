"""Passes of Keras's layers on the backend torch, with gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..torch.packed import array_of, tensor_of
from .passes import Make, on_arrays


class Pass(torch.autograd.Function):
    """y and the final states of a model; its inputs are x, so many states, and the weights."""

    @staticmethod
    def forward(ctx: Any, make: Make, mask: Tensor | None, states: int, *tensors: Tensor) -> Any:
        """Run, with a tape if anything wants gradients."""
        x, *others = map(array_of, tensors)
        ctx.training = any(ctx.needs_input_grad)
        results, ctx.tape = on_arrays(
            make,
            x,
            None if mask is None else mask.numpy(),
            others[:states],
            others[states:],
            ctx.training,
        )
        ctx.states, ctx.dtypes = states, [tensor.dtype for tensor in tensors]
        # A change of these before the way back is refused. A stateful layer changes its states: of them the
        # tape has copies.
        ctx.save_for_backward(tensors[0], *tensors[1 + states :])
        return tuple(tensor_of(array, tensors[0].dtype) for array in results)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Return the gradients of x, states and weights."""
        _ = ctx.saved_tensors  # PyTorch refuses these if they were changed, or the graph was used before
        dy, *dstate = map(array_of, gradients)
        states = [part[None] for part in dstate]
        again = torch._C._autograd._get_current_graph_task_keep_graph()
        result = ctx.tape.backward(dy, tuple(states) if len(states) > 1 else states[0], keep=again)
        parts = result.state if len(states) > 1 else [result.state]
        arrays = [result.input, *(part[0] for part in parts), *result.parameters.values()]
        found = (tensor_of(array, dtype) for array, dtype in zip(arrays, ctx.dtypes, strict=True))
        return None, None, None, *found
