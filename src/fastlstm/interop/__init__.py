"""Models and estimators in files that others can read, too; and inside other frameworks."""

from importlib import import_module as _import_module
from typing import Any as _Any

from .saving import load, save

__all__ = ["load", "save"]

_FRAMEWORKS = ("keras", "thinc", "torch")


def __getattr__(name: str) -> _Any:
    if name in _FRAMEWORKS:  # each imports its framework, and says which extra brings it
        return _import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
