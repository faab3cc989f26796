"""A model and a loss as one function of a batch, and its gradient."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ..layers import Linear
from ..model.base import Model, check_model
from ..model.checks import Array, as_floats, as_size
from ..model.sequential import Sequential
from .losses import linear_softmax_cross_entropy, softmax_cross_entropy
from .samples import Batch, kind_of

State = Any

Loss = Callable[..., tuple[float, Array]]
"""A loss of `fastlstm.training`, or a function like one: from output and target to value and gradient.

For a target at each step it is also called with `lengths` and `batch_first`, and with `sample_weight` only if
there are such.
"""


class Objective:
    """The loss of a model, which training minimises.

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
        check_model(model)
        if not callable(loss):
            expected = "a function such as fastlstm.training.mean_squared_error"
            raise TypeError(f"loss: expected {expected}, got {loss!r}")
        self.model = model
        self._loss = loss
        self.labels = "target_lengths" in _parameters(loss)
        """Whether targets are label sequences of lengths of their own, as CTC's."""
        self._head: Callable[..., Any] | None = None
        """The last layer and the loss in one function, where there is one; the layers before are the body."""
        fused = _fused(loss)
        layers = model.layers if isinstance(model, Sequential) else ()
        if fused and len(layers) > 1 and isinstance(layers[-1], Linear):
            self._head, self._body = partial(fused, layers[-1]), Sequential(*layers[:-1])

    def step(self, batch: Batch, state: State) -> tuple[float, Mapping[str, Array], State]:
        """Return the loss in training, the gradients of the model's parameters, and the final state."""
        model = self.model if self._head is None else self._body
        output, final, tape = model.forward(batch.x, state, lengths=batch.lengths)
        if self._head is None:
            value, gradient = self._value_and_gradient(output, batch)
            doutput = as_floats(gradient, "loss's gradient", shape=output.shape)
            return value, tape.backward(doutput, input_gradient=False).parameters, final
        value, head = self._head(output, batch.target, **self._options(batch))
        named = dict(tape.backward(head.input, input_gradient=False).parameters)
        place = len(self._body.layers)
        named |= {f"{place}.{name}": array for name, array in head.parameters.items()}
        return value, named, final

    def zero_state(self, batch: Batch) -> State:
        """Return the state in which a batch's first step finds the model."""
        model = self.model if self._head is None else self._body
        none = batch.between(0, 0)
        return model.run(none.x, lengths=none.lengths)[1]

    def evaluate(self, batch: Batch, state: State) -> tuple[float, Array, State]:
        """Return the loss in evaluation, the output and the final state."""
        output, final = self.model.run(batch.x, state, lengths=batch.lengths)
        value, _ = self._value_and_gradient(output, batch)
        return value, output, final

    def _value_and_gradient(self, output: Array, batch: Batch) -> tuple[float, Any]:
        """Return what the loss returns; TypeError or ValueError if that is not what a loss returns."""
        result: Any = self._loss(output, batch.target, **self._options(batch))
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            expected = "a function that returns its value and its gradient"
            raise TypeError(f"loss: expected {expected}, got one that returns {kind_of(result)}")
        value, gradient = result
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"loss: expected a number as its value, got {kind_of(value)}") from None
        return number, gradient

    def _options(self, batch: Batch) -> dict[str, Any]:
        """Return what the loss is called with beside output and target."""
        options: dict[str, Any] = {}
        if batch.by_step or self.labels:
            options |= {"lengths": batch.output_lengths, "batch_first": batch.batch_first}
        if self.labels:
            options["target_lengths"] = batch.label_counts
        if batch.sample_weight is not None:
            options["sample_weight"] = _like_target(batch)
        return options


def as_bptt(bptt: int | None, objective: Objective) -> int | None:
    """Return how many steps are gone through at a time; ValueError or TypeError if the model can't be cut."""
    if bptt is None:
        return None
    steps = as_size(bptt, "bptt")
    if objective.labels or not objective.model.is_causal:
        raise ValueError(
            f"bptt: expected None for a model with a readout or two directions, or for CTC, got {bptt}"
        )
    return steps


def _parameters(loss: Callable[..., Any]) -> Mapping[str, Any]:
    """Return what a loss may be called with, by name; TypeError if Python can't tell."""
    try:
        return inspect.signature(loss).parameters
    except ValueError:
        raise TypeError(f"loss: expected a function with a signature, got {loss!r}") from None


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
