"""Recurrent models: their weights, passes and streams."""

from .base import Model

__all__ = ["Model"]
