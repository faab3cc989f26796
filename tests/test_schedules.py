"""Schedules: rates by hand, checkpoints, refusals; against PyTorch in test_optimizers_torch.py."""

import math
import re

import numpy as np
import pytest

from fastlstm import Linear
from fastlstm.training import SGD, CosineSchedule, OneCycleSchedule, PlateauSchedule, StepSchedule

MODEL = Linear(1, 1, rng=0)

MAKERS = [
    lambda optimizer: CosineSchedule(optimizer, 9, 3, 0.01),
    lambda optimizer: StepSchedule(optimizer, 3),
    lambda optimizer: OneCycleSchedule(optimizer, 0.5, 9),
    lambda optimizer: PlateauSchedule(optimizer, patience=1, cooldown=2),
]


def rates(schedule, steps):
    """Return the rate of each step, with a loss that does not fall."""
    seen = []
    for _ in range(steps):
        seen.append(schedule.optimizer.lr)
        schedule.step(1.0) if isinstance(schedule, PlateauSchedule) else schedule.step()
    return seen


def test_a_rate_that_no_float_holds_is_infinite():
    schedule = StepSchedule(SGD([MODEL], lr=1.0), 1, gamma=10.0)
    schedule.load_state_dict({"base_lr": 1.0, "steps": 307})
    assert rates(schedule, 4)[1:] == [pytest.approx(1e308), math.inf, math.inf]


def test_warm_up():
    seen = rates(CosineSchedule(SGD([MODEL], lr=0.8), 8, warmup_steps=4, final_lr=0.2), 10)
    np.testing.assert_allclose(seen[:5], [0.2, 0.4, 0.6, 0.8, 0.8])
    assert seen[6] == pytest.approx(0.5)
    assert seen[8] == seen[9] == pytest.approx(0.2)


@pytest.mark.parametrize("pct_start", [0.0, 0.1, 0.5, 1.0])
def test_one_cycle_has_its_top_and_stays_at_its_end(pct_start):
    schedule = OneCycleSchedule(SGD([MODEL]), 1.0, 10, pct_start=pct_start)
    seen = rates(schedule, 13)
    assert 0.9 < max(seen) <= 1
    assert seen[9] == seen[10] == seen[12]


@pytest.mark.parametrize("make", MAKERS)
def test_resumes(make):
    optimizer = SGD([MODEL], lr=0.2)
    schedule = make(optimizer)
    rates(schedule, 4)
    resumed_optimizer = SGD([MODEL], lr=3.0)
    resumed = make(resumed_optimizer)
    resumed_optimizer.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    assert rates(resumed, 6) == rates(schedule, 6)


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"steps": -1}, ValueError, "steps: expected an integer of at least 0, got -1"),
        ({"steps": 1.5}, TypeError, "steps: expected an integer, got 1.5"),
        ({"steps": 2**53 + 1}, ValueError, "steps: expected an integer of at most 9007199254740992"),
        ({"base_lr": math.nan}, ValueError, "base_lr: expected a number of at least 0, got nan"),
        ({"base_lr": math.inf}, ValueError, "base_lr: expected a finite number, got inf"),
        ({"base_lr": "fast"}, TypeError, "base_lr: expected a number of at least 0, got 'fast'"),
        ({"stepp": 1}, ValueError, "mapping: expected base_lr, steps, got base_lr, steps, stepp"),
    ],
)
def test_refused_state_changes_nothing(change, error, sentence):
    schedule = StepSchedule(SGD([MODEL]), 3)
    before = schedule.state_dict()
    with pytest.raises(error, match=re.escape(sentence)):
        schedule.load_state_dict({"base_lr": 7.0, "steps": 3} | change)
    assert schedule.state_dict() == before


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda o: CosineSchedule(o, 0), ValueError, "total_steps: expected an integer of at least 1, got 0"),
        (
            lambda o: CosineSchedule(o, 5, 5),
            ValueError,
            "warmup_steps: expected fewer than total_steps=5, got 5",
        ),
        (
            lambda o: CosineSchedule(o, 5, final_lr=-1),
            ValueError,
            "final_lr: expected a number of at least 0",
        ),
        (lambda o: StepSchedule(o, 0), ValueError, "step_size: expected an integer of at least 1, got 0"),
        (lambda o: StepSchedule(o, 1, 0), ValueError, "gamma: expected a number above 0, got 0"),
        (lambda o: OneCycleSchedule(o, 0, 9), ValueError, "max_lr: expected a number above 0, got 0"),
        (lambda o: OneCycleSchedule(o, 1, 1), ValueError, "total_steps: expected an integer of at least 2"),
        (lambda o: OneCycleSchedule(o, 1, 9, 2), ValueError, "pct_start: expected a number in [0, 1], got 2"),
        (lambda o: PlateauSchedule(o, 1), ValueError, "factor: expected a number below 1, got 1"),
        (
            lambda o: PlateauSchedule(o, patience=-1),
            ValueError,
            "patience: expected an integer of at least 0",
        ),
        (lambda o: PlateauSchedule(o).step("low"), TypeError, "loss: expected a number, got 'low'"),
    ],
)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call(SGD([MODEL]))
