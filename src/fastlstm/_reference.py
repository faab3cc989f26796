"""The specification: LSTM, plain RNN and GRU, forward and backward, in plain NumPy.

One sequence at a time and one step at a time, beside the equations; nothing here is fast. What the
package computes is what this file computes, to rounding, and the tests hold every fast path against it.

    pre = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh

    LSTM   i, f, g, o = sigmoid, sigmoid, tanh, sigmoid (pre)        Hochreiter & Schmidhuber (1997),
           c_t = f c_{t-1} + i g                                     with the forget gate of
           m_t = o tanh(c_t)                                         Gers et al. (2000)
           h_t = W_hr m_t with a projection, else m_t                Sak et al. (2014)

    RNN    h_t = tanh(pre) or relu(pre)                              Elman (1990)

    GRU    r, z = sigmoid(their pre)                                 Cho et al. (2014), reset after the
           n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn))       product as in cuDNN and PyTorch
           h_t = n + z (h_{t-1} - n)
           n = tanh(W_in x_t + b_in + W_hn (r h_{t-1}) + b_hn)       reset before it, as in the paper

    sLSTM  in `slstm_sequence`                                       Beck et al. (2024)

Variants (`varied_sequence`) and sLSTMs have forward passes only: their gradients are held against central
differences.

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
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr", "weight_ch")
    norms = ("gain_ih", "gain_hh", "gain_c", "bias_c")
    return {short: f"{short}_{suffix}" for short in (*names, *norms)}


def lstm_step(pre: Array, c_prev: Array) -> tuple[Array, Array, Any]:
    """Return m and c of a step from its pre-activations and the c before, and what backward needs."""
    i, f, g, o = np.split(pre, 4)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c = f * c_prev + i * g
    m = o * np.tanh(c)
    return m, c, (c_prev, i, f, g, o, c, m)


def lstm_step_backward(kept: Any, dm: Array, dc: Array) -> tuple[Array, Array]:
    """Return the gradients of the pre-activations and of the c before, from those of m and c."""
    c_prev, i, f, g, o, c, _ = kept
    dc = dc + dm * o * (1 - np.tanh(c) ** 2)
    dpre = [
        dc * g * i * (1 - i),
        dc * c_prev * f * (1 - f),
        dc * i * (1 - g**2),
        dm * np.tanh(c) * o * (1 - o),
    ]
    return np.concatenate(dpre), dc * f


def tanh_step(pre: Array, c: Array) -> tuple[Array, Array, Any]:
    """As `lstm_step`, of a plain RNN, which leaves c alone."""
    h = np.tanh(pre)
    return h, c, (pre,)


def tanh_step_backward(kept: Any, dm: Array, dc: Array) -> tuple[Array, Array]:
    """As `lstm_step_backward`, of a plain RNN."""
    (pre,) = kept
    return dm * (1 - np.tanh(pre) ** 2), dc


def relu_step(pre: Array, c: Array) -> tuple[Array, Array, Any]:
    """As `tanh_step`, with relu."""
    h = np.maximum(pre, 0)
    return h, c, (pre,)


def relu_step_backward(kept: Any, dm: Array, dc: Array) -> tuple[Array, Array]:
    """As `tanh_step_backward`, with relu."""
    (pre,) = kept
    return dm * (pre > 0), dc


def of_sum(step: Any, step_backward: Any) -> tuple[Any, Any]:
    """Return both, as `gru_step` and its like take their arguments, of a cell that sees x and h in a sum."""

    def forward(w: Parameters, of_x: Array, of_h: Array, h_prev: Array, c_prev: Array) -> Any:
        pre = of_x + of_h
        return step(pre, c_prev)

    def backward(w: Parameters, kept: Any, h_prev: Array, dm: Array, dc: Array) -> Any:
        dpre, dc = step_backward(kept, dm, dc)
        return dpre, dpre, np.outer(dpre, h_prev), dpre @ w["weight_hh"], dc

    return forward, backward


def gru_step(w: Parameters, of_x: Array, of_h: Array, h_prev: Array, c: Array) -> tuple[Array, Array, Any]:
    """Return h of a step from what x and h give to it, c as it was, and what backward needs."""
    (r_x, z_x, n_x), (r_h, z_h, n_h) = np.split(of_x, 3), np.split(of_h, 3)
    r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
    n = np.tanh(n_x + r * n_h)
    return n + z * (h_prev - n), c, (n, r, z, n_h)


def gru_step_backward(w: Parameters, kept: Any, h_prev: Array, dm: Array, dc: Array) -> tuple[Array, ...]:
    """Return the gradients of what x and h gave, of W_hh, of the h before, and of c."""
    n, r, z, n_h = kept
    dn = dm * (1 - z) * (1 - n**2)
    gates = [dn * n_h * r * (1 - r), dm * (h_prev - n) * z * (1 - z)]
    of_x, of_h = np.concatenate([*gates, dn]), np.concatenate([*gates, dn * r])
    return of_x, of_h, np.outer(of_h, h_prev), of_h @ w["weight_hh"] + dm * z, dc


def gru_reset_first_step(
    w: Parameters, of_x: Array, of_h: Array, h_prev: Array, c: Array
) -> tuple[Array, Array, Any]:
    """As `gru_step`, with r before the product: of what h gives, n's part is made here."""
    H = len(h_prev)
    r, z = np.split(sigmoid(of_x[: 2 * H] + of_h[: 2 * H]), 2)
    rh = r * h_prev
    n_h = w["weight_hh"][2 * H :] @ rh + (w["bias_hh"][2 * H :] if "bias_hh" in w else 0)
    n = np.tanh(of_x[2 * H :] + n_h)
    return n + z * (h_prev - n), c, (n, r, z, rh)


