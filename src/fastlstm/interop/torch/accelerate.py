"""Recurrent modules inside of any PyTorch model, replaced by ours."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch

from .modules import GRU, LSTM, RNN, _OnCPU

_log = logging.getLogger("fastlstm")

Model = TypeVar("Model", bound=torch.nn.Module)

OURS: dict[type[torch.nn.Module], type[torch.nn.Module]] = {
    torch.nn.LSTM: LSTM,
    torch.nn.GRU: GRU,
    torch.nn.RNN: RNN,
}

QUANTISED = ("LSTM", "GRU", "LSTMCell", "GRUCell", "RNNCell")
"""The recurrent modules in `torch.ao.nn`."""


@dataclass(frozen=True)
class Report:
    """What `accelerate` did.

    Attributes
    ----------
    replaced : mapping of str to str
        What each module that was replaced is now, by its name in the model.
    left : mapping of str to str
        Why a recurrent module was left as it was, by its name.
    """

    replaced: Mapping[str, str]
    left: Mapping[str, str]

    def __str__(self) -> str:
        lines = [f"{name or '(the model)'}: replaced by {kind}" for name, kind in self.replaced.items()]
        lines += [f"{name or '(the model)'}: left, {reason}" for name, reason in self.left.items()]
        return "\n".join(lines) or "no recurrent modules"


def accelerate(model: Model, inplace: bool = False) -> tuple[Model, Report]:
    """Replace the recurrent modules inside a model by ours.

    Each `torch.nn.LSTM`, `GRU` and `RNN` becomes the one of `fastlstm.interop.torch`, with the same
    parameters, names, mode and hooks. What else the model is made of stays.

    Parameters
    ----------
    model : torch.nn.Module
        On the CPU; a recurrent module itself, or one that has some anywhere inside.
    inplace : bool, default False
        Whether the model itself is changed, rather than a deep copy.

    Returns
    -------
    model : torch.nn.Module
        The copy, or the model itself.
    report : Report
        What was replaced, and what was not and why.

    Raises
    ------
    TypeError
        If an argument is something else.

    Examples
    --------
    >>> import torch
    >>> from fastlstm.interop.torch import accelerate
    >>> tagger = torch.nn.ModuleDict({"words": torch.nn.Embedding(9, 3), "read": torch.nn.LSTM(3, 5)})
    >>> tagger, report = accelerate(tagger)
    >>> print(report)
    read: replaced by fastlstm.interop.torch.LSTM
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    if not isinstance(inplace, bool):
        raise TypeError(f"inplace: expected True or False, got {inplace!r}")
    model = model if inplace else copy.deepcopy(model)
    replaced, left = {}, {}
    for name, module in model.named_modules():
        reason = _reason_to_leave(module)
        if reason is not None:
            left[name] = reason
        elif type(module) in OURS:
            ours = OURS[type(module)]
            module.__class__ = ours  # they differ in methods alone
            replaced[name] = f"fastlstm.interop.torch.{ours.__name__}"
    for name, kind in replaced.items():
        _log.info("accelerate: %s replaced by %s", name or "the model", kind)
    for name, reason in left.items():
        _log.warning("accelerate: %s left to PyTorch, %s", name or "the model", reason)
    return model, Report(replaced, left)


def _reason_to_leave(module: torch.nn.Module) -> str | None:
    """Return why a recurrent module can't be replaced; None if it can, or is none."""
    kind = type(module)
    named = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(module, torch.jit.ScriptModule):
        compiled = getattr(module, "original_name", "")
        return "compiled by TorchScript" if compiled in ("LSTM", "GRU", "RNN") else None
    if kind.__module__.startswith("torch.ao.nn.") and kind.__name__ in QUANTISED:
        return f"quantised, {named}"
    if isinstance(module, torch.nn.RNNCellBase):
        return f"a cell, {named}, that its model steps by itself"
    if not isinstance(module, torch.nn.RNNBase):
        return None
    if isinstance(module, _OnCPU):
        return f"it is ours already, {named}"
    if kind not in OURS:
        return f"a subclass, {named}, that may run otherwise"
    if "forward" in vars(module):
        return "its forward was replaced by another"
    return _reason_in_weights(module)


def _reason_in_weights(module: torch.nn.RNNBase) -> str | None:
    weights = [getattr(module, name) for name in module._flat_weights_names]
    devices = {str(weight.device) for weight in weights}
    if devices != {"cpu"}:
        return f"its weights are on {', '.join(sorted(devices))}"
    if len({weight.dtype for weight in weights}) > 1:
        return "its weights have several dtypes"
    return None
