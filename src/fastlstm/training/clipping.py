"""Gradients kept from growing too large."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..model.checks import Array, as_mapping, as_positive


def clip_gradient_norm(gradients: Iterable[Mapping[str, Array]], max_norm: float) -> float:
    """Scale gradients in place so that their norm, taken together, is at most `max_norm`.

    As `torch.nn.utils.clip_grad_norm_`.

    Parameters
    ----------
    gradients : iterable of mapping of str to array
        Writable, and of floats.
    max_norm : float
        Above 0.

    Returns
    -------
    float
        The norm before.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above; nothing has changed then.

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
    arrays = _arrays_of(gradients)
    norm = float(np.sqrt(sum(float(np.vdot(array, array)) for array in arrays)))
    scale = bound / (norm + 1e-6)
    if scale < 1:
        for array in arrays:
            array *= scale
    return norm


def _arrays_of(gradients: Any) -> list[Array]:
    """Return the arrays that are to be scaled; TypeError or ValueError if they can't be."""
    if isinstance(gradients, (str, bytes, Mapping)) or not isinstance(gradients, Iterable):
        expected = "a list of a mapping for each model"
        raise TypeError(f"gradients: expected {expected}, got {type(gradients).__name__}")
    arrays = []
    for named in gradients:
        for name, array in as_mapping(named, "gradients", "names to arrays for each model").items():
            if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
                raise TypeError(
                    f"gradients: expected arrays of floats, got {type(array).__name__} as {name!r}"
                )
            if not array.flags.writeable:
                raise ValueError(f"gradients: expected writable arrays, got a read-only one as {name!r}")
            arrays.append(array)
    return arrays
