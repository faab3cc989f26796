"""One step of a cell as nodes, where ONNX has no operator for it; the equations are `_reference.py`'s."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...model.recurrent import Recurrent
from ...model.variants import Function, usual_functions
from .weights import whole_recurrent
from .writer import Writer

Array = NDArray[Any]


class Steps:
    """The steps of one direction of a layer.

    Parameters
    ----------
    writer : Writer
        Of the loop's body.
    model : LSTM, GRU, RNN or SLSTM
    weights : mapping of str to array
        The direction's, by their short names.
    """

    def __init__(self, writer: Writer, model: Recurrent[Any], weights: Mapping[str, Array]) -> None:
        self.w = writer
        self.model = model
        self.weights = weights
        usual = usual_functions(model) if model._kind != "SLSTM" else ()
        self.functions: Sequence[Function] = model.activations or usual

    def run(self, of_x: str, states: Sequence[str]) -> list[str]:
        """Return the states after a step, h first, from what x gives to it and the states before."""
        steps: dict[str, Callable[..., list[str]]] = {
            "LSTM": self._lstm,
            "GRU": self._gru,
            "RNN": self._rnn,
            "SLSTM": self._slstm,
        }
        return steps[self.model._kind](of_x, *states)

    # What cells are made of

    def _number(self, value: float) -> str:
        return self.w.constant(value, "number", self.model.dtype)

    def _array(self, name: str, array: Array | None = None) -> str:
        return self.w.constant(self.weights[name] if array is None else array, name)

    def _product(self, h: str, weight: Array) -> str:
        return self.w.add("MatMul", h, self._array("weight_hh", weight.T))

    @property
    def _weight_hh(self) -> Array:
        weight = self.weights["weight_hh"]
        return whole_recurrent(weight, self.model.hidden_size) if self.model.heads > 1 else weight

    def _of_h(self, h: str) -> str:
        of_h = self._product(h, self._weight_hh)
        if self.model.layer_norm:
            of_h = self.w.add("LayerNormalization", of_h, self._array("gain_hh"), axis=-1)
        return of_h

    def _bounded(self, value: str, bound: float | None) -> str:
        if not bound:
            return value
        return self.w.add("Clip", value, self._number(-bound), self._number(bound))

    def _gate(self, pre: str, which: int = 0) -> str:
        return applied(self.w, self.functions[which], self._bounded(pre, self.model.clip), self._number)

    def _between(self, new: str, old: str, share: float) -> str:
        """Return new + share (old - new)."""
        if not share:
            return new
        part = self.w.add("Mul", self._number(share), self.w.add("Sub", old, new))
        return self.w.add("Add", new, part)

    # Cells

    def _lstm(self, of_x: str, h: str, c: str) -> list[str]:
        w, model = self.w, self.model
        gates = w.split(w.add("Add", of_x, self._of_h(h)), 3 if model.input_forget else 4, axis=-1)
        i, f, g, o = gates if len(gates) == 4 else (gates[0], "", *gates[1:])
        p_i, p_f, p_o = self._peepholes()
        i = self._gate(self._seeing(i, p_i, c))
        f = w.add("Sub", self._number(1), i) if not f else self._gate(self._seeing(f, p_f, c))
        c_new = w.add("Add", w.add("Mul", f, c), w.add("Mul", i, self._gate(g, 1)))
        c_new = self._bounded(c_new, model.cell_clip)
        seen = c_new
        if model.layer_norm:
            seen = w.add("LayerNormalization", c_new, self._array("gain_c"), self._array("bias_c"), axis=-1)
        o = self._gate(self._seeing(o, p_o, c_new))
        m = w.add("Mul", o, applied(w, self.functions[2], seen, self._number))
        if model.proj_size:
            m = w.add("MatMul", m, self._array("weight_hr", self.weights["weight_hr"].T))
        zone_h, zone_c = model.zoneout
        return [self._between(m, h, zone_h), self._between(c_new, c, zone_c)]

    def _peepholes(self) -> list[Array | None]:
        if not self.model.peepholes:
            return [None] * 3
        parts: list[Array | None] = list(self.weights["weight_ch"].reshape(-1, self.model.hidden_size))
        return [parts[0], None, parts[1]] if self.model.input_forget else parts

    def _seeing(self, pre: str, peephole: Array | None, c: str) -> str:
        if peephole is None:
            return pre
        return self.w.add("Add", pre, self.w.add("Mul", self._array("peephole", peephole), c))

    def _gru(self, of_x: str, h: str) -> list[str]:
        w, H = self.w, self.model.hidden_size
        weight = self._weight_hh
        bias = self.weights.get("bias_hh", np.zeros(len(weight), weight.dtype))
        r_x, z_x, n_x = w.split(of_x, 3, axis=-1)
        if self.model.reset_after:
            r_h, z_h, n_h = w.split(w.add("Add", self._of_h(h), self._array("bias_hh", bias)), 3, axis=-1)
        else:
            early = w.add("Add", self._product(h, weight[: 2 * H]), self._array("bias_hh", bias[: 2 * H]))
            r_h, z_h = w.split(early, 2, axis=-1)
        r, z = self._gate(w.add("Add", r_x, r_h)), self._gate(w.add("Add", z_x, z_h))
        if self.model.reset_after:
            n_h = w.add("Mul", r, n_h)
        else:
            late = self._product(w.add("Mul", r, h), weight[2 * H :])
            n_h = w.add("Add", late, self._array("bias_hh", bias[2 * H :]))
        n = self._gate(w.add("Add", n_x, n_h), 1)
        h_new = w.add("Add", n, w.add("Mul", z, w.add("Sub", h, n)))
        return [self._between(h_new, h, self.model.zoneout[0])]

    def _rnn(self, of_x: str, h: str) -> list[str]:
        h_new = self._gate(self.w.add("Add", of_x, self._of_h(h)))
        return [self._between(h_new, h, self.model.zoneout[0])]

    def _slstm(self, of_x: str, h: str, c: str, n: str, m: str) -> list[str]:
        w = self.w
        i, f, z, o = w.split(w.add("Add", of_x, self._of_h(h)), 4, axis=-1)
        if self.model.forget_gate == "sigmoid":  # type: ignore[attr-defined]
            f = w.add("Neg", softplus(w, w.add("Neg", f), self._number))
        kept = w.add("Add", f, m)
        first = w.add("Equal", n, self._number(0))
        m_new = w.add("Where", first, i, w.add("Max", kept, i))
        i = w.add("Exp", w.add("Sub", i, m_new))
        f = w.add("Exp", w.add("Min", w.add("Sub", kept, m_new), self._number(0)))
        c = w.add("Add", w.add("Mul", f, c), w.add("Mul", i, w.add("Tanh", z)))
        n = w.add("Add", w.add("Mul", f, n), i)
        h = w.add("Div", w.add("Mul", w.add("Sigmoid", o), c), n)
        return [h, c, n, m_new]


def softplus(w: Writer, x: str, number: Any) -> str:
    """Return log(1 + exp(x)), without overflow."""
    small = w.add("Exp", w.add("Neg", w.add("Abs", x)))
    return w.add("Add", w.add("Log", w.add("Add", number(1), small)), w.add("Relu", x))


def applied(w: Writer, function: Function, x: str, number: Any) -> str:
    """Return a function of a value, of operators that ONNX Runtime has in float64, too."""
    name, alpha, beta = function
    if name in ("sigmoid", "tanh", "relu"):
        return w.add(name.capitalize(), x)
    if name == "affine":
        return w.add("Add", w.add("Mul", number(alpha), x), number(beta))
    if name == "scaled_tanh":
        return w.add("Mul", number(alpha), w.add("Tanh", w.add("Mul", number(beta), x)))
    if name == "hard_sigmoid":
        line = w.add("Add", w.add("Mul", number(alpha), x), number(beta))
        return w.add("Clip", line, number(0), number(1))
    if name == "softsign":
        return w.add("Div", x, w.add("Add", number(1), w.add("Abs", x)))
    if name == "softplus":
        return softplus(w, x, number)
    if name == "thresholded_relu":
        return w.add("Where", w.add("Greater", x, number(alpha)), x, number(0))
    below = w.add("Min", x, number(0))
    if name == "elu":
        below = w.add("Sub", w.add("Exp", below), number(1))
    return w.add("Add", w.add("Relu", x), w.add("Mul", number(alpha), below))
