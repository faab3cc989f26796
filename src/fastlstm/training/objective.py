"""A model and a loss as one function of a batch, and its gradient."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from .._arrays import Array
from ..layers import Linear
from ..recurrent import LSTM, RNN
from ..sequential import Sequential
from .losses import linear_softmax_cross_entropy, softmax_cross_entropy
from .samples import Batch

Model = LSTM | RNN | Sequential
State = Any


Loss = Callable[..., tuple[float, Array]]
"""A loss of `fastlstm.training`, or a function like one: from output and target to value and gradient.

For a target at each step it is also called with `lengths` and `batch_first`, and with `sample_weight` only if
there are such.
"""


class Objective:
    """What training makes small.

    Cross-entropy after a `Linear` is calculated with it, so that logits exist for a few steps at a time.

    Parameters
    ----------
    model : LSTM, RNN or Sequential
    loss : Loss

    Raises
    ------
    TypeError
        If the model or the loss is something else.
    """

    def __init__(self, model: Model, loss: Loss) -> None:
        if not isinstance(model, (LSTM, RNN, Sequential)):
            raise TypeError(f"model: expected LSTM, RNN or Sequential, got {type(model).__name__}")
        if not callable(loss):
            expected = "a function such as fastlstm.training.mean_squared_error"
            raise TypeError(f"loss: expected {expected}, got {loss!r}")
        self.model = model
        self._loss = loss
        self.labels = "target_lengths" in inspect.signature(loss).parameters
        """Whether targets are label sequences of lengths of their own, as CTC's."""
        self._head: Callable[..., Any] | None = None
        """The last layer and the loss in one, where they are; what is before is the body."""
        fused = _fused(loss)
        layers = model.layers if isinstance(model, Sequential) else ()
        if fused and len(layers) > 1 and isinstance(layers[-1], Linear):
            self._head, self._body = partial(fused, layers[-1]), Sequential(*layers[:-1])

    def step(self, batch: Batch, state: State) -> tuple[float, Mapping[str, Array], State]:
        """Return the loss in training, the gradients of the model's parameters, and the final state."""
        model: Any = self.model if self._head is None else self._body
        output, final, tape = model.forward(batch.x, state, lengths=batch.lengths)
        if self._head is None:
            value, doutput = self._loss(output, batch.target, **self._options(batch))
            return value, tape.backward(doutput, input_gradient=False).parameters, final
        value, head = self._head(output, batch.target, **self._options(batch))
        named = dict(tape.backward(head.input, input_gradient=False).parameters)
        place = len(self._body.layers)
        named |= {f"{place}.{name}": array for name, array in head.parameters.items()}
        return value, named, final

    def evaluate(self, batch: Batch, state: State) -> tuple[float, Array, State]:
        """Return the loss in evaluation, the output and the final state."""
        output, final = run(self.model, batch, state)
        value, _ = self._loss(output, batch.target, **self._options(batch))
        return value, output, final

    def _options(self, batch: Batch) -> dict[str, Any]:
        """Return what the loss is called with beside output and target."""
        options: dict[str, Any] = {}
        if batch.by_step or self.labels:
            options |= {"lengths": batch.lengths, "batch_first": batch.batch_first}
        if self.labels:
            options["target_lengths"] = batch.label_counts
        if batch.sample_weight is not None:
            options["sample_weight"] = _like_target(batch)
        return options


def run(model: Model, batch: Batch, state: State) -> tuple[Array, State]:
    """Return a model's output and final state in evaluation."""
    if isinstance(model, Sequential):
        return model.run(batch.x, state, lengths=batch.lengths)
    return model(batch.x, state, lengths=batch.lengths)


def _fused(loss: Any) -> Callable[..., Any] | None:
    """Return the loss that includes the last linear layer, None if there is none."""
    if loss is softmax_cross_entropy:
        return linear_softmax_cross_entropy
    if isinstance(loss, partial) and loss.func is softmax_cross_entropy and not loss.args:
        return partial(linear_softmax_cross_entropy, **loss.keywords)
    return None


def _like_target(batch: Batch) -> Array:
    """Return the weights of a batch's sequences so that they broadcast to its target."""
    assert batch.sample_weight is not None
    axis = 0 if batch.batch_first or not batch.by_step else 1
    axes = 1 if batch.label_counts is not None else batch.target.ndim
    shape = np.ones(axes, int)
    shape[axis] = -1
    return batch.sample_weight.reshape(shape)
