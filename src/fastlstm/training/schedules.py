"""Schedules: learning rates that change from step to step.

A schedule sets its optimiser's `lr` when it is made, and at each `step`, which comes after the optimiser's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ..model.attributes import Fixed
from ..model.checks import (
    as_amount,
    as_count,
    as_fields,
    as_least,
    as_nonnegative,
    as_number,
    as_positive,
    as_probability,
    as_size,
)
from .optimizers import Optimizer


class Schedule(Fixed):
    """Base of the schedules. A subclass names in `_changing` what changes in training, and what checks it."""

    _changing: ClassVar[Mapping[str, Callable[[Any, str], float]]]
    _fixed = frozenset({"optimizer"})

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer: expected an Optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer

    def __repr__(self) -> str:
        changed = ", ".join(f"{name}={value!r}" for name, value in self.state_dict().items())
        optimizer = type(self.optimizer).__name__
        return f"<{type(self).__name__} of {optimizer}: lr={self.optimizer.lr!r}, {changed}>"

    def state_dict(self) -> dict[str, float]:
        """Return all that changes in training, by name."""
        return {name: getattr(self, name) for name in self._changing}

    def load_state_dict(self, mapping: Mapping[str, Any]) -> None:
        """Go on as the schedule would have whose `state_dict` this is; `lr` is the optimiser's to load.

        Raises
        ------
        ValueError, TypeError
            If a name is missing or surplus, or a value no such number; nothing has changed then.
        """
        for name, value in as_fields(mapping, "mapping", self._changing).items():
            setattr(self, name, value)


class Timed(Schedule):
    """Base of the schedules that know each step's rate beforehand."""

    _changing: ClassVar = {"base_lr": as_amount, "steps": as_count}

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__(optimizer)
        self.base_lr = optimizer.lr
        self.steps = 0
        optimizer.lr = self._rate(0)

    def step(self) -> None:
        """Set the rate of the next step."""
        self.steps += 1
        self.optimizer.lr = self._rate(self.steps)

    def _rate(self, steps: int) -> float:
        """Return the rate after so many steps."""
        raise NotImplementedError


