"""The plain RNN over the base that all recurrent models share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Unpack

from numpy.typing import DTypeLike

from .checks import Array
from .options import RNNOptions
from .recurrent import Recurrent, Rng
from .variants import is_varied


class RNN(Recurrent[Array]):
    """A plain recurrent network over one or more layers, in one or both directions.

    The interface is `LSTM`'s, the state is h alone, and names, defaults and shapes are those of
    `torch.nn.RNN`::

        h = tanh(W_ih x + b_ih + W_hh h + b_hh)         or relu

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
        As for `LSTM`.
    nonlinearity : {"tanh", "relu"}, default "tanh"
    bias, batch_first, dropout, bidirectional, dtype, rng
        As for `LSTM`.
    precision, x_scale, x_bits
        As for `LSTM`.
    reverse, init, learn_state, merge, weight_drop, empty_state, clip, recurrent_dropout, heads
        As for `LSTM`; an RNN has no gates, so there is no "chrono".
    activations : sequence of one function, optional
        In the place of `nonlinearity`.
    zoneout : float, default 0.0
        As for `LSTM`; there is no c.
    layer_norm : bool, default False
        Whether W_ih x and W_hh h are normalised, each with gains (parameters `gain_ih_l0` and `gain_hh_l0`,
        (H,)), before the biases are added [2]_. Without heads.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    .. [1] J. Elman, "Finding Structure in Time", Cognitive Science 14(2), 1990.
    .. [2] J. Ba, J. Kiros and G. Hinton, "Layer Normalization", arXiv:1607.06450, 2016.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> rnn = fastlstm.RNN(3, 5, nonlinearity="relu", rng=0)
    >>> y, h_n = rnn(np.zeros((7, 2, 3)))
    >>> y.shape, h_n.shape
    ((7, 2, 5), (1, 2, 5))
    """

    _fixed = Recurrent._fixed | {"nonlinearity"}
    nonlinearity: str
    _kind = "RNN"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: DTypeLike = "float32",
        rng: Rng = None,
        **options: Unpack[RNNOptions],
    ) -> None:
        known = ("tanh", "relu")
        if not isinstance(nonlinearity, str) or nonlinearity not in known:
            raise ValueError(f"nonlinearity: expected {' or '.join(map(repr, known))}, got {nonlinearity!r}")
        self.nonlinearity = nonlinearity
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
        return "rnn" if is_varied(self) else self.nonlinearity

    @property
    def _functions(self) -> tuple[str, ...]:  # type: ignore[override]
        return (self.nonlinearity,)

    def _options(self) -> Iterator[str]:
        if self.nonlinearity != "tanh":
            yield f"nonlinearity={self.nonlinearity!r}"
        yield from super()._options()
