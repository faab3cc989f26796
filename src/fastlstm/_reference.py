"""The specification: LSTM and plain RNN, forward and backward, in plain NumPy.

One sequence at a time and one step at a time, beside the equations; nothing here is fast. What the
package computes is what this file computes, to rounding, and the tests hold every fast path against it.

    pre = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh

    LSTM   i, f, g, o = sigmoid, sigmoid, tanh, sigmoid (pre)        Hochreiter & Schmidhuber (1997),
           c_t = f c_{t-1} + i g                                     with the forget gate of
           m_t = o tanh(c_t)                                         Gers et al. (2000)
           h_t = W_hr m_t with a projection, else m_t                Sak et al. (2014)

    RNN    h_t = tanh(pre) or relu(pre)                              Elman (1990)

Parameters go by PyTorch's names: ``weight_ih_l0``, ``weight_hh_l0_reverse``, ``weight_hr_l1``...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Parameters = Mapping[str, Array]


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), without overflow."""
    z = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, z, 1) / (1 + z))


def direction_names(layer: int, reverse: bool) -> dict[str, str]:
    """Return a direction's parameter names by their short names."""
    suffix = f"l{layer}_reverse" if reverse else f"l{layer}"
    return {
        short: f"{short}_{suffix}" for short in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    }


def sequence_forward(
    cell: str, w: Parameters, x: Array, h: Array, c: Array
) -> tuple[Array, Array, Array, list[Any]]:
    """Run one sequence x (T, I) from h (P,) and c (H,); return y (T, P), h, c and what backward needs."""
    bias = w["bias_ih"] + w["bias_hh"] if "bias_ih" in w else 0
    y: list[Array] = []
    steps: list[Any] = []
    for x_t in x:
        h_prev, c_prev = h, c
        pre = w["weight_ih"] @ x_t + bias + w["weight_hh"] @ h_prev
        if cell == "lstm":
            i, f, g, o = np.split(pre, 4)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            c = f * c_prev + i * g
            m = o * np.tanh(c)
            h = w["weight_hr"] @ m if "weight_hr" in w else m
            steps.append((x_t, h_prev, c_prev, i, f, g, o, c, m))
        else:
            h = np.tanh(pre) if cell == "tanh" else np.maximum(pre, 0)
            steps.append((x_t, h_prev, pre))
        y.append(h)
    return np.array(y).reshape(len(x), len(h)), h, c, steps


def sequence_backward(
    cell: str, w: Parameters, steps: list[Any], dy: Array, dh: Array, dc: Array, dw: dict[str, Array]
) -> tuple[Array, Array, Array]:
    """Go back over one sequence from dy (T, P), dh and dc of the final state.

    Adds to `dw`; returns dx (T, I), dh and dc of the initial state.
    """
    dx = np.zeros((len(steps), w["weight_ih"].shape[1]), dy.dtype)
    for t in reversed(range(len(steps))):
        dh = dh + dy[t]
        if cell == "lstm":
            x_t, h_prev, c_prev, i, f, g, o, c, m = steps[t]
            dm = dh
            if "weight_hr" in w:
                dw["weight_hr"] += np.outer(dh, m)
                dm = dh @ w["weight_hr"]
            dc = dc + dm * o * (1 - np.tanh(c) ** 2)
            dpre = np.concatenate(
                [
                    dc * g * i * (1 - i),
                    dc * c_prev * f * (1 - f),
                    dc * i * (1 - g**2),
                    dm * np.tanh(c) * o * (1 - o),
                ]
            )
            dc = dc * f
        else:
            x_t, h_prev, pre = steps[t]
            dpre = dh * (1 - np.tanh(pre) ** 2) if cell == "tanh" else dh * (pre > 0)
        dw["weight_ih"] += np.outer(dpre, x_t)
        dw["weight_hh"] += np.outer(dpre, h_prev)
        if "bias_ih" in w:
            dw["bias_ih"] += dpre
            dw["bias_hh"] += dpre
        dx[t] = dpre @ w["weight_ih"]
        dh = dpre @ w["weight_hh"]
    return dx, dh, dc