class CosineSchedule(Timed):
    """A straight line up to the optimiser's `lr`, and a half cosine down from it.

    Without warm-up as `torch.optim.lr_scheduler.CosineAnnealingLR`; past the end the rate stays.

    Parameters
    ----------
    optimizer : Optimizer
    total_steps : int
        Where the cosine ends.
    warmup_steps : int, default 0
        How many steps the line has, fewer than `total_steps`: its k-th has k / warmup_steps of the rate.
    final_lr : float, default 0.0
        The rate at the end.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    .. [1] I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017.

    Examples
    --------
    >>> import fastlstm
    >>> from fastlstm.training import Adam, CosineSchedule
    >>> adam = Adam([fastlstm.Linear(1, 1)], lr=1.0)
    >>> schedule, rates = CosineSchedule(adam, 6, warmup_steps=2), []
    >>> for _ in range(7):
    ...     rates.append(round(adam.lr, 3))     # here stands adam.step(...)
    ...     schedule.step()
    >>> rates
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    _fixed = Timed._fixed | {"total_steps", "warmup_steps", "final_lr"}

    def __init__(
        self, optimizer: Optimizer, total_steps: int, warmup_steps: int = 0, final_lr: float = 0.0
    ) -> None:
        self.total_steps = as_size(total_steps, "total_steps")
        self.warmup_steps = as_size(warmup_steps, "warmup_steps", least=0)
        if self.warmup_steps >= self.total_steps:
            raise ValueError(
                f"warmup_steps: expected fewer than total_steps={total_steps}, got {warmup_steps}"
            )
        self.final_lr = as_nonnegative(final_lr, "final_lr")
        super().__init__(optimizer)

    def _rate(self, steps: int) -> float:
        if steps < self.warmup_steps:
            return self.base_lr * (steps + 1) / self.warmup_steps
        return _half_cosine(
            self.base_lr, self.final_lr, (steps - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        )


class StepSchedule(Timed):
    """Every `step_size` steps `gamma` times the rate, as `torch.optim.lr_scheduler.StepLR`.

    Parameters
    ----------
    optimizer : Optimizer
    step_size : int
    gamma : float, default 0.1

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import fastlstm
    >>> from fastlstm.training import Adam, StepSchedule
    >>> adam = Adam([fastlstm.Linear(1, 1)], lr=1.0)
    >>> schedule, rates = StepSchedule(adam, 2, gamma=0.5), []
    >>> for _ in range(5):
    ...     rates.append(adam.lr)
    ...     schedule.step()
    >>> rates
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    _fixed = Timed._fixed | {"step_size", "gamma"}

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = as_size(step_size, "step_size")
        self.gamma = as_positive(gamma, "gamma")
        super().__init__(optimizer)

    def _rate(self, steps: int) -> float:
        try:
            return self.base_lr * self.gamma ** (steps // self.step_size)
        except OverflowError:  # from 1e308 on
            return math.inf


class OneCycleSchedule(Timed):
    """Up to `max_lr` and down to almost nothing, each by a half cosine.

    As `torch.optim.lr_scheduler.OneCycleLR` without its cycle of momentum; past the end the rate stays.

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float
    total_steps : int
        Of the whole cycle, at least 2.
    pct_start : float, default 0.3
        Share of the steps that lead up.
    div_factor : float, default 25.0
        The first rate is `max_lr` divided by this.
    final_div_factor : float, default 1e4
        The last is the first divided by this.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    .. [1] L. N. Smith and N. Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large
       Learning Rates", arXiv:1708.07120, 2017.

    Examples
    --------
    >>> import fastlstm
    >>> from fastlstm.training import Adam, OneCycleSchedule
    >>> adam = Adam([fastlstm.Linear(1, 1)])
    >>> schedule, rates = OneCycleSchedule(adam, 1.0, total_steps=6, pct_start=0.5), []
    >>> for _ in range(6):
    ...     rates.append(round(adam.lr, 3))
    ...     schedule.step()
    >>> rates
    [0.04, 0.52, 1.0, 0.75, 0.25, 0.0]
    """

    _fixed = Timed._fixed | {"max_lr", "total_steps", "pct_start", "div_factor", "final_div_factor"}

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float,
        total_steps: int,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        self.max_lr = as_positive(max_lr, "max_lr")
        self.total_steps = as_size(total_steps, "total_steps", least=2)
        self.pct_start = as_probability(pct_start, "pct_start")
        self.div_factor = as_positive(div_factor, "div_factor")
        self.final_div_factor = as_positive(final_div_factor, "final_div_factor")
        super().__init__(optimizer)

    def _rate(self, steps: int) -> float:
        first = self.max_lr / self.div_factor
        top, end = self.pct_start * self.total_steps - 1, self.total_steps - 1
        steps = min(steps, end)
        if steps <= top:
            return _half_cosine(first, self.max_lr, steps / top if top else 1.0)
        return _half_cosine(self.max_lr, first / self.final_div_factor, (steps - top) / (end - top))


class PlateauSchedule(Schedule):
    """A smaller rate whenever a loss has stopped falling.

    As `torch.optim.lr_scheduler.ReduceLROnPlateau` with its defaults otherwise.

    Parameters
    ----------
    optimizer : Optimizer
    factor : float, default 0.1
        What the rate is multiplied with, below 1.
    patience : int, default 10
        How many steps without a better loss are let pass.
    threshold : float, default 1e-4
        A loss is better if it is below the best by this share.
    cooldown : int, default 0
        How many steps after a change don't count.
    min_lr : float, default 0.0

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import fastlstm
    >>> from fastlstm.training import Adam, PlateauSchedule
    >>> adam = Adam([fastlstm.Linear(1, 1)], lr=1.0)
    >>> schedule = PlateauSchedule(adam, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> adam.lr
    0.5
    """

    _changing: ClassVar = {"best": as_least, "bad_steps": as_count, "cooling_steps": as_count}
    _fixed = Schedule._fixed | {"factor", "patience", "threshold", "cooldown", "min_lr"}

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        self.factor = as_positive(factor, "factor")
        if self.factor >= 1:
            raise ValueError(f"factor: expected a number below 1, got {factor!r}")
        self.patience = as_size(patience, "patience", least=0)
        self.threshold = as_probability(threshold, "threshold")
        self.cooldown = as_size(cooldown, "cooldown", least=0)
        self.min_lr = as_nonnegative(min_lr, "min_lr")
        super().__init__(optimizer)
        self.best, self.bad_steps, self.cooling_steps = math.inf, 0, 0

    def step(self, loss: float) -> None:
        """Take note of a loss, and lower the rate if there was no better one for too long."""
        value = as_number(loss, "loss")
        if value < self.best * (1 - self.threshold):
            self.best, self.bad_steps = value, 0
        else:
            self.bad_steps += 1
        if self.cooling_steps:
            self.cooling_steps, self.bad_steps = self.cooling_steps - 1, 0
        if self.bad_steps > self.patience:
            self.optimizer.lr = max(self.optimizer.lr * self.factor, self.min_lr)
            self.cooling_steps, self.bad_steps = self.cooldown, 0


def _half_cosine(first: float, last: float, share: float) -> float:
    """Return the rate at a share of the way from the first to the last."""
    return last + (first - last) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
