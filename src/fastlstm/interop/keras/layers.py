"""`keras.layers.LSTM`, `GRU` and `SimpleRNN` with our passes: all but the loop over the steps is Keras's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
from keras import ops

from ...model import gru, lstm, rnn
from ...model.checks import alternatives
from ..keras_layers import FUNCTIONS
from .backends import BACKENDS, is_here, run
from .passes import weightless


class _OnFastLSTM(keras.layers.RNN):
    """What the layers share: the loop over the steps. All around it is Keras's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if keras.backend.backend() not in BACKENDS:
            raise ValueError(f"backend: expected {alternatives(BACKENDS)}, got {keras.backend.backend()!r}")
        super().__init__(*args, **kwargs)
        if keras.backend.backend() == "tensorflow":
            self.supports_jit = False  # XLA has no way out of its graph

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Run over all steps: by fastlstm, or by Keras where it has not what the layer asks for.

        That is dropout of the recurrence in training, a function that is none of `FUNCTIONS`, training on
        a backend other than torch, or tensors that have shapes alone or are on another device.
        """
        make = self._model()
        if make is None or (training and self.cell.recurrent_dropout) or not is_here(sequences, training):
            return super().inner_loop(sequences, initial_state, mask, training=training)
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        if training and self.cell.dropout:
            dropped = self.cell.get_dropout_mask(sequences[:, 0, :])
            sequences = sequences * ops.expand_dims(dropped, 1)
        state = list(initial_state) if isinstance(initial_state, (list, tuple)) else [initial_state]
        outputs, *states = run(make, sequences, mask, state, self._weights_for_ours())
        if self.go_backwards:  # Keras has the steps in the order in which they were visited
            outputs = ops.flip(outputs, axis=1)
            mask = None if mask is None else ops.flip(mask, axis=1)
        if mask is not None and keras.backend.backend() in ("jax", "numpy"):
            # Before a sequence's first step there is the state that it begins with; on the others zeros.
            begun = ops.expand_dims(ops.cumsum(ops.cast(mask, "int32"), axis=1) > 0, -1)
            outputs = ops.where(begun, outputs, ops.expand_dims(state[0], 1))
        if mask is not None and self.zero_output_for_mask:
            outputs = ops.where(ops.expand_dims(mask, -1), outputs, ops.zeros_like(outputs))
        return outputs[:, -1], outputs, states

    def _model(self) -> Any:
        """Return what makes a model of the layer's form, of input size and dtype; None if we have none."""
        raise NotImplementedError

    def _weights_for_ours(self) -> list[Any]:
        """Return the layer's weights as tensors with PyTorch's layout and order of gates."""
        weights = [ops.transpose(self.cell.kernel), ops.transpose(self.cell.recurrent_kernel)]
        return [*weights, *_biases(self.cell.bias)]

    def _made(self, kind: Any, functions: Sequence[Any], **options: Any) -> Any:
        names = [getattr(function, "__name__", "") for function in functions]
        if not all(name in FUNCTIONS for name in names):
            return None
        told = {"bias": self.cell.use_bias, "reverse": self.go_backwards, "batch_first": True, **options}
        activations = tuple(FUNCTIONS[name] for name in names)
        return partial(weightless, kind, self.cell.units, activations, tuple(told.items()))


@keras.saving.register_keras_serializable(package="fastlstm")
class LSTM(_OnFastLSTM, keras.layers.LSTM):
    """`keras.layers.LSTM` on fastlstm: the same arguments, weights, results and saved files.

    Raises
    ------
    ValueError
        If Keras runs on a backend other than torch, jax, tensorflow or numpy; and as `keras.layers.LSTM`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.interop.keras import LSTM
    >>> LSTM(5, return_sequences=True)(np.zeros((2, 7, 3), "float32")).shape == (2, 7, 5)
    True
    """

    def _model(self) -> Any:
        cell = self.cell
        return self._made(lstm.LSTM, (cell.recurrent_activation, cell.activation, cell.activation))


@keras.saving.register_keras_serializable(package="fastlstm")
class GRU(_OnFastLSTM, keras.layers.GRU):
    """`keras.layers.GRU` on fastlstm, with `reset_after` or without. See `LSTM`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.interop.keras import GRU
    >>> GRU(5, reset_after=False)(np.zeros((2, 7, 3), "float32")).shape == (2, 5)
    True
    """

    def _model(self) -> Any:
        cell = self.cell
        functions = (cell.recurrent_activation, cell.activation)
        return self._made(gru.GRU, functions, reset_after=cell.reset_after)

    def _weights_for_ours(self) -> list[Any]:
        cell = self.cell
        weights = [ops.transpose(_gates(kernel)) for kernel in (cell.kernel, cell.recurrent_kernel)]
        bias = None if cell.bias is None else _gates(cell.bias)
        return [*weights, *((bias[0], bias[1]) if bias is not None and cell.reset_after else _biases(bias))]


@keras.saving.register_keras_serializable(package="fastlstm")
class SimpleRNN(_OnFastLSTM, keras.layers.SimpleRNN):
    """`keras.layers.SimpleRNN` on fastlstm. See `LSTM`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.interop.keras import SimpleRNN
    >>> SimpleRNN(5, activation="relu")(np.zeros((2, 7, 3), "float32")).shape == (2, 5)
    True
    """

    def _model(self) -> Any:
        return self._made(rnn.RNN, (self.cell.activation,))


def _biases(bias: Any) -> list[Any]:
    """Return Keras's one bias as two, the second of zeros; none for none."""
    if bias is None:
        return []
    bias = ops.convert_to_tensor(bias)
    return [bias, ops.zeros_like(bias)]


def _gates(array: Any) -> Any:
    """Return columns of a GRU's gates z, r, h in the order r, z, h."""
    z, r, h = ops.split(ops.convert_to_tensor(array), 3, axis=-1)
    return ops.concatenate([r, z, h], axis=-1)
