"""Averages of the weights that training passes through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from numpy.typing import ArrayLike

from ..model.attributes import Setting
from ..model.checks import Array, as_count, as_floats, as_integers, as_mapping, as_share
from ..model.parameters import Parameterised
from ..model.precision import check_trains


class WeightAverage:
    """Base of the averages. A subclass says how much the n-th weights count."""

    def __init__(self, model: Parameterised) -> None:
        if not isinstance(model, Parameterised):
            raise TypeError(f"model: expected a layer or model, got {type(model).__name__}")
        check_trains(model)
        self._model = model
        self._average = model.state_dict()
        self.count = 0
        """How many weights were averaged."""

    def _share(self, count: int) -> float:
        """Return the share in the average that the next weights get, after `count` others."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._model!r}: {self.count} updates>"

    def update(self) -> None:
        """Take the model's weights into the average; the first take its place."""
        share = self._share(self.count) if self.count else 1.0
        for name, array in self._model.parameters.items():
            average = self._average[name]
            average += share * (array - average)
        self.count += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the average for the length of a `with` block, and then its own weights back."""
        own = self._model.parameters
        self._model.load_state_dict(self._average)
        try:
            yield
        finally:
            self._model._replace(own)

    def state_dict(self) -> dict[str, Array]:
        """Return copies of the average by the model's names, and "count"."""
        return {name: array.copy() for name, array in self._average.items()} | {"count": np.array(self.count)}

    def load_state_dict(self, mapping: Mapping[str, ArrayLike]) -> None:
        """Go on as the average would have whose `state_dict` this is.

        Raises
        ------
        ValueError, TypeError
            If a name is missing or surplus, or a value not of its shape; nothing has changed then.
        """
        names = as_mapping(mapping, "mapping", "names to arrays").keys()
        if names != {*self._average, "count"}:
            raise ValueError(
                f"mapping: expected count and the model's names, got {', '.join(map(str, names))}"
            )
        fresh = {
            name: as_floats(mapping[name], name, array.dtype, array.shape).copy()
            for name, array in self._average.items()
        }
        count = as_integers(mapping["count"], "count", ())
        self._average, self.count = fresh, as_count(int(count), "count")


class ExponentialAverage(WeightAverage):
    """An average in which older weights count ever less, as `torch.optim.swa_utils.get_ema_multi_avg_fn`.

    Parameters
    ----------
    model : layer or model
    decay : float, default 0.999
        What the average keeps of itself in each update, in [0, 1).

    Raises
    ------
    ValueError, TypeError
        If `decay` is not such a number.

    References
    ----------
    .. [1] B. T. Polyak and A. B. Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM
       Journal on Control and Optimization 30(4), 1992.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.training import ExponentialAverage
    >>> linear = fastlstm.Linear(1, 1, bias=False)
    >>> average = ExponentialAverage(linear, decay=0.75)
    >>> for weight in (0.0, 4.0):
    ...     _ = linear.update({"weight": [[weight]]})   # here stands optimizer.step(...)
    ...     average.update()
    >>> with average.applied():
    ...     linear([1.0]).item()
    1.0
    >>> linear([1.0]).item()
    4.0
    """

    decay = Setting(as_share)

    def __init__(self, model: Parameterised, decay: float = 0.999) -> None:
        self.decay = decay
        super().__init__(model)

    def _share(self, count: int) -> float:
        return 1 - self.decay


class EqualAverage(WeightAverage):
    """The mean of all weights that it was shown, as `torch.optim.swa_utils.AveragedModel`.

    Parameters
    ----------
    model : layer or model

    References
    ----------
    .. [1] P. Izmailov, D. Podoprikhin, T. Garipov, D. Vetrov and A. G. Wilson, "Averaging Weights Leads to
       Wider Optima and Better Generalization", UAI 2018: stochastic weight averaging.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.training import EqualAverage
    >>> linear = fastlstm.Linear(1, 1, bias=False)
    >>> average = EqualAverage(linear)
    >>> for weight in (0.0, 4.0, 5.0):
    ...     _ = linear.update({"weight": [[weight]]})   # here ends an epoch
    ...     average.update()
    >>> with average.applied():
    ...     linear([1.0]).item()
    3.0
    """

    def _share(self, count: int) -> float:
        return 1 / (count + 1)
