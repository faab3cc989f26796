"""Convolution over time: a product with a matrix at every place of a window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike

from .._core import Product
from ..model.batch import Sequences
from ..model.checks import Array, as_boolean, as_dtype, as_generator, as_size
from ..model.parameters import Weights
from ..model.recurrent import Rng
from .windows import WindowLayer, Windows

LONGEST = 1 << 20
"""Steps of a stride or padding up to which the core finds windows itself."""


class Conv1d(WindowLayer):
    """A convolution over the steps, as `torch.nn.Conv1d`: from (T, B, in_channels) to (T', B, out_channels).

    Channels are the last axis, as everywhere in this package; the weights lie as PyTorch's.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int
        How many steps each output reads.
    stride : int, default 1
        How many steps there are from one output's to the next's.
    padding : int, "same" or "causal", default 0
        How many zeros there are before the first and behind the last step; "same": as many as give an output
        for each step; "causal": all of them before, so that no output reads a step behind its own.
        The two need a stride of 1.
    dilation : int, default 1
        How many steps there are from one that an output reads to the next.
    groups : int, default 1
        Each group of outputs reads only its own group of inputs, in_channels / groups of them.
    bias : bool, default True
    dtype : {"float32", "float64"}, default "float32"
    rng : numpy.random.Generator, seed or None
        Draws the initial values, U(-1/sqrt(n), 1/sqrt(n)), n = in_channels / groups · kernel_size.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Notes
    -----
    A sequence of L steps has (L + padding - dilation·(kernel_size - 1) - 1) // stride + 1 after it, where
    padding counts on both sides; see `lengths_after`. The padding begins at each sequence's own end. A
    sequence without a step has none after it either.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> convolution = fastlstm.Conv1d(3, 8, kernel_size=5, stride=2, padding=2, rng=0)
    >>> convolution(np.ones((20, 4, 3))).shape
    (10, 4, 8)
    >>> convolution.lengths_after([20, 7, 0]).tolist()
    [10, 4, 0]
    """

    _gives_new = True
    _fixed = WindowLayer._fixed | {
        "in_channels",
        "out_channels",
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "groups",
        "bias",
        "dtype",
        "windows",
    }

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int | str = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        dtype: DTypeLike = "float32",
        rng: Rng = None,
    ) -> None:
        self.in_channels: Final = as_size(in_channels, "in_channels")
        self.out_channels: Final = as_size(out_channels, "out_channels")
        self.kernel_size: Final = as_size(kernel_size, "kernel_size")
        self.stride: Final = as_size(stride, "stride")
        self.dilation: Final = as_size(dilation, "dilation")
        self.groups: Final = as_size(groups, "groups")
        self.bias: Final = as_boolean(bias, "bias")
        self.dtype: Final = as_dtype(dtype)
        self.padding: Final = padding if isinstance(padding, str) else as_size(padding, "padding", least=0)
        before, after = _padding(self.padding, self.dilation * (self.kernel_size - 1), self.stride)
        self.windows = Windows(self.kernel_size, self.stride, self.dilation, before, after)
        for name, channels in (("in_channels", self.in_channels), ("out_channels", self.out_channels)):
            if channels % self.groups:
                raise ValueError(f"{name}: expected a multiple of groups={self.groups}, got {channels}")
        # Where a window's numbers lie side by side in memory: from where to where the core finds them.
        side_by_side = self.dilation == self.groups == 1 and max(self.stride, before, after) <= LONGEST
        self._row = (self.stride, before, after) if side_by_side else None
        shape = self.out_channels, self.in_channels // self.groups, self.kernel_size
        bound, generator = 1 / np.sqrt(shape[1] * shape[2]), as_generator(rng)
        shapes: list[tuple[str, tuple[int, ...]]] = [("weight", shape)]
        if self.bias:
            shapes.append(("bias", shape[:1]))
        self._draw_initial(shapes, self.dtype, lambda name, shape: generator.uniform(-bound, bound, shape))

    @property
    def _reads(self) -> int:
        return self.in_channels

    @property
    def _gives(self) -> int:
        return self.out_channels

    def __repr__(self) -> str:
        defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}
        told = {name: getattr(self, name) for name in defaults}
        options = "".join(f", {name}={told[name]!r}" for name in defaults if told[name] != defaults[name])
        return f"Conv1d({self.in_channels}, {self.out_channels}, {self.kernel_size}{options})"

    def _dtype(self, x: Array) -> np.dtype[Any]:
        return self.dtype

    def _bias(self, weights: Weights) -> Array:
        return weights.arrays["bias"] if self.bias else np.zeros(self.out_channels, self.dtype)

    def _evaluate_alone(self, x: Array, weights: Weights) -> Array:
        if self._row is None:
            return super()._evaluate_alone(x, weights)
        (product,) = self._packed(weights)
        return product.slide(np.ascontiguousarray(x, self.dtype), *self._row)

    def _evaluate(
        self, x: Array, sequences: Sequences | None, weights: Weights
    ) -> tuple[Array, Sequences | None]:
        assert sequences is not None
        ragged = sequences.lengths is not None or sequences.mask is not None
        if sequences.B != 1 or self._row is None or ragged:
            return super()._evaluate(x, sequences, weights)
        y = self._evaluate_alone(x.reshape(sequences.T, x.shape[-1]), weights)
        after = sequences._replace(T=len(y))
        return y.reshape(after.shape(self.out_channels)), after

    def _slide(
        self, padded: Array, count: int, weights: Weights
    ) -> tuple[Array, Callable[[Array], tuple[Array, dict[str, Array]]]]:
        if self.groups > 1 and self.groups == self.in_channels:
            return self._slide_each(padded, count, weights)
        groups = [
            _Group(product, self.windows, padded[:, :, part])
            for product, part in zip(self._packed(weights), self._parts(self.in_channels), strict=True)
        ]
        outputs = [group.forward(count) for group in groups]
        y = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=2)

        def backward(dy: Array) -> tuple[Array, dict[str, Array]]:
            parts = zip(groups, self._parts(self.out_channels), strict=True)
            inputs, kernels, biases = zip(
                *(group.backward(np.ascontiguousarray(dy[:, :, part])) for group, part in parts), strict=True
            )
            gradients = self._named(np.concatenate(kernels), np.concatenate(biases))
            return np.concatenate(inputs, axis=2), gradients

        return y, backward

    def _slide_each(
        self, padded: Array, count: int, weights: Weights
    ) -> tuple[Array, Callable[[Array], tuple[Array, dict[str, Array]]]]:
        """Do the same where each output reads one channel: there is no matrix to multiply with."""
        kernel, multiple = weights.arrays["weight"][:, 0], self.out_channels // self.in_channels
        places = [self.windows.steps_of(place, count) for place in range(self.kernel_size)]
        repeated = np.repeat(padded, multiple, axis=2)
        y = np.empty((len(padded), count, self.out_channels), self.dtype)
        y[...] = self._bias(weights)
        for place, steps in enumerate(places):
            y += repeated[:, steps] * kernel[:, place]

        def backward(dy: Array) -> tuple[Array, dict[str, Array]]:
            d_repeated, d_kernel = np.zeros_like(repeated), np.empty((self.out_channels, 1, self.kernel_size))
            for place, steps in enumerate(places):
                d_repeated[:, steps] += dy * kernel[:, place]
                d_kernel[:, 0, place] = np.einsum("btc,btc->c", dy, repeated[:, steps])
            d_padded = d_repeated.reshape(*padded.shape, multiple).sum(axis=3)
            return d_padded, self._named(d_kernel.astype(self.dtype), dy.sum(axis=(0, 1)))

        return y, backward

    def _named(self, weight: Array, bias: Array) -> dict[str, Array]:
        """Return gradients by the names of the parameters."""
        return {"weight": weight, "bias": bias} if self.bias else {"weight": weight}

    def _parts(self, channels: int) -> list[slice]:
        """Return which of so many channels each group has."""
        size = channels // self.groups
        return [slice(first, first + size) for first in range(0, channels, size)]

    def _packed(self, weights: Weights) -> list[Product]:
        """Return each group's packed weights, which are kept with those they came from."""
        if weights.derived is None:
            # A window's numbers lie step by step, and in a step channel by channel.
            rows = weights.arrays["weight"].swapaxes(1, 2).reshape(self.out_channels, -1)
            bias = self._bias(weights)
            weights.derived = [
                Product(np.ascontiguousarray(rows[part]), bias[part])
                for part in self._parts(self.out_channels)
            ]
        packed: list[Product] = weights.derived
        return packed


class _Group:
    """The channels of one group, and its product with the windows."""

    def __init__(self, product: Product, windows: Windows, padded: Array) -> None:
        self._product = product
        self._windows = windows
        self._padded = np.ascontiguousarray(padded)

    def forward(self, count: int) -> Array:
        """Return the product for the first windows, (B, count, outputs)."""
        B, _, channels = self._padded.shape
        windows = self._windows
        rows = windows.of(self._padded, count).reshape(B * count, windows.size * channels)
        # The core reads rows that lie apart, but none that overlap.
        apart = windows.dilation == 1 and windows.stride >= windows.size
        self._rows = rows if apart else np.ascontiguousarray(rows)
        y = self._product.forward(self._rows)
        return y.reshape(B, count, y.shape[1])

    def backward(self, dy: Array) -> tuple[Array, Array, Array]:
        """Return the gradients of the padded steps, the weights (outputs, channels, size) and the bias."""
        (B, count, outputs), size, channels = dy.shape, self._windows.size, self._padded.shape[2]
        d_rows, kernel, bias = self._product.backward(
            np.ascontiguousarray(self._rows), dy.reshape(B * count, outputs)
        )
        d_windows = d_rows.reshape(B, count, size, channels)
        d_padded = np.zeros_like(self._padded)
        for place in range(size):
            d_padded[:, self._windows.steps_of(place, count)] += d_windows[:, :, place]
        return d_padded, kernel.reshape(outputs, size, channels).swapaxes(1, 2), bias


def _padding(padding: int | str, reach: int, stride: int) -> tuple[int, int]:
    """Return how many steps of padding there are before and after; ValueError if there can be none such."""
    if isinstance(padding, int):
        return padding, padding
    if padding not in ("same", "causal"):
        raise ValueError(f"padding: expected an integer, 'same' or 'causal', got {padding!r}")
    if stride != 1:
        raise ValueError(f"padding: expected an integer with stride={stride}, got {padding!r}")
    return (reach, 0) if padding == "causal" else (reach // 2, reach - reach // 2)
