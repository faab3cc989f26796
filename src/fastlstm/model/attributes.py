"""Attributes that can be set only once, and attributes that are checked whenever they are set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

Value = TypeVar("Value")


class Fixed:
    """Base of classes with attributes that others depend on: those in `_fixed` can be set only once.

    They are plain attributes, so reading them costs nothing.
    """

    _fixed: ClassVar[frozenset[str]] = frozenset()

    def __setattr__(self, name: str, value: object) -> None:
        self._check_free(name, repr(value))
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        self._check_free(name, "none")
        super().__delattr__(name)

    def _check_free(self, name: str, got: str) -> None:
        if name in self._fixed and hasattr(self, name):
            raise AttributeError(
                f"{name}: expected to stay as this {type(self).__name__} was built, got {got}: build another"
            )


class Setting(Generic[Value]):
    """An attribute that is checked whenever it is set, by a function of the value and its name."""

    def __init__(self, check: Callable[[Any, str], Value]) -> None:
        self._check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self._name, self._place = name, f"_{name}"

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object, owner: type) -> Value | Self:
        if instance is None:
            return self
        value: Value = getattr(instance, self._place)
        return value

    def __set__(self, instance: object, value: Value) -> None:
        setattr(instance, self._place, self._check(value, self._name))
