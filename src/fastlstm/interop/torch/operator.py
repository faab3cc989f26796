"""The operators of `torch.ops.fastlstm`: on the CPU, for shapes alone, with derivatives, and mapped.

`recurrent` is the one that modules call. Where gradients are wanted, it becomes `recurrent_kept`, whose last
result is what the pass keeps, and later `recurrent_backward`. All three are functions of tensors, so that
`torch.compile`, `torch.export` and `torch.vmap` can put them into graphs of theirs.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from . import passes
from .packed import Form

_ARGUMENTS = (
    "Tensor x, Tensor[] state, Tensor[] weights, Tensor? batch_sizes, "
    "str mode, int num_layers, bool bias, bool bidirectional"
)
_LIBRARY = torch.library.Library("fastlstm", "DEF")
_LIBRARY.define(f"recurrent({_ARGUMENTS}) -> Tensor[]")
_LIBRARY.define(f"recurrent_kept({_ARGUMENTS}) -> Tensor[]")
_LIBRARY.define(
    "recurrent_backward(Tensor[] gradients, Tensor x, Tensor[] state, Tensor[] weights, Tensor kept, "
    "Tensor? batch_sizes, str mode, int num_layers, bool bias, bool bidirectional, "
    "bool input_gradient, bool keep) -> Tensor[]"
)

_recurrent = torch.ops.fastlstm.recurrent.default
_recurrent_kept = torch.ops.fastlstm.recurrent_kept.default
_recurrent_backward = torch.ops.fastlstm.recurrent_backward.default


def recurrent(
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    batch_sizes: Tensor | None,
    form: Form,
) -> list[Tensor]:
    """Run a recurrent module: return y, h_n and, for an LSTM, c_n.

    Parameters
    ----------
    x : tensor (T, B, I), or (rows, I) of a `PackedSequence`
    state : tensors (layers·D, B, P) and, for an LSTM, (layers·D, B, H)
        Or none for zeros, if x is not packed.
    weights : tensors
        As `torch.nn.LSTM` has them, in its order.
    batch_sizes : int64 tensor (T,) or None
        Of a `PackedSequence`.
    form : Form
    """
    if _is_differentiated() and _needs_gradients(x, state, weights):
        return _with_gradients(x, state, weights, batch_sizes, form)
    if is_watched(x):
        results: list[Tensor] = _recurrent(x, state, weights, batch_sizes, *form)
        return results
    if _needs_gradients(x, state, weights):
        return _with_gradients(x, state, weights, batch_sizes, form)
    return passes.forward(x, state, weights, batch_sizes, form)


_is_compiling = torch.compiler.is_compiling
_modes = torch._C._len_torch_dispatch_stack
_is_transformed = torch._C._are_functorch_transforms_active
_tracing_state = torch._C._get_tracing_state


def is_watched(x: Tensor) -> bool:
    """Return whether somebody follows the operators: a compiler, a tracer, a transform of `torch.func`.

    Where nobody does, a pass goes without the dispatcher, which takes longer than a step of a small model.
    """
    return (
        _is_compiling()
        or type(x) is not Tensor
        or not x.is_cpu
        or _modes() > 0
        or _is_transformed()
        or _tracing_state() is not None
    )


def _is_differentiated() -> bool:
    """Return whether a transform of `torch.func` takes derivatives: it wants to see the `Function` itself."""
    if torch.compiler.is_compiling() or not torch._C._are_functorch_transforms_active():
        return False
    transforms = torch._C._functorch.get_interpreter_stack() or ()
    return any(transform.key() != torch._C._functorch.TransformType.Vmap for transform in transforms)


def _needs_gradients(x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (*weights, x, *state))


# On the CPU


def _on_cpu(
    run: Callable[..., list[Tensor]],
) -> Callable[..., list[Tensor]]:
    def kernel(
        x: Tensor, state: list[Tensor], weights: list[Tensor], batch_sizes: Tensor | None, *form: Any
    ) -> list[Tensor]:
        return run(x, state, weights, batch_sizes, Form(*form))

    return kernel


def _backward_on_cpu(
    gradients: list[Tensor],
    x: Tensor,
    state: list[Tensor],
    weights: list[Tensor],
    kept: Tensor,
    batch_sizes: Tensor | None,
    *others: Any,
) -> list[Tensor]:
    *form, input_gradient, keep = others
    return passes.backward(gradients, x, state, weights, kept, batch_sizes, Form(*form), input_gradient, keep)


_LIBRARY.impl("recurrent", _on_cpu(passes.forward), "CPU")
_LIBRARY.impl("recurrent_kept", _on_cpu(passes.forward_kept), "CPU")
_LIBRARY.impl("recurrent_backward", _backward_on_cpu, "CPU")


# For shapes alone


@torch.library.register_fake("fastlstm::recurrent", lib=_LIBRARY)
def _shapes(
    x: Tensor, state: list[Tensor], weights: list[Tensor], batch_sizes: Tensor | None, *form: Any
) -> list[Tensor]:
    told = Form(*form)
    H, P = told.hidden_size(weights), weights[1].shape[1]
    B = x.shape[1] if batch_sizes is None else state[0].shape[1]
    places = told.num_layers * told.directions
    columns = [P, H][: len(told.cell.states)]
    states = [x.new_empty((places, B, size)) for size in columns]
    return [x.new_empty((*x.shape[:-1], told.directions * P)), *states]


@torch.library.register_fake("fastlstm::recurrent_kept", lib=_LIBRARY)
def _shapes_kept(
    x: Tensor, state: list[Tensor], weights: list[Tensor], batch_sizes: Tensor | None, *form: Any
) -> list[Tensor]:
    rows = math.prod(x.shape[:-1])
    dtype = torch.float64 if weights[0].dtype == torch.float64 else torch.float32
    kept = x.new_empty((Form(*form).kept_columns(weights), rows), dtype=dtype)
    return [*_shapes(x, state, weights, batch_sizes, *form), kept]


@torch.library.register_fake("fastlstm::recurrent_backward", lib=_LIBRARY)
def _shapes_backward(
    gradients: list[Tensor],
    x: Tensor,
    state: list[Tensor],
    weights: list[Tensor],
    kept: Tensor,
    batch_sizes: Tensor | None,
    *others: Any,
) -> list[Tensor]:
    dx = x.new_empty(x.shape if others[-2] else (0,))
    return [dx, *(other.new_empty(other.shape) for other in (*state, *weights))]


# With derivatives


class _Pass(torch.autograd.Function):
    """A pass, and its gradients. The last result is what the pass keeps, which is no number of anybody's."""

    generate_vmap_rule = True

    @staticmethod
    def forward(batch_sizes: Tensor | None, states: int, form: Form, *tensors: Tensor) -> Any:
        x, state, weights = _parted(tensors, states)
        if not is_watched(x):
            return tuple(passes.forward_kept(x, state, weights, batch_sizes, form))
        with torch._C._AutoDispatchBelowAutograd():
            return tuple(_recurrent_kept(x, state, weights, batch_sizes, *form))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.batch_sizes, ctx.states, ctx.form, *tensors = inputs
        ctx.mark_non_differentiable(output[-1])
        ctx.save_for_backward(output[-1], *tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        kept, *tensors = ctx.saved_tensors
        if torch.is_grad_enabled() and not torch._C._are_functorch_transforms_active():
            return None, None, None, *_differentiable(ctx, tensors, gradients[:-1])
        wanted = ctx.needs_input_grad[3]
        x, state, weights = _parted(tensors, ctx.states)
        given = gradients[:-1], x, state, weights, kept, ctx.batch_sizes
        if is_watched(kept):
            results = _recurrent_backward(*given, *ctx.form, wanted, True)
        else:
            again = torch._C._autograd._get_current_graph_task_keep_graph()
            results = passes.backward(*given, ctx.form, wanted, again)
        return None, None, None, results[0] if wanted else None, *results[1:]


def _parted(tensors: Sequence[Tensor], states: int) -> tuple[Tensor, Sequence[Tensor], Sequence[Tensor]]:
    """Return x, the states, of which there are so many, and the weights."""
    return tensors[0], tensors[1 : 1 + states], tensors[1 + states :]


def _with_gradients(
    x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor], batch_sizes: Tensor | None, form: Form
) -> list[Tensor]:
    # Without such a transform `_Pass.apply` comes to this, after it has looked at signatures for a while.
    apply = _Pass.apply if _is_differentiated() else super(torch.autograd.Function, _Pass).apply
    return list(apply(batch_sizes, len(state), form, x, *state, *weights)[:-1])