def gru_reset_first_step_backward(
    w: Parameters, kept: Any, h_prev: Array, dm: Array, dc: Array
) -> tuple[Array, ...]:
    """As `gru_step_backward`."""
    n, r, z, rh = kept
    early, late = np.split(w["weight_hh"], [2 * len(h_prev)])
    dn = dm * (1 - z) * (1 - n**2)
    d_reset = dn @ late
    gates = np.concatenate([d_reset * h_prev * r * (1 - r), dm * (h_prev - n) * z * (1 - z)])
    dpre = np.concatenate([gates, dn])
    dw_hh = np.concatenate([np.outer(gates, h_prev), np.outer(dn, rh)])
    return dpre, dpre, dw_hh, gates @ early + d_reset * r + dm * z, dc


CELLS = {
    "lstm": of_sum(lstm_step, lstm_step_backward),
    "tanh": of_sum(tanh_step, tanh_step_backward),
    "relu": of_sum(relu_step, relu_step_backward),
    "gru": (gru_step, gru_step_backward),
    "gru_reset_first": (gru_reset_first_step, gru_reset_first_step_backward),
}
"""A step of each cell, forward and backward."""


def sequence_forward(
    cell: str, w: Parameters, x: Array, h: Array, c: Array
) -> tuple[Array, Array, Array, list[Any]]:
    """Run one sequence x (T, I) from h (P,) and c (H,); return y (T, P), h, c and what backward needs."""
    step, _ = CELLS[cell]
    bias_ih, bias_hh = (w["bias_ih"], w["bias_hh"]) if "bias_ih" in w else (0, 0)
    y: list[Array] = []
    steps: list[Any] = []
    for x_t in x:
        h_prev = h
        of_x = w["weight_ih"] @ x_t + bias_ih
        of_h = w["weight_hh"] @ h_prev + bias_hh
        m, c, kept = step(w, of_x, of_h, h_prev, c)
        h = w["weight_hr"] @ m if "weight_hr" in w else m
        steps.append((x_t, h_prev, *kept))
        y.append(h)
    return np.array(y).reshape(len(x), len(h)), h, c, steps


def sequence_backward(
    cell: str, w: Parameters, steps: list[Any], dy: Array, dh: Array, dc: Array, dw: dict[str, Array]
) -> tuple[Array, Array, Array]:
    """Go back over one sequence from dy (T, P), dh and dc of the final state.

    Adds to `dw`; returns dx (T, I), dh and dc of the initial state.
    """
    _, step_backward = CELLS[cell]
    dx = np.zeros((len(steps), w["weight_ih"].shape[1]), dy.dtype)
    for t in reversed(range(len(steps))):
        x_t, h_prev, *kept = steps[t]
        dh = dh + dy[t]
        dm = dh
        if "weight_hr" in w:
            *_, m = kept  # the last that a cell with a projection keeps
            dw["weight_hr"] += np.outer(dh, m)
            dm = dh @ w["weight_hr"]
        of_x, of_h, dw_hh, dh, dc = step_backward(w, kept, h_prev, dm, dc)
        dw["weight_ih"] += np.outer(of_x, x_t)
        dw["weight_hh"] += dw_hh
        if "bias_ih" in w:
            dw["bias_ih"] += of_x
            dw["bias_hh"] += of_h
        dx[t] = of_x @ w["weight_ih"]
    return dx, dh, dc


