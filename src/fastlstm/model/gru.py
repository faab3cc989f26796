"""The GRU over the base that all recurrent models share."""

from __future__ import annotations

from typing import Unpack

import numpy as np
from numpy.typing import DTypeLike

from .checks import Array
from .options import GRUOptions
from .recurrent import Recurrent, Rng


class GRU(Recurrent[Array]):
    """Gated recurrent units over one or more layers, in one or both directions.

    The interface is `LSTM`'s, the state is h alone, and names, defaults and shapes are those of
    `torch.nn.GRU`::

        r, z = sigmoid(W_i x + b_i + W_h h + b_h)              reset and update gate, each with its weights
        n = tanh(W_in x + b_in + r (W_hn h + b_hn))            W_hn (r h) + b_hn without `reset_after`
        h = n + z (h - n)

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, rng
        As for `LSTM`; there is no projection.
    reset_after : bool, default True
        Whether the reset gate comes after the product with W_hn, as in PyTorch, cuDNN and, by default, Keras,
        or before it, as in [1]_, ONNX by default, TensorFlow 1 and Paddle. Parameters have the same names and
        shapes either way. Only the former shares the units of one sequence among threads.
    precision, x_scale, x_bits
        As for `LSTM`.
    reverse, init, learn_state, merge, weight_drop, empty_state, clip, recurrent_dropout, gate_masks, heads
        As for `LSTM`; no recurrent dropout without `reset_after`.
    activations : sequence of two functions, optional
        In the place of sigmoid for r and z, and of tanh for n.
    zoneout : float, default 0.0
        As for `LSTM`; there is no c.
    layer_norm : bool, default False
        Whether what x and what h give to r, z and n is normalised over all three, each with gains (parameters
        `gain_ih_l0` and `gain_hh_l0`, (3·H,)), before the biases are added [3]_. Without heads, and with the
        reset gate after the product.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Notes
    -----
    Other forms are conversions of weights. Where z weighs n, and 1 - z the state, as in [2]_, the rows of z
    change their sign, since 1 - sigmoid(a) = sigmoid(-a)::

        H = gru.hidden_size
        gru.load_state_dict(
            {name: np.r_[w[:H], -w[H : 2 * H], w[2 * H :]] for name, w in gru.state_dict().items()}
        )

    Where the state has no bias of its own, as in r (U h), `bias_hh` is zero.

    References
    ----------
    .. [1] K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
       Translation", EMNLP 2014; the reset gate after the product as cuDNN and PyTorch have it.
    .. [2] J. Chung, C. Gulcehre, K. Cho and Y. Bengio, "Empirical Evaluation of Gated Recurrent Neural
       Networks on Sequence Modeling", arXiv:1412.3555, 2014.
    .. [3] J. Ba, J. Kiros and G. Hinton, "Layer Normalization", arXiv:1607.06450, 2016; over all gates as
       haste has it.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> gru = fastlstm.GRU(3, 5, bidirectional=True, rng=0)
    >>> y, h_n = gru(np.zeros((7, 2, 3)))
    >>> y.shape, h_n.shape
    ((7, 2, 10), (2, 2, 5))
    """

    _kind = "GRU"
    _functions = ("sigmoid", "tanh")

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
        **options: Unpack[GRUOptions],
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
        return "gru" if self.reset_after else "gru_reset_first"

    # PyTorch's order of gates is r, z, n. The core's is n, r, z for x and r, z, n for h, since its chains are
    # n_x, r, z, n_h; reset first, its chains are PyTorch's gates.

    def _for_core(
        self, weight_ih: Array, weight_hh: Array, bias_ih: Array, bias_hh: Array
    ) -> tuple[Array, Array, Array]:
        if not self.reset_after:
            return super()._for_core(weight_ih, weight_hh, bias_ih, bias_hh)
        H = self.hidden_size
        both = bias_ih[: 2 * H] + bias_hh[: 2 * H]
        bias = np.concatenate([bias_ih[2 * H :], both, bias_hh[2 * H :]])
        return np.roll(weight_ih, H, axis=0), weight_hh, bias

    def _from_core(
        self, weight_ih: Array, weight_hh: Array, bias: Array
    ) -> tuple[Array, Array, Array, Array]:
        if not self.reset_after:
            return super()._from_core(weight_ih, weight_hh, bias)
        H = self.hidden_size
        return np.roll(weight_ih, -H, axis=0), weight_hh, np.roll(bias[: 3 * H], -H), bias[H:].copy()