def _differentiable(ctx: Any, tensors: list[Tensor], gradients: Sequence[Tensor]) -> list[Tensor | None]:
    """Return the gradients so that they have derivatives themselves: PyTorch's own, from its own pass."""
    outputs = _by_pytorch(*_parted(tensors, ctx.states), ctx.batch_sizes, ctx.form)
    wanted = [tensor for tensor, needed in zip(tensors, ctx.needs_input_grad[3:], strict=True) if needed]
    found = iter(torch.autograd.grad(outputs, wanted, gradients, create_graph=True, allow_unused=True))
    return [next(found) if needed else None for needed in ctx.needs_input_grad[3:]]


def _by_pytorch(
    x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor], batch_sizes: Tensor | None, form: Form
) -> tuple[Tensor, ...]:
    """Return what `recurrent` does, by PyTorch's operators, whose gradients have derivatives."""
    if not state:
        columns = [weights[1].shape[1], form.hidden_size(weights)][: len(form.cell.states)]
        places = form.num_layers * form.directions
        state = [x.new_zeros((places, x.shape[1], size)) for size in columns]
    run = getattr(torch, form.mode.lower())
    hx = tuple(state) if len(state) > 1 else state[0]
    told = (form.bias, form.num_layers, 0.0, False, form.bidirectional)
    with _without_onednn() if form.mode == "LSTM" else nullcontext():
        if batch_sizes is None:
            results = run(x, hx, list(weights), *told, False)
        else:
            results = run(x, batch_sizes, hx, list(weights), *told)
    return tuple(results)