# Variants ------------------------------------------------------------------------------------------------

FUNCTIONS: dict[str, Any] = {
    "sigmoid": lambda x, a, b: sigmoid(x),
    "tanh": lambda x, a, b: np.tanh(x),
    "relu": lambda x, a, b: np.maximum(x, 0),
    "affine": lambda x, a, b: a * x + b,
    "leaky_relu": lambda x, a, b: np.where(x < 0, a * x, x),
    "thresholded_relu": lambda x, a, b: np.where(x > a, x, 0),
    "scaled_tanh": lambda x, a, b: a * np.tanh(b * x),
    "hard_sigmoid": lambda x, a, b: np.clip(a * x + b, 0, 1),
    "elu": lambda x, a, b: np.where(x < 0, a * np.expm1(np.minimum(x, 0)), x),
    "softsign": lambda x, a, b: x / (1 + np.abs(x)),
    "softplus": lambda x, a, b: np.logaddexp(x, 0),
}
"""The functions that a cell may have, of x and their alpha and beta."""


def varied_sequence(
    cell: str,
    w: Parameters,
    x: Array,
    h: Array,
    c: Array,
    functions: Sequence[tuple[str, float, float]],
    clip: float = np.inf,
    cell_clip: float = np.inf,
    other_form: bool = False,
    zones: Sequence[Any] = (0, 0),
    mask: Array | float = 1,
) -> tuple[Array, Array, Array]:
    """Run one sequence of a variant; return y, h and c.

    The other form is an LSTM's f = 1 - i, and a GRU's reset before the product. `zones` has for h and for c
    the share of numbers that a step leaves as they were: a number, or an array (T, H) of ones and zeros. W_hh
    reads h times `mask`; that of each gate, times its own row of it.
    """
    applied = [FUNCTIONS[name] for name, _, _ in functions]
    numbers = [numbers for _, *numbers in functions]

    def gate(pre: Array) -> Any:
        return applied[0](np.clip(pre, -clip, clip), *numbers[0])

    def candidate(pre: Array) -> Any:
        return applied[1](np.clip(pre, -clip, clip), *numbers[1])

    bias_ih, bias_hh = (w["bias_ih"], w["bias_hh"]) if "bias_ih" in w else (0, 0)
    p_i, p_f, p_o = peepholes(w, other_form)
    zone_h, zone_c = (np.broadcast_to(zone, (len(x), len(c))) for zone in zones)
    y = []
    for t, x_t in enumerate(x):
        of_x, of_h = w["weight_ih"] @ x_t, recurrent(w, h * mask)
        if "gain_ih" in w:  # Ba et al. (2016)
            of_x, of_h = w["gain_ih"] * normal(of_x), w["gain_hh"] * normal(of_h)
        of_x, of_h = of_x + bias_ih, of_h + bias_hh
        if cell == "lstm":  # Gers & Schmidhuber (2000): o sees c of its own step
            i, *f, g, o = np.split(of_x + of_h, 3 if other_form else 4)
            i = gate(i + p_i * c)
            f = 1 - i if other_form else gate(f[0] + p_f * c)
            c_new = np.clip(f * c + i * candidate(g), -cell_clip, cell_clip)
            seen = w["gain_c"] * normal(c_new) + w["bias_c"] if "gain_c" in w else c_new
            m = gate(o + p_o * c_new) * applied[2](seen, *numbers[2])
            h_new = w["weight_hr"] @ m if "weight_hr" in w else m
        elif cell == "gru":
            (r, z, n), (r_h, z_h, n_h) = np.split(of_x, 3), np.split(of_h, 3)
            r, z = gate(r + r_h), gate(z + z_h)
            if other_form:
                n_h = np.split(recurrent(w, r * h) + bias_hh, 3)[2]
            n = candidate(n + (n_h if other_form else r * n_h))
            h_new, c_new = n + z * (h - n), c
        else:
            h_new, c_new = gate(of_x + of_h), c
        # Krueger et al. (2017): what a zone holds has no part in this step's h
        h, c = (h_new + zone_h[t] * (h - h_new) if np.any(zone_h) else h_new), c_new + zone_c[t] * (c - c_new)
        y.append(h)
    return np.array(y).reshape(len(x), len(h)), h, c