class Reference:
    """A stack of layers, forward and backward, over a padded time-major batch.

    Parameters
    ----------
    cell : {"lstm", "tanh", "relu"}
    parameters : mapping of str to array
    num_layers : int
    bidirectional : bool
    """

    def __init__(
        self, cell: str, parameters: Parameters, num_layers: int = 1, bidirectional: bool = False
    ) -> None:
        self.cell = cell
        self.parameters = parameters
        self.num_layers = num_layers
        self.directions = 2 if bidirectional else 1

    def _weights(self, layer: int, direction: int, source: Parameters) -> dict[str, Array]:
        names = direction_names(layer, direction == 1)
        return {short: source[name] for short, name in names.items() if name in source}

    def forward(
        self,
        x: Array,
        h_0: Array,
        c_0: Array,
        lengths: Sequence[int],
        masks: Sequence[Array] | None = None,
    ) -> tuple[Array, Array, Array]:
        """Run the stack.

        Parameters
        ----------
        x : array (T, B, I)
        h_0, c_0 : arrays (layers·D, B, P) and (layers·D, B, H)
        lengths : sequence of B ints
        masks : sequence of layers - 1 arrays (T, B, D·P), optional
            What each layer's output but the last's is multiplied by: dropout.

        Returns
        -------
        y : array (T, B, D·P)
            Zero past a sequence's end.
        h_n, c_n : arrays like h_0 and c_0
        """
        (T, B, _), P = x.shape, h_0.shape[2]
        h_n, c_n = np.array(h_0), np.array(c_0)
        self._masks, self._lengths, self._x_shape = masks, lengths, x.shape
        self._steps: dict[tuple[int, int, int], list[Any]] = {}
        for layer in range(self.num_layers):
            y = np.zeros((T, B, self.directions * P), x.dtype)
            for direction in range(self.directions):
                w, k = self._weights(layer, direction, self.parameters), layer * self.directions + direction
                order = slice(None, None, -1 if direction else 1)
                for b, length in enumerate(lengths):
                    y_b, h_n[k, b], c_n[k, b], steps = sequence_forward(
                        self.cell, w, x[:length, b][order], h_0[k, b], c_0[k, b]
                    )
                    y[:length, b, direction * P : (direction + 1) * P] = y_b[order]
                    self._steps[layer, direction, b] = steps
            x = y if masks is None or layer == self.num_layers - 1 else y * masks[layer]
        return y, h_n, c_n

    def backward(self, dy: Array, dh_n: Array, dc_n: Array) -> tuple[Array, Array, Array, dict[str, Array]]:
        """Return the gradients of x, h_0, c_0 and the parameters for those of y, h_n and c_n."""
        P = dh_n.shape[2]
        dh_0, dc_0 = np.array(dh_n), np.array(dc_n)
        gradients = {name: np.zeros_like(value) for name, value in self.parameters.items()}
        for layer in reversed(range(self.num_layers)):
            columns = self._weights(layer, 0, self.parameters)["weight_ih"].shape[1]
            dx = np.zeros((*self._x_shape[:2], columns), dy.dtype)
            for direction in range(self.directions):
                w, k = self._weights(layer, direction, self.parameters), layer * self.directions + direction
                dw = self._weights(layer, direction, gradients)
                order = slice(None, None, -1 if direction else 1)
                for b, length in enumerate(self._lengths):
                    dy_b = dy[:length, b, direction * P : (direction + 1) * P]
                    dx_b, dh_0[k, b], dc_0[k, b] = sequence_backward(
                        self.cell,
                        w,
                        self._steps[layer, direction, b],
                        dy_b[order],
                        dh_n[k, b],
                        dc_n[k, b],
                        dw,
                    )
                    dx[:length, b] += dx_b[order]
            dy = dx if self._masks is None or layer == 0 else dx * self._masks[layer - 1]
        return dy, dh_0, dc_0, gradients
