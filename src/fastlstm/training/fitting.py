"""From sequences and targets to a trained model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..model.base import Model
from ..model.checks import (
    as_boolean,
    as_generator,
    as_nonnegative,
    as_numbers,
    as_path,
    as_positive,
    as_size,
)
from ..model.precision import rounded
from ..model.quantized import as_smaller
from ..model.recurrent import Rng
from .callbacks import Callback, Progress, as_callbacks
from .history import History
from .metrics import Metric, as_metrics
from .objective import Loss, Objective, as_bptt
from .optimizers import Adam, Optimizer
from .ranks import Ranks
from .run import Run, Source
from .samples import Samples
from .schedules import Schedule


def fit(
    model: Model,
    data: Sequence[Any] | Callable[[int], Sequence[Any]],
    loss: Loss,
    *,
    optimizer: Optimizer | Callable[[list[Model]], Optimizer] | None = None,
    schedule: Schedule | Callable[[Optimizer, int], Schedule] | None = None,
    epochs: int = 10,
    max_steps: int | None = None,
    batch_size: int = 32,
    shuffle: bool = True,
    validation: Sequence[Any] | None = None,
    metrics: Mapping[str, Metric | str] | Sequence[str] | None = None,
    patience: int | None = None,
    max_norm: float | None = 1.0,
    bptt: int | None = None,
    callbacks: Iterable[Callback | Callable[[Progress], object]] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = 300.0,
    progress: bool | str | None = None,
    rng: Rng = None,
    comm: Any = None,
    quantize: str | None = None,
) -> History:
    """Train a model.

    Parameters
    ----------
    model : LSTM, RNN or Sequential
        Trained in place.
    data : (x, y), (x, y, sample_weight) or function
        N sequences and their targets; what counts each is (N,) numbers of at least 0.

        x is an array (N, T, I) or a list of N arrays (T_k, I), whatever the model's `batch_first`; for a
        model that begins with an `Embedding` integers, (N, T) or (T_k,).

        y has one target for each sequence, (N, ...), if the model has a readout; else one for each step:
        (N, T, ...) or a list of (T_k, ...). With `ctc_loss` it is a list of label sequences.

        Or a function that is called with each epoch's number, from 0, and returns such a tuple: where data
        are made, or changed at random, as they are needed.
    loss : function
        One of `fastlstm.training`, with options through `functools.partial`; or a function like these.
    optimizer : Optimizer or function, optional
        `Adam([model])` if None; or what makes one of a list of models, such as the class `SGD`.
    schedule : Schedule or function, optional
        What sets the rate of each step; a `PlateauSchedule` that of each epoch, from the validation loss.
        Or what makes one of the optimiser and the number of all steps, such as the class
        `CosineSchedule`.
    epochs : int, default 10
        How often all sequences are gone through.
    max_steps : int, optional
        How many steps of the optimiser there are at most.
    batch_size : int, default 32
        How many sequences make a step; on several ranks, on each.
    shuffle : bool, default True
        Whether batches are made anew in each epoch, at random, of sequences of like lengths.
    validation : (x, y) or (x, y, sample_weight), optional
        As `data`; its loss in evaluation ends each epoch.
    metrics : list of str, or mapping of str to function or str, optional
        "accuracy", "mean_absolute_error" or "root_mean_squared_error"; or functions, which are called with
        the list of outputs and the list of targets of all validation sequences.
    patience : int, optional
        After how many epochs without a smaller validation loss (training loss, if there is no validation)
        to stop. The model gets the weights of the best epoch.
    max_norm : float, optional
        What the norm of a step's gradients is held to; None leaves them.
    bptt : int, optional
        Truncated back-propagation through time: sequences are gone through so many steps at a time, with
        a step of the optimiser for each; the state is carried along, gradients are not. See `streams` for
        one long sequence.
    callbacks : iterable of Callback or function, optional
        A function is called with a `Progress` after each epoch.
    checkpoint : path, optional
        Where to keep all that a later call needs to go on, at the end of each epoch and every
        `checkpoint_every` seconds. If the file is there, training goes on from it, to the same bits as if
        it had not been interrupted.
    checkpoint_every : float, default 300.0
        Seconds.
    progress : bool or str, optional
        Whether to show a bar; None shows it on a terminal. A string is what it calls the steps of
        sequences, such as "frames".
    rng : numpy.random.Generator, seed or None
        Makes the batches.
    comm : mpi4py.MPI.Comm, optional
        Train on all its ranks, each calling with the same arguments: each takes its share of a batch of
        `batch_size` times as many sequences, and all end with the same weights. The first rank's initial
        weights and order count; it alone shows progress and writes.
    quantize : {"int8", "int4", "bfloat16"}, optional
        Run with the weights, and what they multiply, rounded as `fastlstm.quantize` rounds them, so that the
        model learns to do well with that; gradients are those of the numbers before rounding. The weights
        themselves stay floats: quantise the model afterwards.

    Returns
    -------
    History
        Ctrl-C ends training after the step that runs: `History.stopped` is then "interrupted", and the
        model has what was learned so far. `fit(...).or_interrupt()` raises KeyboardInterrupt instead.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, or the checkpoint is one of another run, or not as `fit` writes
        them; model, optimiser, schedule, callbacks and generators are as they were then.
    FloatingPointError
        If the loss or a gradient is no longer a number; the model is as it was before that step.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.training import mean_squared_error
    >>> rng = np.random.default_rng(0)
    >>> x = [rng.standard_normal((length, 3)) for length in (5, 9, 2, 7)]
    >>> y = [sequence.mean(axis=0)[:1] for sequence in x]
    >>> model = fastlstm.Sequential(
    ...     fastlstm.LSTM(3, 8, rng=0), fastlstm.LastStep(), fastlstm.Linear(8, 1, rng=0)
    ... )
    >>> history = fastlstm.fit(model, (x, y), mean_squared_error, epochs=20, batch_size=2, rng=0)
    >>> history["loss"][-1] < history["loss"][0]
    True
    """
    ranks = Ranks(comm)
    with ranks.together():
        objective = Objective(model, loss)
        source = _source(data, objective)
        held_out = None if validation is None else Samples(validation, model, objective.labels, "validation")
        run = Run(objective, source, held_out, ranks)
        run.metrics = _metrics(metrics, validation)
        run.batch_size = as_size(batch_size, "batch_size")
        run.bptt = as_bptt(bptt, objective)
        run.max_norm = None if max_norm is None else as_positive(max_norm, "max_norm")
        run.patience = None if patience is None else as_size(patience, "patience")
        run.callbacks = as_callbacks(callbacks)
        generator = as_generator(rng)
        run.rng = generator if as_boolean(shuffle, "shuffle") else None
        last = as_size(epochs, "epochs")
        run.optimizer = _optimizer(optimizer, model)
        run.max_steps = None if max_steps is None else as_size(max_steps, "max_steps")
        run.checkpoint = None if checkpoint is None else as_path(checkpoint, "checkpoint")
        run.checkpoint_every = as_nonnegative(checkpoint_every, "checkpoint_every")
        run.quantize = None if quantize is None else as_smaller(quantize, "quantize")
        shown = _shown(progress)
        with _rate_kept(run.optimizer):
            run.schedule = _schedule(schedule, run, last)
            run.begin(last)
        with rounded(getattr(model, "layers", [model]), run.quantize):
            return run.until(last, shown)


def streams(x: Any, count: int) -> Any:
    """Cut one long sequence into `count` equal ones, to be read side by side with `fit(..., bptt=...)`.

    Parameters
    ----------
    x : array (T, ...)
    count : int

    Returns
    -------
    array (count, T // count, ...)
        A view; what is left at the end is not in it.

    Raises
    ------
    ValueError, TypeError
        If there are fewer steps than that.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.training import streams
    >>> streams(np.arange(7), 2).tolist()
    [[0, 1, 2], [3, 4, 5]]
    """
    array = as_numbers(x, "x")
    count = as_size(count, "count")
    if array.ndim == 0 or len(array) < count:
        raise ValueError(f"x: expected at least {count} steps, got shape {array.shape}")
    length = len(array) // count
    return array[: count * length].reshape(count, length, *array.shape[1:])


def _source(data: Any, objective: Objective) -> Source:
    """Return what makes each epoch's samples."""
    if callable(data):
        return Source(lambda epoch: Samples(data(epoch), objective.model, objective.labels))
    samples = Samples(data, objective.model, objective.labels)
    return Source(lambda epoch: samples)


def _optimizer(given: Any, model: Model) -> Optimizer:
    made = Adam([model]) if given is None else given
    if not isinstance(made, Optimizer) and callable(made):
        made = made([model])
    if not isinstance(made, Optimizer):
        expected = "an Optimizer, or what makes one of a list of models"
        raise TypeError(f"optimizer: expected {expected}, got {given!r}")
    if list(made.models) != [model]:
        raise ValueError(f"optimizer: expected one of [model], got one of {made.models}")
    return made


@contextmanager
def _rate_kept(optimizer: Optimizer) -> Iterator[None]:
    """Give an optimiser its rate back, which a schedule changes when it is made, if the block fails."""
    rate = optimizer.lr
    try:
        yield
    except BaseException:
        optimizer.lr = rate
        raise


def _schedule(given: Any, run: Run, epochs: int) -> Schedule | None:
    made = given
    if made is not None and not isinstance(made, Schedule) and callable(made):
        made = made(run.optimizer, run.steps_until(epochs))
    if made is not None and not isinstance(made, Schedule):
        expected = "a Schedule, or what makes one of an optimiser and a number of steps"
        raise TypeError(f"schedule: expected {expected}, got {given!r}")
    if made is not None and made.optimizer is not run.optimizer:
        raise ValueError("schedule: expected one of the optimizer, got one of another")
    return made


def _shown(progress: Any) -> bool | str | None:
    if progress is None or isinstance(progress, str):
        return progress
    if not isinstance(progress, (bool, np.bool_)):
        raise TypeError(f"progress: expected True, False, None or a string, got {progress!r}")
    return bool(progress)


def _metrics(metrics: Any, validation: Any) -> Mapping[str, Metric]:
    chosen = {} if metrics is None else as_metrics(metrics)
    if chosen and validation is None:
        raise ValueError("metrics: expected validation data with them, got none")
    return chosen
