"""Losses: each returns its value and its gradient with respect to the model's output."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array, as_floats, as_integers, check_shape


def softmax_cross_entropy(logits: ArrayLike, targets: ArrayLike) -> tuple[float, Array]:
    """Return the mean of -log softmax(logits)[target], and its gradient.

    As `torch.nn.functional.cross_entropy`, with the classes on the last axis.

    Parameters
    ----------
    logits : array (..., C)
    targets : integer array (...)
        From 0 to C - 1.

    Returns
    -------
    loss : float
        In nats; 0 where there are no targets.
    dlogits : array (..., C)
        Of `logits`' dtype.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.training import softmax_cross_entropy
    >>> loss, dlogits = softmax_cross_entropy(np.zeros((2, 4)), [0, 3])
    >>> round(loss, 4)
    1.3863
    >>> dlogits[0].tolist()
    [-0.375, 0.125, 0.125, 0.125]
    """
    scores = as_floats(logits, "logits")
    if scores.ndim == 0:
        raise ValueError("logits: expected shape (..., C), got ()")
    classes = scores.shape[-1]
    indices = as_integers(targets, "targets")
    check_shape(indices, "targets", scores.shape[:-1])
    if indices.size == 0:
        return 0.0, np.zeros_like(scores)
    if indices.min() < 0 or indices.max() >= classes:
        wrong = indices.min() if indices.min() < 0 else indices.max()
        raise ValueError(f"targets: expected classes from 0 to {classes - 1}, got {wrong}")
    rows = np.arange(indices.size)
    columns = indices.ravel()
    gradient = scores.reshape(-1, classes) - scores.reshape(-1, classes).max(axis=1, keepdims=True)
    shifted = gradient[rows, columns]
    np.exp(gradient, out=gradient)
    sums = gradient.sum(axis=1)
    loss = float((np.log(sums) - shifted).mean(dtype=np.float64))
    gradient /= sums[:, None]
    gradient[rows, columns] -= 1
    gradient /= len(rows)
    return loss, gradient.reshape(scores.shape)
