"""PyTorch, with ragged batches packed or padded."""

from __future__ import annotations

from contextlib import ExitStack

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..cells import Cell
from ..inputs import Inputs
from ..libraries import Way


class Torch:
    packs = True

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self._mode = ExitStack()

    def ways(self, cell: Cell, inputs: Inputs) -> dict[str, Way]:
        self._mode.close()
        module = _new_module(cell, inputs).train(cell.training)
        x = torch.from_numpy(inputs.x)
        if cell.training:
            lengths = torch.from_numpy(inputs.lengths) if cell.ragged and self.packs else None
            return {type(module).__name__: _training(module, x, torch.from_numpy(inputs.dy), lengths)}
        self._mode.enter_context(torch.inference_mode())
        if cell.carried:
            return {"LSTM": _step(module, x), "LSTMCell": _step(_new_module_cell(cell, inputs), x[0])}
        return {"LSTM": Way(lambda: module(x)[0], lambda y: {"y": y.numpy()})}


class Padded(Torch):
    """Runs every sequence of a ragged batch to the end of the longest."""

    packs = False


def _new_module(cell: Cell, inputs: Inputs) -> torch.nn.LSTM | torch.nn.RNN:
    options = {"num_layers": cell.layers, "bidirectional": cell.directions == 2}
    if cell.kind == "RNN":
        module = torch.nn.RNN(cell.H, cell.H, **options)
    else:
        module = torch.nn.LSTM(cell.H, cell.H, proj_size=cell.proj_size, **options)
    module.to(getattr(torch, cell.dtype))
    module.load_state_dict({name: torch.from_numpy(array) for name, array in inputs.parameters.items()})
    return module


def _new_module_cell(cell: Cell, inputs: Inputs) -> torch.nn.LSTMCell:
    module = torch.nn.LSTMCell(cell.H, cell.H)
    module.load_state_dict(
        {name.removesuffix("_l0"): torch.from_numpy(array) for name, array in inputs.parameters.items()}
    )
    return module


def _step(module: torch.nn.LSTM | torch.nn.LSTMCell, x: torch.Tensor) -> Way:
    state = None

    def step_lstm():
        nonlocal state
        y, state = module(x, state)
        return y

    def step_cell():
        nonlocal state
        state = module(x, state)
        return state[0]

    step = step_cell if isinstance(module, torch.nn.LSTMCell) else step_lstm
    return Way(step, lambda y: {"y": y.numpy().reshape(1, 1, -1)})


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
            "y": y.detach().numpy(),
            **{name: gradient.numpy() for name, gradient in zip(("x", *names), gradients, strict=True)},
        }

    return Way(call, arrays)
