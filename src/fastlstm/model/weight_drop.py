"""Recurrent weights without some of their numbers, for one pass of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .checks import Array
from .masks import drop_mask

if TYPE_CHECKING:
    from .recurrent import Recurrent


def weights_dropped(
    model: Recurrent[Any], parameters: Mapping[str, Array]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return parameters with recurrent weights dropped, and what each of these was multiplied by."""
    masks = {
        name: drop_mask(model._rng, model.weight_drop, array.shape, model.dtype)
        for name, array in parameters.items()
        if name.startswith("weight_hh")
    }
    return {**parameters, **{name: parameters[name] * mask for name, mask in masks.items()}}, masks
