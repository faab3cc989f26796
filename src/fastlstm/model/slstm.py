"""The sLSTM of xLSTM over the base that all recurrent models share."""

from __future__ import annotations

from typing import Unpack

from numpy.typing import DTypeLike

from .checks import Array
from .options import SLSTMOptions
from .recurrent import Recurrent, Rng


class SLSTM(Recurrent[tuple[Array, Array, Array, Array]]):
    """The scalar LSTM of xLSTM over one or more layers, in one or both directions.

    The interface is `LSTM`'s; the state is (h, c, n, m). With pre = W_ih x + b_ih + W_hh h + b_hh, for i, f,
    z and o in this order::

        log f = log(sigmoid(pre f))
        m = max(log f + m, pre i)               or pre i, where n is 0
        i, f = exp(pre i - m), exp(log f + m - m of this step)
        c = f * c + i * tanh(pre z)
        n = f * n + i
        h = sigmoid(pre o) * c / n

    The input gate is an exponential, so a step may outweigh all that came before it; the normaliser n keeps h
    between -1 and 1, and the stabiliser m keeps c and n within a float's bounds.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, rng
        As for `LSTM`; there is no projection.
    forget_gate : {"sigmoid", "exp"}, default "sigmoid"
        Whether f is a sigmoid of its pre-activation or an exponential: log f is the pre-activation then.
    precision, x_scale, x_bits
        As for `LSTM`.
    reverse, init, forget_bias, learn_state, merge, weight_drop, empty_state, recurrent_dropout, gate_masks,
    heads
        As for `LSTM`; "chrono" is for gates that are sigmoids.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Notes
    -----
    xLSTM's own cell has the gates in this order, too, and one bias; its rule for the first step looks at the
    whole batch, and this one at each unit, so that a sequence's result does not depend on its neighbours.

    References
    ----------
    .. [1] M. Beck et al., "xLSTM: Extended Long Short-Term Memory", NeurIPS 2024.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> slstm = fastlstm.SLSTM(3, 8, heads=2, rng=0)
    >>> y, (h_n, c_n, n_n, m_n) = slstm(np.zeros((7, 2, 3)))
    >>> y.shape, m_n.shape, slstm.parameters["weight_hh_l0"].shape
    ((7, 2, 8), (1, 2, 8), (32, 4))
    """

    _kind = "SLSTM"
    forget_bias: float | None
    forget_gate: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: DTypeLike = "float32",
        rng: Rng = None,
        **options: Unpack[SLSTMOptions],
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            dtype,
            rng,
            options,
        )

    def _core_cell(self) -> str:
        return "slstm" if self.forget_gate == "sigmoid" else "slstm_exp"
