"""Classes of other libraries that take the parameters of our estimators."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature, signature
from typing import Any


def takes_parameters_of(estimator: type, *arguments: Any, **options: Any) -> Callable[[Any], Any]:
    """Return what gives a class the constructor of an estimator: it stores what it is given.

    So the parameters, their order and their defaults are written once. Libraries that read signatures find
    them in this one.

    Parameters
    ----------
    estimator : type
        Whose parameters, each by keyword, become attributes of the same names.
    arguments, options
        What the constructor of the class's base takes.
    """
    own = signature(estimator)
    told = Signature([Parameter("self", Parameter.POSITIONAL_OR_KEYWORD), *own.parameters.values()])

    def decorated(kind: Any) -> Any:
        def __init__(self: Any, **parameters: Any) -> None:
            bound = own.bind(**parameters)
            bound.apply_defaults()
            vars(self).update(bound.arguments)
            super(kind, self).__init__(*arguments, **options)

        __init__.__signature__ = told  # type: ignore[attr-defined]
        kind.__init__ = __init__
        return kind

    return decorated


def estimator_of(holder: Any, estimator: type) -> Any:
    """Return an estimator with the parameters that such an object has."""
    return estimator(**{name: getattr(holder, name) for name in signature(estimator).parameters})
