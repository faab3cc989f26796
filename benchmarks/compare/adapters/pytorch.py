"""PyTorch, with ragged batches packed or padded, on the CPU or by cuDNN."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..cells import Cell
from ..inputs import Inputs
from ..libraries import Way


class Torch:
    packs = True
    device = "cpu"

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self._mode = ExitStack()

    def ways(self, cell: Cell, inputs: Inputs) -> dict[str, Way]:
        self._mode.close()
        module = _new_module(cell, inputs).train(cell.training).to(self.device)
        x, dy = (torch.from_numpy(array).to(self.device) for array in (inputs.x, inputs.dy))
        if cell.precision:
            module, x, dy = (given.to(torch.bfloat16) for given in (module, x, dy))
        if cell.training:
            lengths = torch.from_numpy(inputs.lengths) if cell.ragged and self.packs else None
            return {type(module).__name__: _training(module, x, dy, lengths)}
        self._mode.enter_context(torch.inference_mode())
        if cell.carried:
            ways = {cell.kind: _step(module, x)}
            by_step = _new_module_cell(cell, inputs).to(x)
            return ways | {f"{cell.kind}Cell": _step_cell(by_step, x[0])}
        return {cell.kind: Way(lambda: module(x)[0], lambda y: {"y": _read(y)})}


class Padded(Torch):
    """Runs every sequence of a ragged batch to the end of the longest."""

    packs = False


class Cuda(Torch):
    """On a GPU that has inputs and weights already; a call ends when the GPU has done it."""

    device = "cuda"

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        torch.backends.cudnn.allow_tf32 = False  # float32, as all others

    def ways(self, cell: Cell, inputs: Inputs) -> dict[str, Way]:
        return {name: _waited_for(way) for name, way in super().ways(cell, inputs).items()}


def _waited_for(way: Way) -> Way:
    def call():
        result = way.call()
        torch.cuda.synchronize()
        return result

    return replace(way, call=call)


def _read(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()


def _new_module(cell: Cell, inputs: Inputs) -> torch.nn.RNNBase:
    options = {"num_layers": cell.layers, "bidirectional": cell.directions == 2}
    if cell.kind == "LSTM":
        options["proj_size"] = cell.proj_size
    module = getattr(torch.nn, cell.kind)(cell.H, cell.H, **options)
    module.to(getattr(torch, cell.dtype))
    module.load_state_dict({name: torch.from_numpy(array) for name, array in inputs.parameters.items()})
    return module


def _new_module_cell(cell: Cell, inputs: Inputs) -> torch.nn.RNNCellBase:
    module = getattr(torch.nn, f"{cell.kind}Cell")(cell.H, cell.H)
    module.load_state_dict(
        {name.removesuffix("_l0"): torch.from_numpy(array) for name, array in inputs.parameters.items()}
    )
    return module


def _step(module: torch.nn.RNNBase, x: torch.Tensor) -> Way:
    state = None

    def step():
        nonlocal state
        y, state = module(x, state)
        return y

    return Way(step, lambda y: {"y": _read(y).reshape(1, 1, -1)})


def _step_cell(module: torch.nn.RNNCellBase, x: torch.Tensor) -> Way:
    """The same with a module for single steps, which returns h, or h and c."""
    state = None

    def step():
        nonlocal state
        state = module(x, state)
        return state if isinstance(state, torch.Tensor) else state[0]

    return Way(step, lambda y: {"y": _read(y).reshape(1, 1, -1)})


def _training(
    module: torch.nn.Module, x: torch.Tensor, dy: torch.Tensor, lengths: torch.Tensor | None
) -> Way:
    x = x.requires_grad_()
    names, parameters = zip(*module.named_parameters(), strict=True)

    def call():
        if lengths is None:
            y, _ = module(x)
        else:
            packed, _ = module(pack_padded_sequence(x, lengths, enforce_sorted=False))
            y, _ = pad_packed_sequence(packed, total_length=len(x))
        return y, torch.autograd.grad(y, (x, *parameters), dy)

    def arrays(result):
        y, gradients = result
        return {
            "y": _read(y),
            **{name: _read(gradient) for name, gradient in zip(("x", *names), gradients, strict=True)},
        }

    return Way(call, arrays)
