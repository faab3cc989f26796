"""`torch.nn.LSTM`, `GRU` and `RNN` with our passes: all but `forward` is PyTorch's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from .operator import is_watched, recurrent
from .packed import VIEWED, Form

Device = torch.device | str | int | None

FEWEST_STEPS = {"LSTM": 1, "GRU": 3, "RNN_TANH": 5, "RNN_RELU": 5}
"""From how many steps on training is ours: for fewer PyTorch's pass is faster, as it prepares less."""


class _OnCPU(torch.nn.RNNBase):
    """What the three modules share: `forward`."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Run over tensors or a `PackedSequence`, as PyTorch's module does."""
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(f"{self._name}: Expected input to be 2D or 3D, got {input.dim()}D instead")
        batched = input.dim() == 3
        fewest = FEWEST_STEPS[self.mode]
        if (
            fewest > 1
            and input.shape[1 if batched and self.batch_first else 0] < fewest
            and self._trains_plainly(input, hx)
        ):
            return self._theirs.forward(self, input, hx)
        if not batched:
            input = input.unsqueeze(0 if self.batch_first else 1)
            hx = self._checked_depth(hx, 2, "unbatched 2-D")
        else:
            hx = self._checked_depth(hx, 3, "batched 3-D")
        state = [] if hx is None else [part if batched else part.unsqueeze(1) for part in hx]
        self._check(input, state, None)
        y, *states = self._run(input.transpose(0, 1) if self.batch_first else input, state, None)
        if not batched:
            return y.squeeze(1), self._as_hx([part.squeeze(1) for part in states])
        return y.transpose(0, 1) if self.batch_first else y, self._as_hx(states)

    def _trains_plainly(self, input: Tensor, hx: Any) -> bool:
        """Return whether gradients are wanted, and of nothing that PyTorch's module would do otherwise."""
        own: dict[str, Any] = self._parameters
        return (
            not is_watched(input)
            and torch.is_grad_enabled()
            and input.dtype in VIEWED
            and len(own) == len(self._flat_weights_names)
            and (
                own["weight_ih_l0"].requires_grad  # as a rule; to ask for all takes microseconds
                or any(part.requires_grad for part in (input, *self._weights(), *_tensors(hx)))
            )
        )

    def _forward_packed(self, input: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        x, batch_sizes, sorted_indices, unsorted_indices = input
        if hx is None:
            places = self.num_layers * (2 if self.bidirectional else 1)
            sizes = (self.proj_size or self.hidden_size, self.hidden_size)[: self._states]
            state = [x.new_zeros((places, int(batch_sizes[0]), size)) for size in sizes]
        else:
            state = list(self._parts(self.permute_hidden(hx, sorted_indices)))
        self._check(x, state, batch_sizes)
        y, *states = self._run(x, state, batch_sizes)
        packed = PackedSequence(y, batch_sizes, sorted_indices, unsorted_indices)
        return packed, self.permute_hidden(self._as_hx(states), unsorted_indices)

    def _run(self, x: Tensor, state: list[Tensor], batch_sizes: Tensor | None) -> list[Tensor]:
        """Return y and the states of a batch that goes first by time."""
        weights = self._weights()
        if self.training and self.dropout and self.num_layers > 1:
            return self._run_dropping(x, state, weights, batch_sizes)
        form = Form(self.mode, self.num_layers, self.bias, self.bidirectional)
        return recurrent(x, state, weights, batch_sizes, form)

    def _weights(self) -> list[Tensor]:
        """Return the weights: parameters, or what hooks, parametrizations and callers put in their place."""
        own: dict[str, Any] = self._parameters
        return [own[name] if name in own else getattr(self, name) for name in self._flat_weights_names]

    def _run_dropping(
        self, x: Tensor, state: list[Tensor], weights: list[Tensor], batch_sizes: Tensor | None
    ) -> list[Tensor]:
        """Run layer by layer, with PyTorch's dropout between them: it draws what PyTorch's module draws."""
        form = Form(self.mode, 1, self.bias, self.bidirectional)
        each, finals = len(weights) // self.num_layers, []
        for layer in range(self.num_layers):
            rows = slice(layer * form.directions, (layer + 1) * form.directions)
            x, *final = recurrent(
                x,
                [part[rows] for part in state],
                weights[layer * each : (layer + 1) * each],
                batch_sizes,
                form,
            )
            finals.append(final)
            if layer + 1 < self.num_layers:
                x = torch.nn.functional.dropout(x, self.dropout, training=True)
        return [x, *map(torch.cat, zip(*finals, strict=True))]

    def _check(self, x: Tensor, state: list[Tensor], batch_sizes: Tensor | None) -> None:
        if x.device.type not in ("cpu", "meta"):
            raise ValueError(f"input: expected a tensor on the CPU, got one on {x.device}")
        if state:
            self.check_forward_args(x, self._as_hx(state), batch_sizes)
        else:
            self.check_input(x, batch_sizes)

    def _checked_depth(self, hx: Any, depth: int, kind: str) -> Sequence[Tensor] | None:
        """Return the parts of a state, if there is one; RuntimeError if they have not so many dimensions."""
        if hx is None:
            return None
        parts = self._parts(hx)
        if any(part.dim() != depth for part in parts):
            got = ", ".join(f"{part.dim()}-D" for part in parts)
            raise RuntimeError(
                f"For {kind} input, hx should also be {depth}-D but got {got} tensor"
                if self._states == 1
                else f"For {kind} input, hx and cx should also be {depth}-D but got ({got}) tensors"
            )
        return parts

    @property
    def _name(self) -> str:
        return self.mode.partition("_")[0]

    # A state is a list of tensors inside; outside it is a pair, or a tensor if there is but one

    _states = 1
    _theirs: type[torch.nn.RNNBase]

    def _parts(self, hx: Any) -> Sequence[Tensor]:
        return (hx,)

    def _as_hx(self, parts: Sequence[Tensor]) -> Any:
        (part,) = parts
        return part


class LSTM(_OnCPU):
    """`torch.nn.LSTM` on fastlstm.

    Constructor, parameters, state dict and results are those of PyTorch's module. It is a subclass of
    `torch.nn.RNNBase` and not of that module, as `torch.compile` refuses these.

    Raises
    ------
    ValueError
        From a call with tensors that are not on the CPU.
    RuntimeError, ValueError
        As `torch.nn.LSTM`.

    Examples
    --------
    >>> import torch
    >>> from fastlstm.interop.torch import LSTM
    >>> lstm = LSTM(3, 5, batch_first=True)
    >>> y, (h_n, c_n) = lstm(torch.zeros(2, 7, 3))
    >>> y.sum().backward()
    >>> y.shape, lstm.weight_hh_l0.grad.shape
    (torch.Size([2, 7, 5]), torch.Size([20, 5]))
    """

    _states = 2
    _theirs = torch.nn.LSTM
    get_expected_cell_size = torch.nn.LSTM.get_expected_cell_size
    check_forward_args = torch.nn.LSTM.check_forward_args  # type: ignore[assignment]
    permute_hidden = torch.nn.LSTM.permute_hidden  # type: ignore[assignment]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )

    def _parts(self, hx: Any) -> Sequence[Tensor]:
        return tuple(hx)

    def _as_hx(self, parts: Sequence[Tensor]) -> Any:
        return tuple(parts)


class GRU(_OnCPU):
    """`torch.nn.GRU` on fastlstm. See `LSTM`.

    Examples
    --------
    >>> import torch
    >>> from fastlstm.interop.torch import GRU
    >>> y, h_n = GRU(3, 5, bidirectional=True)(torch.zeros(7, 2, 3))
    >>> y.shape, h_n.shape
    (torch.Size([7, 2, 10]), torch.Size([2, 2, 5]))
    """

    _theirs = torch.nn.GRU

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **others: Any,
    ) -> None:
        _check_others("GRU", others)
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )


class RNN(_OnCPU):
    """`torch.nn.RNN` on fastlstm. See `LSTM`.

    Examples
    --------
    >>> import torch
    >>> from fastlstm.interop.torch import RNN
    >>> y, h_n = RNN(3, 5, nonlinearity="relu")(torch.zeros(7, 3))
    >>> y.shape, h_n.shape
    (torch.Size([7, 5]), torch.Size([1, 5]))
    """

    _theirs = torch.nn.RNN

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **others: Any,
    ) -> None:
        _check_others("RNN", others)
        modes = {"tanh": "RNN_TANH", "relu": "RNN_RELU"}
        if nonlinearity not in modes:
            raise ValueError(f"Unknown nonlinearity: expected 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(
            modes[nonlinearity],
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )
        self.nonlinearity = nonlinearity


def _tensors(hx: Any) -> Sequence[Tensor]:
    return () if hx is None else (hx,) if isinstance(hx, Tensor) else hx


def _check_others(kind: str, others: Mapping[str, Any]) -> None:
    """Refuse arguments that a module does not have, as PyTorch does; a projection by its name."""
    if "proj_size" in others:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
    if others:
        raise TypeError(f"{kind}.__init__() got an unexpected keyword argument {next(iter(others))!r}")
