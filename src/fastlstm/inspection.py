"""What goes on inside a recurrent model: its gates and cells, and how far back its gradient reaches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .model.cells import one_of
from .model.precision import check_trains
from .model.recurrent import Recurrent
from .model.trace import Steps, Trace

__all__ = ["Steps", "Trace", "gradient_reach"]


def gradient_reach(model: Recurrent[Any], x: ArrayLike) -> NDArray[np.float64]:
    """Return how strongly the last output depends on the input k steps before it.

    That is the norm of the gradient of the last step's output with respect to x[T - 1 - k]. The output
    is taken along the direction whose entries are all equal, a vector of length 1, so that models of
    different sizes compare. One backward pass, without dropout.

    Parameters
    ----------
    model : LSTM, RNN, GRU or SLSTM
        Not bidirectional.
    x : array (T, B, I), or (B, T, I) with `batch_first`, or (T, I) for one sequence

    Returns
    -------
    float64 array (T,)
        By distance k = 0..T-1, the mean over the batch.

    Raises
    ------
    ValueError
        If the model is bidirectional, or x has another shape or no step at all.
    TypeError
        If x is not an array of floats.

    References
    ----------
    .. [1] Y. Bengio, P. Simard and P. Frasconi, "Learning Long-Term Dependencies with Gradient Descent is
       Difficult", IEEE Transactions on Neural Networks 5(2), 1994.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.inspection import gradient_reach
    >>> reach = gradient_reach(fastlstm.RNN(3, 5, rng=0), np.ones((20, 3)))
    >>> reach.shape, bool(reach[19] < reach[0])
    ((20,), True)
    """
    if not isinstance(model, Recurrent):
        raise TypeError(f"model: expected {one_of()}, got {type(model).__name__}")
    check_trains(model)
    model._check_causal()
    y, _, tape = model._run(x, None, None, True, model._weights, drop=False)
    assert tape is not None
    if y.size == 0:
        raise ValueError(f"x: expected at least one step of one sequence, got shape {np.shape(x)}")
    steps = 1 if model.batch_first and y.ndim == 3 else 0
    dy = np.zeros_like(y)
    np.moveaxis(dy, steps, 0)[-1] = 1 / np.sqrt(model.output_size)
    dx = tape.backward(dy).input
    assert dx is not None
    norms = np.moveaxis(np.linalg.norm(dx.astype(np.float64), axis=-1), steps, 0)
    reach: NDArray[np.float64] = norms.reshape(len(norms), -1).mean(axis=1)[::-1].copy()
    return reach
