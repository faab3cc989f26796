"""A hundred steps of each optimiser and of each schedule side by side with PyTorch's."""

import numpy as np
import pytest

from fastlstm import LSTM, Embedding, Linear, Sequential
from fastlstm.training import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    CosineSchedule,
    EqualAverage,
    ExponentialAverage,
    OneCycleSchedule,
    PlateauSchedule,
    RMSprop,
    StepSchedule,
    clip_gradient_norm,
    softmax_cross_entropy,
)

MODEL = Linear(1, 1, rng=0)

torch = pytest.importorskip("torch")
optim, schedulers, swa = torch.optim, torch.optim.lr_scheduler, torch.optim.swa_utils


@pytest.fixture(autouse=True)
def one_thread():
    """Threads only cost time in a model of this size."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pair():
    """Return a model and PyTorch's with the same weights."""
    model = Sequential(
        Embedding(5, 3, dtype="float64", rng=0),
        LSTM(3, 6, dtype="float64", rng=1),
        Linear(6, 4, dtype="float64", rng=2),
    )
    twin = torch.nn.Sequential(torch.nn.Embedding(5, 3), torch.nn.LSTM(3, 6), torch.nn.Linear(6, 4)).double()
    twin.load_state_dict({name: torch.from_numpy(array) for name, array in model.state_dict().items()})
    return model, twin


def train_both(model, optimizer, twin, twin_optimizer, steps, after=lambda: None):
    """Train both on the same random batches, and compare loss, norm and weights."""
    rng = np.random.default_rng(0)
    for _ in range(steps):
        x, target = rng.integers(0, 5, (4, 3)), rng.integers(0, 4, (4, 3))
        y, _, tape = model.forward(x)
        loss, dy = softmax_cross_entropy(y, target)
        gradients = tape.backward(dy).parameters
        norm = clip_gradient_norm([gradients], 0.1)
        optimizer.step([gradients])

        twin_optimizer.zero_grad()
        scores = twin[2](twin[1](twin[0](torch.from_numpy(x)))[0])
        expected = torch.nn.functional.cross_entropy(scores.reshape(-1, 4), torch.from_numpy(target.ravel()))
        expected.backward()
        expected_norm = torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.1)
        twin_optimizer.step()
        assert loss == pytest.approx(expected.item(), rel=1e-9)
        assert norm == pytest.approx(expected_norm.item(), rel=1e-6)
        after()
    for name, parameter in twin.named_parameters():
        np.testing.assert_allclose(model.parameters[name], parameter.detach().numpy(), atol=1e-8)


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (SGD, optim.SGD, {"lr": 0.5}),
        (SGD, optim.SGD, {"lr": 0.5, "momentum": 0.9, "weight_decay": 0.01}),
        (SGD, optim.SGD, {"lr": 0.5, "momentum": 0.9, "nesterov": True}),
        (Adam, optim.Adam, {}),
        (Adam, optim.Adam, {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1}),
        (AdamW, optim.AdamW, {}),
        (AdamW, optim.AdamW, {"lr": 0.01, "weight_decay": 0.5}),
        (RMSprop, optim.RMSprop, {"lr": 1e-3, "eps": 1e-4}),
        (RMSprop, optim.RMSprop, {"lr": 1e-3, "eps": 1e-3, "momentum": 0.9, "weight_decay": 0.1}),
        (RMSprop, optim.RMSprop, {"lr": 1e-3, "eps": 1e-3, "alpha": 0.9, "centered": True}),
        (Adagrad, optim.Adagrad, {}),
        (
            Adagrad,
            optim.Adagrad,
            {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.3},
        ),
    ],
)
def test_a_hundred_steps(ours, theirs, options):
    model, twin = pair()
    train_both(model, ours([model], **options), twin, theirs(twin.parameters(), **options), 100)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda o: CosineSchedule(o, 90), lambda o: schedulers.CosineAnnealingLR(o, 90)),
        (
            lambda o: CosineSchedule(o, 100, final_lr=0.01),
            lambda o: schedulers.CosineAnnealingLR(o, 100, eta_min=0.01),
        ),
        (lambda o: StepSchedule(o, 7, gamma=0.8), lambda o: schedulers.StepLR(o, 7, gamma=0.8)),
        (
            lambda o: OneCycleSchedule(o, 0.3, 90),
            lambda o: schedulers.OneCycleLR(o, 0.3, 90, cycle_momentum=False),
        ),
        (
            lambda o: OneCycleSchedule(o, 0.3, 90, 0.1, 5.0, 10.0),
            lambda o: schedulers.OneCycleLR(
                o, 0.3, 90, pct_start=0.1, div_factor=5.0, final_div_factor=10.0, cycle_momentum=False
            ),
        ),
    ],
)
def test_schedules(ours, theirs):
    parameter = torch.zeros(1, requires_grad=True)
    optimizer, twin = SGD([MODEL], lr=0.2), optim.SGD([parameter], lr=0.2)
    schedule, twin_schedule = ours(optimizer), theirs(twin)
    for _ in range(90):
        assert optimizer.lr == pytest.approx(twin.param_groups[0]["lr"], rel=1e-9, abs=1e-15)
        twin.step()
        if twin_schedule.last_epoch < 89:
            schedule.step()
            twin_schedule.step()


@pytest.mark.parametrize(
    "options", [{}, {"factor": 0.5, "patience": 2, "cooldown": 3, "threshold": 0.1, "min_lr": 1e-3}]
)
def test_plateau(options):
    parameter = torch.zeros(1, requires_grad=True)
    optimizer, twin = SGD([MODEL], lr=0.2), optim.SGD([parameter], lr=0.2)
    schedule, twin_schedule = (
        PlateauSchedule(optimizer, **options),
        schedulers.ReduceLROnPlateau(twin, **options),
    )
    rates = set()
    for loss in np.random.default_rng(0).random(100):
        schedule.step(loss)
        twin_schedule.step(loss)
        rates.add(optimizer.lr)
        assert optimizer.lr == pytest.approx(twin.param_groups[0]["lr"], rel=1e-12)
    assert len(rates) > 3


@pytest.mark.parametrize(
    ("ours", "function"),
    [
        (EqualAverage, None),
        (lambda model: ExponentialAverage(model, 0.9), swa.get_ema_multi_avg_fn(0.9)),
    ],
)
def test_averages(ours, function):
    model, twin = pair()
    average, twin_average = ours(model), swa.AveragedModel(twin, multi_avg_fn=function)

    def update():
        average.update()
        twin_average.update_parameters(twin)

    train_both(model, SGD([model], lr=1.0), twin, optim.SGD(twin.parameters(), lr=1.0), 20, update)
    state = average.state_dict()
    for name, parameter in twin_average.module.named_parameters():
        np.testing.assert_allclose(state[name], parameter.detach().numpy(), atol=1e-10)
