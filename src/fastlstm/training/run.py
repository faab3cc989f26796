"""A training run: all that changes in it, and how."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..files.description import described
from ..files.whole import regular_file
from ..model.checks import Array, as_fields
from ..model.sequences import Indices
from .callbacks import Callback, Progress
from .checkpoint import (
    NUMBERS,
    Saved,
    as_history,
    check_form,
    flat_state,
    load_all,
    nested_state,
    understood,
)
from .clipping import clip_gradient_norm
from .evaluation import LossSums, assess
from .generators import generator_states, restored, take_over
from .history import History
from .interrupt import Interrupt
from .metrics import Metric
from .objective import Objective
from .optimizers import Optimizer
from .progress import Bar
from .ranks import Ranks
from .samples import Batch, Samples
from .schedules import PlateauSchedule, Schedule, Timed


class Source:
    """What makes each epoch's samples, once for each; `first` are those of epoch 0."""

    def __init__(self, make: Callable[[int], Samples]) -> None:
        self._make = make
        self._epoch = 0
        self.first = self._latest = make(0)

    def of(self, epoch: int) -> Samples:
        """Return an epoch's samples."""
        if epoch != self._epoch:
            self._latest, self._epoch = self._make(epoch), epoch
        return self._latest


@dataclass
class EpochSums(LossSums):
    """What the steps of the epoch that runs add up to."""

    done: int = 0
    real_steps: float = 0.0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Real steps of sequences a second."""
        return self.real_steps / self.seconds if self.seconds else 0.0


class Run:
    """What `fit` sets up and runs."""

    optimizer: Optimizer
    schedule: Schedule | None
    rng: np.random.Generator | None
    metrics: Mapping[str, Metric]
    max_steps: int | None
    batch_size: int
    bptt: int | None
    max_norm: float | None
    patience: int | None
    callbacks: list[Callback]
    checkpoint: Path | None
    checkpoint_every: float
    quantize: str | None

    def __init__(self, objective: Objective, source: Source, held_out: Samples | None, ranks: Ranks) -> None:
        self._objective = objective
        self._model = objective.model
        self._source = source
        self._samples = source.first
        self._held_out = held_out
        self._ranks = ranks
        self._history = History()
        self._sums = EpochSums()
        self._order_states: list[Any] = []
        self._state: Any = None
        self._best: Mapping[str, Array] | None = None
        self._best_loss, self._waited = float("inf"), 0
        self._written = time.monotonic()

    # The loop

    def until(self, last: int, progress: bool | str | None) -> History:
        """Train until the last epoch; return what was recorded."""
        self._progress = Progress(self._model, self.optimizer, self._history)
        bar = Bar(last, self.steps_until(last), progress if self._ranks.first else False)
        bar.start(self._history.epochs, self._history.steps)
        with bar, Interrupt() as interrupt:
            while self._history.epochs < last and not self._reason() and self._epoch(bar, interrupt):
                bar.end_epoch(self._history)
        # Ctrl-C may come after the last step, too: while the last epoch is validated and kept.
        interrupted = self._agreed(interrupt.asked)
        self._history.stopped = "interrupted" if interrupted else self._reason() or "finished"
        return self._finished()

    def _epoch(self, bar: Bar, interrupt: Interrupt) -> bool:
        """Go through an epoch, or through what is left of it; return False if it was interrupted."""
        self._samples = self._source.of(self._history.epochs)
        whole = True
        for batch in self._steps():
            self._step(batch)
            self._sum_up(bar)
            if self._agreed(interrupt.asked):
                self._keep()
                return False
            if self._reason():
                whole = False
                break
        self._end_epoch(whole)
        return True

    def begin(self, last: int) -> None:
        """Start afresh, the same on all ranks, or go on from a checkpoint towards the last epoch."""
        saved = None
        if self.checkpoint is not None and self._ranks.first and regular_file(self.checkpoint, "checkpoint"):
            saved = Saved.read(self.checkpoint)
        saved = self._ranks.same(saved)
        if saved is not None:
            saved.check(self._setup())
            self._load(saved, last)
            return
        self._model.load_state_dict(self._ranks.same(self._model.state_dict()))
        first = self._ranks.same(generator_states(self._rngs))
        take_over(self._rngs, restored(self._rngs, first))

    def steps_until(self, last: int) -> int:
        """Return how many steps there are until the last epoch; with `bptt` and at random, about."""
        steps = last * sum(map(self._windows_in, self._source.first.plan(self._together, None)))
        return steps if self.max_steps is None else min(steps, self.max_steps)

    @property
    def _rngs(self) -> list[np.random.Generator]:
        """What makes the order of an epoch; nothing, if that is as the data come."""
        return [] if self.rng is None else [self.rng]

    @property
    def _together(self) -> int:
        """How many sequences all ranks together learn from in a step."""
        return self.batch_size * self._ranks.size

    def _windows_in(self, chosen: Indices) -> int:
        """Return how many steps a batch makes."""
        longest = int(self._samples.lengths[chosen].max())
        return 1 if self.bptt is None else max(1, -(-longest // self.bptt))

    def _steps(self) -> Iterator[Batch]:
        """Yield what each step of this epoch learns from, without those that are done."""
        if self._sums.done:
            take_over(self._rngs, restored(self._rngs, self._order_states))
        self._order_states = generator_states(self._rngs)
        skipped = self._sums.done
        for chosen in self._samples.plan(self._together, self.rng):
            windows = self._windows_in(chosen)
            if skipped >= windows:
                skipped -= windows
                continue
            self._state = self._state if skipped else None
            parts = self._windows(self._samples.batch(self._ranks.share(chosen)), windows)
            yield from parts[skipped:]
            skipped = 0
            self._state = None

    def _windows(self, batch: Batch, count: int) -> list[Batch]:
        """Return a batch's windows, as many on each rank: a share of short sequences ends with empty ones."""
        windows = list(batch.windows(self.bptt))
        return windows + [windows[-1].between(0, 0) for _ in range(count - len(windows))]

    def _step(self, batch: Batch) -> None:
        """Learn from a batch, or from a window of one."""
        started = time.perf_counter()
        value, gradients, state = self._objective.step(batch, self._state)
        own = batch.count
        total, count, steps = self._ranks.sums(value * own, own, batch.steps)
        gradients = self._ranks.mean(gradients, own / count if count else 0.0)
        loss = LossSums(total, count).mean
        norm = clip_gradient_norm([gradients], self.max_norm or float("inf"))
        if not np.isfinite(loss) or not np.isfinite(norm):
            raise FloatingPointError(self._sentence(batch, loss, norm))
        self.optimizer.step([gradients])
        if isinstance(self.schedule, Timed):
            self.schedule.step()
        self._state = state if self.bptt is not None else None
        self._sums.add(total, count)
        self._sums.done += 1
        self._sums.real_steps += steps
        self._sums.seconds += time.perf_counter() - started
        self._history.steps += 1
        self._progress.loss, self._progress.norm = loss, norm
        for callback in self.callbacks:
            callback.on_step(self._progress)
        self._progress.reason = self._ranks.same(self._progress.reason)

    def _sum_up(self, bar: Bar) -> None:
        bar.step(self._sums.mean, self._sums.rate)
        if time.monotonic() - self._written >= self.checkpoint_every:
            self._keep()

    def _agreed(self, asked: bool) -> bool:
        """Return whether any rank was interrupted."""
        return asked if self._ranks.size == 1 else self._ranks.sums(float(asked))[0] > 0

    def _end_epoch(self, whole: bool) -> None:
        """Validate, record the epoch, and count epochs without progress.

        The checkpoint of an epoch that `max_steps` ends early is written first, in the epoch's middle: a run
        with more steps goes on from there.
        """
        if not whole:
            self._keep()
        numbers = {
            "loss": self._sums.mean,
            "lr": self.optimizer.lr,
            "seconds": self._sums.seconds,
            "steps_per_second": self._sums.rate,
        }
        started = time.perf_counter()
        numbers |= self._validated()
        numbers["seconds"] += time.perf_counter() - started
        self._history.append(numbers)
        self._sums = EpochSums()
        judged = numbers.get("val_loss", numbers["loss"])
        if isinstance(self.schedule, PlateauSchedule):
            self.schedule.step(judged)
        if self.patience is not None:
            self._judge(judged)
        for callback in self.callbacks:
            callback.on_epoch(self._progress)
        self._progress.reason = self._ranks.same(self._progress.reason)
        if whole:
            self._keep()

    def _validated(self) -> dict[str, float]:
        if self._held_out is None:
            return {}
        loss, outputs = assess(
            self._objective, self._held_out, self.batch_size, self.bptt, bool(self.metrics)
        )
        numbers = {"val_loss": loss}
        for name, metric in self.metrics.items():
            numbers[f"val_{name}"] = float(metric(outputs, list(self._held_out.targets)))
        return numbers

    def _judge(self, loss: float) -> None:
        """Keep the best weights, and count the epochs since."""
        if loss < self._best_loss:
            self._best_loss, self._waited = loss, 0
            self._best = self._model.parameters
            self._history.best_epoch = self._history.epochs
        else:
            self._waited += 1

    def _reason(self) -> str | None:
        """Return why to stop, None if there is no reason."""
        if self.max_steps is not None and self._history.steps >= self.max_steps:
            return "finished"
        if self.patience is not None and self._waited >= self.patience:
            return "patience"
        return self._progress.reason

    def _finished(self) -> History:
        if self._best is not None:
            self._model.load_state_dict(self._best)
        return self._history

    def _sentence(self, batch: Batch, loss: float, norm: float) -> str:
        what = f"loss is {loss}" if not np.isfinite(loss) else f"norm of the gradients is {norm}"
        where = f"in epoch {self._history.epochs + 1}, step {self._sums.done + 1}"
        for name, array in (("x", batch.x), ("y", batch.target)):
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                return f"the {what} {where}: {name} has numbers there that are not finite"
        return (
            f"the {what} {where}; the model is as it was before that step. "
            f"Try a smaller rate than {self.optimizer.lr:g}, or a smaller max_norm than {self.max_norm}"
        )

    # Checkpoints

    def _setup(self) -> dict[str, Any]:
        """Return what a run must have in common with one that it goes on with."""
        return {
            "model": described(self._model),
            "optimizer": type(self.optimizer).__name__,
            "schedule": type(self.schedule).__name__,
            "sequences": len(self._source.first),
            "real steps": int(self._source.first.lengths.sum()),
            "batch_size": self.batch_size,
            "bptt": self.bptt,
            "shuffle": self.rng is not None,
            "quantize": self.quantize,
            "ranks": self._ranks.size,
            "callbacks": [type(callback).__name__ for callback in self.callbacks],
        }

    def _keep(self) -> None:
        """Write a checkpoint, if there is to be one."""
        self._written = time.monotonic()
        if self.checkpoint is None:
            return
        draws = self._ranks.gathered(generator_states(self._model.generators))
        states = self._ranks.gathered(flat_state(self._state))
        if not self._ranks.first:
            return
        numbers = {
            "sums": asdict(self._sums),
            "order": self._order_states,
            "rng": generator_states(self._rngs),
            "draws": draws,
            "step": self._history.steps,
            "best": {"loss": self._best_loss, "waited": self._waited, "epoch": self._history.best_epoch},
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
        }
        tensors: dict[str, Mapping[str, Any]] = {
            "model": self._model.parameters,
            "best": self._best or {},
            "optimizer": self.optimizer.state_dict(),
            "history": {name: np.array(curve) for name, curve in self._history.items()},
        }
        tensors |= {f"state {rank}": state for rank, state in enumerate(states)}
        tensors |= {f"callback {k}": callback.state_dict() for k, callback in enumerate(self.callbacks)}
        Saved(self._setup(), numbers, tensors).write(self.checkpoint)

    def _load(self, saved: Saved, last: int) -> None:
        """Go on from a checkpoint: all of it is compared before anything changes."""
        assert self.checkpoint is not None
        with understood(self.checkpoint):
            self._check_groups(saved)
            numbers = as_fields(saved.numbers, "numbers", NUMBERS)
            history, sums = self._history_of(saved, numbers), EpochSums(**numbers["sums"])
            rngs, orders = restored(self._rngs, numbers["rng"]), restored(self._rngs, numbers["order"])
            draws = restored(self._model.generators, self._own(numbers["draws"]))
        state: Any = None
        if history.epochs < last:
            self._samples = self._source.of(history.epochs)
            with understood(self.checkpoint):
                state = self._state_of(saved, sums.done, orders)
        with understood(self.checkpoint):
            self._load_parts(saved, numbers["schedule"])
        take_over(self._rngs, rngs)
        take_over(self._model.generators, draws)
        self._history, self._sums, self._order_states, self._state = history, sums, numbers["order"], state
        self._best_loss, self._waited = numbers["best"]["loss"], numbers["best"]["waited"]
        self._best = saved.tensors.get("best")

    def _check_groups(self, saved: Saved) -> None:
        """Refuse arrays that belong to nothing, and weights that are not those of the model."""
        known = {"model", "best", "optimizer", "history"}
        known |= {f"state {rank}" for rank in range(self._ranks.size)}
        known |= {f"callback {k}" for k in range(len(self.callbacks))}
        surplus = saved.tensors.keys() - known
        if surplus:
            raise ValueError(f"tensors: expected those of this run, surplus {', '.join(sorted(surplus))}")
        for group in {"model", "best"} & saved.tensors.keys():
            check_form(saved.tensors[group], self._model.parameters, group)

    def _history_of(self, saved: Saved, numbers: Mapping[str, Any]) -> History:
        history = as_history(saved.group("history"))
        history.steps, history.best_epoch = numbers["step"], numbers["best"]["epoch"]
        if ("best" in saved.tensors) != (history.best_epoch in range(1, history.epochs + 1)):
            expected = f"weights of one of {history.epochs} epochs, or none and no epoch"
            raise ValueError(f"best: expected {expected}, got epoch {history.best_epoch}")
        return history

    def _own(self, draws: object) -> object:
        """Return this rank's part of what all ranks have."""
        if not isinstance(draws, list) or len(draws) != self._ranks.size:
            raise ValueError(f"draws: expected a list for {self._ranks.size} ranks, got another")
        return draws[self._ranks.rank]

    def _state_of(self, saved: Saved, done: int, orders: list[np.random.Generator]) -> Any:
        """Return the state with which the epoch goes on in the middle of a batch; None between batches."""
        batch = self._batch_after(done, orders)
        if self.bptt is None or batch is None:
            return None
        found = saved.group(f"state {self._ranks.rank}")
        check_form(found, flat_state(self._objective.zero_state(batch)), "state")
        return nested_state(found)

    def _batch_after(self, done: int, orders: list[np.random.Generator]) -> Batch | None:
        """Return the batch in whose middle an epoch is after so many steps; None if it is between two."""
        left = done
        for chosen in self._samples.plan(self._together, orders[0] if orders else None):
            windows = self._windows_in(chosen)
            if left < windows:
                return self._samples.batch(self._ranks.share(chosen)) if left else None
            left -= windows
        if left:
            raise ValueError(f"done: expected at most {done - left} steps of an epoch, got {done}")
        return None

    def _load_parts(self, saved: Saved, schedule: object) -> None:
        """Load the state of each part, all or none; the model last, as other threads may be using it."""
        parts: list[tuple[Any, Any]] = [
            (callback, saved.group(f"callback {k}")) for k, callback in enumerate(self.callbacks)
        ]
        if self.schedule is not None:
            parts.append((self.schedule, schedule))
        load_all([*parts, (self.optimizer, saved.group("optimizer")), (self._model, saved.group("model"))])