@contextmanager
def _without_onednn() -> Iterator[None]:
    """Have PyTorch use its own passes of an LSTM: oneDNN's have no second derivatives."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="TF32 acceleration")
        with torch.backends.mkldnn.flags(enabled=False):
            yield


def _with_derivatives(
    x: Tensor, state: list[Tensor], weights: list[Tensor], batch_sizes: Tensor | None, *form: Any
) -> list[Tensor]:
    if _needs_gradients(x, state, weights):
        return _with_gradients(x, state, weights, batch_sizes, Form(*form))
    with torch._C._AutoDispatchBelowAutograd():
        results: list[Tensor] = _recurrent(x, state, weights, batch_sizes, *form)
    return results


_LIBRARY.impl("recurrent", _with_derivatives, "Autograd")


# Mapped over a batch, by torch.vmap


@torch.library.register_vmap("fastlstm::recurrent", lib=_LIBRARY)
def _mapped(
    info: Any,
    in_dims: tuple[Any, ...],
    x: Tensor,
    state: list[Tensor],
    weights: list[Tensor],
    batch_sizes: Tensor | None,
    *form: Any,
) -> tuple[list[Tensor], list[int]]:
    """Run sequences of all places as one batch, where they share their weights."""
    x_dim, state_dims, weight_dims, sizes_dim, *_ = in_dims
    shared = all(dim is None for dim in (*weight_dims, sizes_dim))
    if not shared or batch_sizes is not None:
        return _one_by_one(_recurrent)(info, in_dims, x, state, weights, batch_sizes, *form)
    places = info.batch_size

    def folded(tensor: Tensor, dim: int | None) -> Tensor:
        """Return a tensor (n, B, ...) of each place as one, (n, places·B, ...)."""
        shape = (*tensor.shape[:1], places, *tensor.shape[1:])
        whole = tensor.unsqueeze(1).expand(shape) if dim is None else tensor.movedim(dim, 1)
        return whole.flatten(1, 2)

    states = [folded(part, dim) for part, dim in zip(state, state_dims, strict=True)]
    results = _recurrent(folded(x, x_dim), states, weights, None, *form)
    return [result.unflatten(1, (places, -1)) for result in results], [1] * len(results)


def _one_by_one(operator: Callable[..., list[Tensor]]) -> Callable[..., tuple[list[Tensor], list[int]]]:
    """Return a rule that runs an operator for each place and stacks the results."""

    def rule(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[list[Tensor], list[int]]:
        def of_place(argument: Any, dim: Any, place: int) -> Any:
            if isinstance(argument, (list, tuple)):
                return [of_place(part, d, place) for part, d in zip(argument, dim, strict=True)]
            return argument if dim is None else argument.select(dim, place)

        results = [
            operator(*(of_place(a, d, place) for a, d in zip(arguments, in_dims, strict=True)))
            for place in range(info.batch_size)
        ]
        return [torch.stack(parts) for parts in zip(*results, strict=True)], [0] * len(results[0])

    return rule


torch.library.register_vmap("fastlstm::recurrent_kept", _one_by_one(_recurrent_kept), lib=_LIBRARY)
torch.library.register_vmap("fastlstm::recurrent_backward", _one_by_one(_recurrent_backward), lib=_LIBRARY)
