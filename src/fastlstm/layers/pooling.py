"""Pooling: one step for several that lie beside each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..model.checks import Array, as_size
from ..model.parameters import Weights
from .windows import WindowLayer, Windows


class Pool(WindowLayer):
    """Base of the pooling layers."""

    _fixed = WindowLayer._fixed | {"kernel_size", "stride", "padding", "windows"}

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0) -> None:
        self.kernel_size: Final = as_size(kernel_size, "kernel_size")
        self.stride: Final = self.kernel_size if stride is None else as_size(stride, "stride")
        # With more, a window could have nothing but padding.
        self.padding: Final = as_size(padding, "padding", least=0, most=self.kernel_size // 2)
        self.windows = Windows(self.kernel_size, self.stride, 1, self.padding, self.padding)
        self._set_initial({})

    def __repr__(self) -> str:
        stride = "" if self.stride == self.kernel_size else f", stride={self.stride}"
        padding = f", padding={self.padding}" if self.padding else ""
        return f"{type(self).__name__}({self.kernel_size}{stride}{padding})"

    def _dtype(self, x: Array) -> np.dtype[Any]:
        return x.dtype

    def _places(self, count: int) -> list[slice]:
        """Return for each place in a window which padded steps the first windows have there."""
        return [self.windows.steps_of(place, count) for place in range(self.kernel_size)]


class MaxPool1d(Pool):
    """The maximum of each window, as `torch.nn.MaxPool1d`: from (T, B, n) to (T', B, n).

    Parameters
    ----------
    kernel_size : int
        How many steps a window has.
    stride : int, optional
        How many steps there are from one window's to the next's; None is `kernel_size`.
    padding : int, default 0
        How many steps that are never the maximum there are before the first and behind the last step of each
        sequence; at most half of `kernel_size`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Notes
    -----
    Of equal ones the first gets the gradient. `lengths_after` tells how many steps are left; what does not
    fill a window at a sequence's end is left out.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.MaxPool1d(2)(np.array([[1.0], [3.0], [2.0], [0.0], [9.0]])).tolist()
    [[3.0], [2.0]]
    """

    _fill = -np.inf

    def _slide(
        self, padded: Array, count: int, weights: Weights
    ) -> tuple[Array, Callable[[Array], tuple[Array, dict[str, Array]]]]:
        windows = self.windows.of(padded, count)

        def backward(dy: Array) -> tuple[Array, dict[str, Array]]:
            chosen, d_padded = windows.argmax(axis=2), np.zeros_like(padded)
            for place, steps in enumerate(self._places(count)):
                d_padded[:, steps] += np.where(chosen == place, dy, 0)
            return d_padded, {}

        return windows.max(axis=2), backward


class AvgPool1d(Pool):
    """The mean of each window, as `torch.nn.AvgPool1d`: from (T, B, n) to (T', B, n).

    Parameters
    ----------
    kernel_size : int
        How many steps a window has.
    stride : int, optional
        How many steps there are from one window's to the next's; None is `kernel_size`.
    padding : int, default 0
        How many zeros there are before the first and behind the last step of each sequence; at most half of
        `kernel_size`. The mean counts them.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Notes
    -----
    `lengths_after` tells how many steps are left; what does not fill a window at a sequence's end is left
    out.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> fastlstm.AvgPool1d(2)(np.array([[1.0], [3.0], [2.0], [0.0], [9.0]])).tolist()
    [[2.0], [1.0]]
    """

    def _slide(
        self, padded: Array, count: int, weights: Weights
    ) -> tuple[Array, Callable[[Array], tuple[Array, dict[str, Array]]]]:
        y = np.zeros((len(padded), count, padded.shape[2]), padded.dtype)
        for steps in self._places(count):
            y += padded[:, steps]
        y /= self.kernel_size

        def backward(dy: Array) -> tuple[Array, dict[str, Array]]:
            d_padded, share = np.zeros_like(padded), dy / self.kernel_size
            for steps in self._places(count):
                d_padded[:, steps] += share
            return d_padded, {}

        return y, backward