def slstm_sequence(
    w: Parameters, x: Array, states: Sequence[Array], exponential: bool = False, mask: Array | float = 1
) -> tuple[Array, Sequence[Array]]:
    """Run one sequence of an sLSTM from h, c, n and m; return y, and these after it.

    Beck et al. (2024). f is a sigmoid, or an exponential.
    """
    h, c, n, m = states
    bias = w["bias_ih"] + w["bias_hh"] if "bias_ih" in w else 0
    y = []
    for x_t in x:
        i, f, z, o = np.split(w["weight_ih"] @ x_t + recurrent(w, h * mask) + bias, 4)
        log_f = f if exponential else -np.logaddexp(0, -f)
        m_new = np.where(n == 0, i, np.maximum(log_f + m, i))
        i, f = np.exp(i - m_new), np.exp(np.minimum(log_f + m - m_new, 0))
        c, n, m = f * c + i * np.tanh(z), f * n + i, m_new
        h = sigmoid(o) * c / n
        y.append(h)
    return np.array(y).reshape(len(x), len(h)), (h, c, n, m)


def recurrent(w: Parameters, h: Array) -> Array:
    """Return W_hh h; with heads, each of them sees its own part of h. Rows of h are one for each gate."""
    weight, size = w["weight_hh"], w["weight_hh"].shape[1]
    blocks = weight.reshape(-1, h.shape[-1] // size, size, size)
    parts = np.broadcast_to(h.reshape(-1, blocks.shape[1], size), blocks.shape[:3])
    return np.asarray(np.einsum("ghij,ghj->ghi", blocks, parts).reshape(-1))


def normal(x: Array) -> Array:
    """Return numbers of mean 0 and variance 1."""
    return np.asarray((x - x.mean()) / np.sqrt(x.var() + 1e-5))


def peepholes(w: Parameters, input_forget: bool) -> Sequence[Any]:
    """Return what i, f and o see c by."""
    if "weight_ch" not in w:
        return 0, 0, 0
    if input_forget:
        p_i, p_o = np.split(w["weight_ch"], 2)
        return p_i, 0, p_o
    return np.split(w["weight_ch"], 3)


def repeated(dy: Array, both: Array) -> Array:
    """Return the gradient of a sum for each of its directions."""
    return np.broadcast_to(dy[:, :, None], both.shape)


MERGES: dict[str, tuple[Any, Any]] = {
    "concat": (
        lambda both: np.concatenate(list(np.moveaxis(both, 2, 0)), axis=2),
        lambda dy, both: dy.reshape(both.shape),
    ),
    "sum": (lambda both: both.sum(axis=2), repeated),
    "mean": (lambda both: both.mean(axis=2), lambda dy, both: repeated(dy, both) / both.shape[2]),
    "mul": (lambda both: both.prod(axis=2), lambda dy, both: repeated(dy, both) * both[:, :, ::-1]),
}
"""What a layer gives of its directions, (T, B, D, P), and their gradients for that of it."""


def as_bfloat16(x: Array) -> Array:
    """Return the nearest numbers of 16 bits that have a float32's exponent, or the even ones of two."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def as_whole(x: Array, scale: Any, largest: int = 127) -> Array:
    """Return the nearest whole numbers of so many scales, from -127 to 127, or the even ones of two."""
    whole: Array = np.clip(np.rint(x / scale), -largest, largest).astype(np.int64)
    return whole


def rounded_product(
    precision: str,
    x: Array,
    weight: Array,
    bias: Array,
    x_scale: float = 0.0,
    x_bits: int = 8,
    scales: Array | None = None,
) -> Array:
    """Return x·Wᵀ + bias in fewer bits: x (B, K), weight (M, K). x_scale 0: found for each row of x.

    h takes the place of x where its scale is 1/127, and the sum so far that of the bias. With x_bits 16 what
    rounding leaves of x is multiplied as well. For int4 `scales` (M, ceil(K / 64)) are those of each 64
    neighbours of a row of W.
    """
    if precision == "bfloat16":
        return as_bfloat16(x) @ as_bfloat16(weight).T + bias
    of_x = abs(x).max(axis=1, keepdims=True) / np.float32(127) if x_scale == 0 else np.float32(x_scale)
    whole, result = as_whole(x, of_x), np.zeros_like(bias)
    if precision == "int8":
        of_rows = abs(weight).max(axis=1, keepdims=True) / np.float32(127)
        sums = whole @ as_whole(weight, of_rows).T  # exact
        result = sums.astype(np.float32) * (of_x * of_rows.T) + bias
    elif scales is not None:
        for k, scale in enumerate(np.split(scales, scales.shape[1], axis=1)):
            own = slice(64 * k, 64 * (k + 1))
            sums = whole[:, own] @ as_whole(weight[:, own], scale, 7).T
            result = result + sums.astype(np.float32) * scale.T
        result = result * of_x + bias
    if x_bits == 16:
        return rounded_product(precision, x - whole * of_x, weight, result, scales=scales)
    return result


class Reference:
    """A stack of layers, forward and backward, over a padded time-major batch.

    Parameters
    ----------
    cell : {"lstm", "tanh", "relu", "gru", "gru_reset_first"}
    parameters : mapping of str to array
    num_layers : int
    bidirectional : bool
    reverse : bool
        Whether the one direction runs from last step to first.
    merge : {"concat", "sum", "mean", "mul"}
        What a layer gives of two directions.
    """

    def __init__(
        self,
        cell: str,
        parameters: Parameters,
        num_layers: int = 1,
        bidirectional: bool = False,
        reverse: bool = False,
        merge: str = "concat",
    ) -> None:
        self.cell = cell
        self.parameters = parameters
        self.num_layers = num_layers
        self.directions = 2 if bidirectional else 1
        self.reverse = reverse
        self.merge, self.unmerge = MERGES[merge]

    def _weights(self, layer: int, direction: int, source: Parameters) -> dict[str, Array]:
        names = direction_names(layer, direction == 1)
        return {short: source[name] for short, name in names.items() if name in source}

    def _order(self, direction: int) -> slice:
        """Return in which order a direction visits the steps."""
        return slice(None, None, -1 if direction or self.reverse else 1)

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
        masks : sequence of layers - 1 arrays like y, optional
            What each layer's output but the last's is multiplied by: dropout.

        Returns
        -------
        y : array (T, B, D·P), or (T, B, P) of merged directions
            Zero past a sequence's end.
        h_n, c_n : arrays like h_0 and c_0
        """
        (T, B, _), P = x.shape, h_0.shape[2]
        h_n, c_n = np.array(h_0), np.array(c_0)
        self._masks, self._lengths, self._x_shape = masks, lengths, x.shape
        self._both: list[Array] = []
        self._steps: dict[tuple[int, int, int], list[Any]] = {}
        for layer in range(self.num_layers):
            both = np.zeros((T, B, self.directions, P), x.dtype)
            for direction in range(self.directions):
                w, k = self._weights(layer, direction, self.parameters), layer * self.directions + direction
                order = self._order(direction)
                for b, length in enumerate(lengths):
                    y_b, h_n[k, b], c_n[k, b], steps = sequence_forward(
                        self.cell, w, x[:length, b][order], h_0[k, b], c_0[k, b]
                    )
                    both[:length, b, direction] = y_b[order]
                    self._steps[layer, direction, b] = steps
            self._both.append(both)
            y = self.merge(both)
            x = y if masks is None or layer == self.num_layers - 1 else y * masks[layer]
        return y, h_n, c_n

    def backward(self, dy: Array, dh_n: Array, dc_n: Array) -> tuple[Array, Array, Array, dict[str, Array]]:
        """Return the gradients of x, h_0, c_0 and the parameters for those of y, h_n and c_n."""
        dh_0, dc_0 = np.array(dh_n), np.array(dc_n)
        gradients = {name: np.zeros_like(value) for name, value in self.parameters.items()}
        for layer in reversed(range(self.num_layers)):
            columns = self._weights(layer, 0, self.parameters)["weight_ih"].shape[1]
            dx = np.zeros((*self._x_shape[:2], columns), dy.dtype)
            dy_both = self.unmerge(dy, self._both[layer])
            for direction in range(self.directions):
                w, k = self._weights(layer, direction, self.parameters), layer * self.directions + direction
                dw = self._weights(layer, direction, gradients)
                order = self._order(direction)
                for b, length in enumerate(self._lengths):
                    dy_b = dy_both[:length, b, direction]
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
