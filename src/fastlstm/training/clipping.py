"""Gradients kept from growing too large."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from .._arrays import Array, as_positive


def clip_gradient_norm(gradients: Iterable[Mapping[str, Array]], max_norm: float) -> float:
    """Scale gradients in place so that their norm, taken together, is at most `max_norm`.

    As `torch.nn.utils.clip_grad_norm_`.

    Parameters
    ----------
    gradients : iterable of mapping of str to array
    max_norm : float
        Above 0.

    Returns
    -------
    float
        The norm before.

    Raises
    ------
    ValueError, TypeError
        If `max_norm` is not a number above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.training import clip_gradient_norm
    >>> gradients = [{"weight": np.array([3.0, 4.0])}]
    >>> clip_gradient_norm(gradients, 1.0)
    5.0
    >>> gradients[0]["weight"].round(3).tolist()
    [0.6, 0.8]
    """
    bound = as_positive(max_norm, "max_norm")
    arrays = [array for named in gradients for array in named.values()]
    norm = float(np.sqrt(sum(float(np.vdot(array, array)) for array in arrays)))
    scale = bound / (norm + 1e-6)
    if scale < 1:
        for array in arrays:
            array *= scale
    return norm
