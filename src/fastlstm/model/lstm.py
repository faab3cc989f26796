"""The LSTM over the base that all recurrent models share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

import numpy as np
from numpy.typing import DTypeLike

from .checks import Array
from .options import LSTMOptions
from .recurrent import Recurrent, Rng
from .tape import Place


class LSTM(Recurrent[tuple[Array, Array]]):
    """Long short-term memory over one or more layers, in one or both directions.

    Names, defaults, shapes and the gate order i, f, g, o are those of `torch.nn.LSTM`, and the
    `state_dict` of one loads into the other. With pre = W_ih x + b_ih + W_hh h + b_hh::

        i, f, g, o = sigmoid, sigmoid, tanh, sigmoid (pre)
        c = f * c + i * g
        h = o * tanh(c)                 (W_hr times that, with a projection)

    Parameters
    ----------
    input_size : int
        I, numbers in each step of the input.
    hidden_size : int
        H, units of a layer.
    num_layers : int, default 1
        Each layer above the first reads the outputs of the one below.
    bias : bool, default True
        Whether pre-activations have biases (two, `bias_ih` and `bias_hh`, as PyTorch has them).
    batch_first : bool, default False
        Whether batches are (B, T, I) rather than (T, B, I).
    dropout : float, default 0.0
        Share of each layer's outputs but the last's that `forward` sets to zero; the others are scaled
        by 1 / (1 - dropout). Calling the model drops nothing.
    bidirectional : bool, default False
        Whether each layer also runs from last step to first; y then holds both, forward first, if `merge`
        doesn't say otherwise.
    proj_size : int, default 0
        P, the size that h is projected to; 0 for no projection.
    dtype : {"float32", "float64"}, default "float32"
    rng : numpy.random.Generator, seed or None
        Draws the initial values and dropout.
    reverse : bool, default False
        Whether the model runs from each sequence's last step to its first, in one direction, as half of a
        bidirectional model does. y lies as `x` does, so what the last visited step gave is at step 0; a
        `LastStep` after it reads that. Streams refuse it. (Keras's `go_backwards` is this with y in the order
        of the visits.)
    init : {"uniform", "orthogonal", "glorot"} or ("chrono", T_max), default "uniform"
        How the initial values are drawn. "uniform" is PyTorch's, U(-1/sqrt(H), 1/sqrt(H)) for every
        parameter. "orthogonal" differs from it in the recurrent weights: those of each gate are an orthogonal
        matrix. "glorot" is Keras's: input weights U(-b, b) with b = sqrt(6 / (rows + columns)), recurrent
        weights one matrix with orthonormal columns, biases zero; ``init="glorot", forget_bias=1.0`` is
        Keras's default. ("chrono", T_max), for dependencies of up to T_max steps [4]_, differs from "uniform"
        in two gates' biases: f's is the logarithm of a draw from U(1, T_max - 1), and i's is minus that; in a
        `GRU`, z's alone.
    forget_bias : float, optional
        What the forget gate's biases add up to at first: `bias_ih` is this and `bias_hh` zero. At 1 a model
        begins by remembering [5]_. None draws them like the others.
    learn_state : bool, default False
        Whether the state that sequences begin with, where none is given, is learned. It is in the parameters
        `h_0`, (layers·D, P), and `c_0`, (layers·D, H), zeros at first. Streams and traces begin with it, too.
    merge : {"concat", "sum", "mean", "mul"}, default "concat"
        What each layer of a bidirectional model gives of its two directions: side by side, or their sum, mean
        or product, as Keras's `Bidirectional` has it. States have both; so has a trace. A `LastStep` can't
        tell merged directions apart: it reads the last step.
    weight_drop : float, default 0.0
        Share of the recurrent weights that `forward` sets to zero, others for each pass, in all layers and
        directions; those that stay are scaled by 1 / (1 - weight_drop) [6]_. Calling the model drops nothing.
    precision : {"bfloat16", "int8", "int4"}, optional
        In what products have x, h and the weights, of a float32 model: see `fastlstm.quantize`, which makes
        such a model of one of floats. Gates, c and results are float32 in any case. With "bfloat16" the
        model can be trained: gradients are multiplied so, too, and the parameters stay float32.
    x_scale : float, optional
        With "int8" and "int4", what one of the whole numbers is worth that x becomes; None finds it for each
        vector.
    x_bits : {8, 16}, default 8
        With "int8" and "int4", the bits of a number of x: with 16, what the first whole numbers leave
        becomes such numbers, too. See `fastlstm.quantize`.
    empty_state : {"initial", "zero"}, default "initial"
        The final state of a sequence without any step: the one it began with, or zeros, as ONNX Runtime has
        it. A stream or pool that is fed no frames keeps its state either way.
    clip : float, optional
        Pre-activations stay within plus and minus that, as ONNX has it.
    activations : sequence of three functions, optional
        In the place of sigmoid for i, f and o, of tanh for g, and of tanh for c: each a name, or a tuple
        (name, alpha) or (name, alpha, beta). The names are those of ONNX, "sigmoid", "tanh", "relu",
        "affine", "leaky_relu", "thresholded_relu", "scaled_tanh", "hard_sigmoid", "elu", "softsign" and
        "softplus", with ONNX's alpha and beta where they are not told: Keras's hard sigmoid is
        ("hard_sigmoid", 1/6, 0.5), or until Keras 2 ("hard_sigmoid", 0.2, 0.5). Slower than the usual ones.
    zoneout : float or pair of floats, default 0.0
        Share of h and of c that each step leaves as it was (two numbers for different ones) [7]_: some of
        the units, drawn at random, in `forward`; that share of all of them when the model is called.
    recurrent_dropout : float, default 0.0
        Share of h that the recurrent weights don't see, in `forward` [8]_: the same units at all steps of a
        sequence. What they see is scaled by 1 / (1 - recurrent_dropout).
    gate_masks : bool, default False
        Whether `recurrent_dropout` draws a mask for each gate, as Keras has it until Keras 2, instead of one
        for all. Training then takes 11 to 15 % more; not with `precision`.
    heads : int, default 1
        Into how many parts of equal size the units are cut, each of which sees h of its own units alone: so
        many times fewer recurrent weights, `weight_hh_l0` is (4·H, H / heads), and less work. With as many
        heads as units it is the recurrence of IndRNN [10]_.
    peepholes : bool, default False
        Whether i and f also see c of the step before, and o that of its own step, by one weight for each
        unit [2]_: parameters `weight_ch_l0` and so on, (3·H,), in the order i, f, o.
    input_forget : bool, default False
        Whether f is 1 - i. The weights have the rows of i, g and o then, peepholes those of i and o.
    cell_clip : float, optional
        c stays within plus and minus that.
    layer_norm : bool, default False
        Whether what x and what h give to the gates are normalised over all gates, each with gains (parameters
        `gain_ih_l0` and `gain_hh_l0`, (4·H,)), before the biases are added; and c, with gains and biases
        (`gain_c_l0` and `bias_c_l0`, (H,)), where h is made of it [9]_. Without `clip`, `activations`,
        `peepholes`, `input_forget`, `cell_clip` and zoneout of c.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Notes
    -----
    Calling a model gives the same bits for a sequence alone or in any batch, whole or in pieces with
    the state carried, and with any number of threads.

    The arguments are attributes, too. Only `dropout` can be changed later.

    References
    ----------
    .. [1] S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997.
    .. [2] F. Gers, J. Schmidhuber and F. Cummins, "Learning to Forget: Continual Prediction with LSTM",
       Neural Computation 12(10), 2000.
    .. [3] H. Sak, A. Senior and F. Beaufays, "Long Short-Term Memory Based Recurrent Neural Network
       Architectures for Large Vocabulary Speech Recognition", arXiv:1402.1128, 2014: the projection.
    .. [4] C. Tallec and Y. Ollivier, "Can Recurrent Neural Networks Warp Time?", ICLR 2018: chrono.
    .. [5] R. Jozefowicz, W. Zaremba and I. Sutskever, "An Empirical Exploration of Recurrent Network
       Architectures", ICML 2015: the forget gate's bias.
    .. [6] S. Merity, N. S. Keskar and R. Socher, "Regularizing and Optimizing LSTM Language Models", ICLR
       2018: dropped weights.
    .. [7] D. Krueger et al., "Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations",
       ICLR 2017.
    .. [8] Y. Gal and Z. Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent Neural
       Networks", NeurIPS 2016.
    .. [9] J. Ba, J. Kiros and G. Hinton, "Layer Normalization", arXiv:1607.06450, 2016.
    .. [10] S. Li et al., "Independently Recurrent Neural Network (IndRNN): Building A Longer and Deeper RNN",
       CVPR 2018.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> lstm = fastlstm.LSTM(3, 5, batch_first=True, rng=0)
    >>> x = np.zeros((2, 7, 3), np.float32)
    >>> y, (h_n, c_n) = lstm(x)
    >>> y.shape, h_n.shape, c_n.shape
    ((2, 7, 5), (1, 2, 5), (1, 2, 5))
    >>> y, state, tape = lstm.forward(x, lengths=[7, 4])
    >>> gradients = tape.backward(np.ones_like(y))
    >>> gradients.input.shape, gradients.parameters["weight_hh_l0"].shape
    ((2, 7, 3), (20, 5))
    >>> fastlstm.LSTM(3, 5, rng=0, forget_bias=1.0).parameters["bias_ih_l0"][5:10]
    array([1., 1., 1., 1., 1.], dtype=float32)
    """

    forget_bias: float | None
    _kind = "LSTM"
    _functions = ("sigmoid", "tanh", "tanh")

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
        *,
        dtype: DTypeLike = "float32",
        rng: Rng = None,
        **options: Unpack[LSTMOptions],
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            dtype,
            rng,
            options,
        )

    def _core_cell(self) -> str:
        return "lstm_norm" if self.layer_norm else "lstm"

    # Without a forget gate of its own f is 1 - i, the gate of i's pre-activation with the other sign: so the
    # core has rows for it, which are i's, negated.

    @property
    def _weight_rows(self) -> int:
        return self._cell.weight_rows - self.input_forget

    def _for_core(
        self, weight_ih: Array, weight_hh: Array, bias_ih: Array, bias_hh: Array
    ) -> tuple[Array, Array, Array]:
        whole = super()._for_core(weight_ih, weight_hh, bias_ih, bias_hh)
        if not self.input_forget:
            return whole
        H = self.hidden_size
        weight_ih, weight_hh, bias = (np.concatenate([rows[:H], -rows[:H], rows[H:]]) for rows in whole)
        return weight_ih, weight_hh, bias

    def _from_core(
        self, weight_ih: Array, weight_hh: Array, bias: Array
    ) -> tuple[Array, Array, Array, Array]:
        if not self.input_forget:
            return super()._from_core(weight_ih, weight_hh, bias)
        H = self.hidden_size
        return super()._from_core(
            *(
                np.concatenate([rows[:H] - rows[H : 2 * H], rows[2 * H :]])
                for rows in (weight_ih, weight_hh, bias)
            )
        )

    def _peephole_for_core(self, place: Place, arrays: Mapping[str, Array]) -> Array | None:
        if not self.peepholes:
            return None
        peephole = arrays[place.name("weight_ch")].reshape(-1, self.hidden_size)
        return np.stack([peephole[0], -peephole[0], peephole[1]]) if self.input_forget else peephole

    def _peephole_from_core(self, peephole: Array) -> Array:
        if not self.input_forget:
            return super()._peephole_from_core(peephole)
        return np.concatenate([peephole[0] - peephole[1], peephole[2]])
