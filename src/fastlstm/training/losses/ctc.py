"""Connectionist temporal classification: labels without their times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...model.batch import Sequences, check_layout
from ...model.checks import Array, as_boolean, as_floats, as_index, as_integers
from .real import as_weights

NEVER = -1e300
"""A logarithm of probability zero that can be calculated with."""


def ctc_loss(
    output: ArrayLike,
    target: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    target_lengths: ArrayLike | None = None,
    blank: int = 0,
    sample_weight: ArrayLike | None = None,
    batch_first: bool = False,
) -> tuple[float, Array]:
    """Return -log of the probability of the targets, over all their possible times, and its gradient.

    As `torch.nn.functional.ctc_loss` of the log-softmax of `output`: each sequence's loss is divided by its
    number of labels (by 1 if there is none), and the mean taken over the sequences.

    Parameters
    ----------
    output : array (T, B, C), or (B, T, C) with `batch_first`, or (T, C) for one sequence
        Logits.
    target : integer array (B, S), or (S,) for one sequence
        The labels, from 0 to C - 1 without `blank`.
    lengths : integer array (B,), optional
        How many steps each sequence has, 0 to T.
    target_lengths : integer array (B,), optional
        How many labels each target has, 0 to S. What stands behind them has no influence.
    blank : int, default 0
        The class that stands for no label.
    sample_weight : array (B,), optional
        How much each sequence counts, 0 or more; the mean is then a weighted one.
    batch_first : bool, default False

    Returns
    -------
    value : float
        In nats; 0 where there are no sequences.
    doutput : array like `output`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, or a sequence has fewer steps than its labels need: one each, and
        one more between two that are equal.

    References
    ----------
    .. [1] A. Graves, S. Fernández, F. Gomez and J. Schmidhuber, "Connectionist Temporal Classification:
       Labelling Unsegmented Sequence Data with Recurrent Neural Networks", ICML 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.training import ctc_loss
    >>> value, doutput = ctc_loss(np.zeros((2, 3)), [1])    # 1 1, 1 blank or blank 1: three of nine
    >>> round(value, 4)
    1.0986
    """
    from scipy.special import log_softmax

    as_boolean(batch_first, "batch_first")
    given = as_floats(output, "output")
    check_layout(given, "output", "C", batch_first)
    sequences = Sequences.of(given.shape[:-1], batch_first, lengths)
    steps = sequences.steps
    blank = as_index(blank, "blank", given.shape[-1])
    labels, counts = _labels(target, target_lengths, sequences, given.shape[-1], blank)
    states = _states(labels, counts, blank)
    _check_steps(states, steps)

    logits = sequences.time_major(sequences.zero_past_ends(given))
    log_p: Array = log_softmax(logits.astype(np.result_type(given.dtype, np.float32)), axis=-1)
    emitted = np.take_along_axis(log_p, states.classes[None], axis=2).astype(np.float64)
    log_alpha = _forward(emitted, states)
    losses, posterior = _backward(emitted, log_alpha, states, steps)

    weights = np.ones(sequences.B) if sample_weight is None else as_weights(sample_weight, (sequences.B,))
    shares = weights / (np.maximum(counts, 1) * (weights.sum() or 1))
    gradient = np.exp(log_p, out=log_p)
    sequence = np.arange(sequences.B)
    for state in range(states.classes.shape[1]):
        gradient[:, sequence, states.classes[:, state]] -= posterior[:, :, state]
    gradient *= shares.astype(gradient.dtype)[:, None]
    doutput = np.empty_like(given)
    sequences.time_major(doutput)[...] = gradient
    return float(losses @ shares), sequences.zero_past_ends(doutput)


@dataclass
class States:
    """What a path through each target visits: a blank before and after every label.

    Attributes
    ----------
    classes : (B, L) integers, L = 2·S + 1
    skips : (B, L) booleans
        Whether a path may come here without the blank before: to a label that differs from the last.
    last : (B,) integers
        Where a path ends, or one before.
    needed : (B,) integers
        How many steps the shortest path takes.
    """

    classes: NDArray[np.int64]
    skips: NDArray[np.bool_]
    last: NDArray[np.int64]
    needed: NDArray[np.int64]


def _labels(
    target: ArrayLike, target_lengths: ArrayLike | None, sequences: Sequences, classes: int, blank: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the labels (B, S), blank past a target's end, and how many each target has."""
    labels = as_integers(target, "target")
    expected = "(S,)" if sequences.unbatched else f"({sequences.B}, S)"
    if labels.ndim != 2 - sequences.unbatched or (not sequences.unbatched and len(labels) != sequences.B):
        raise ValueError(f"target: expected shape {expected}, got {labels.shape}")
    labels = labels.reshape(sequences.B, labels.shape[-1])
    counts = np.full(sequences.B, labels.shape[1])
    if target_lengths is not None:
        counts = as_integers(target_lengths, "target_lengths", (sequences.B,))
        if counts.size and (counts.min() < 0 or counts.max() > labels.shape[1]):
            wrong = counts.min() if counts.min() < 0 else counts.max()
            raise ValueError(f"target_lengths: expected 0 to S={labels.shape[1]}, got {wrong}")
    real = np.arange(labels.shape[1]) < counts[:, None]
    wrong_labels = labels[real & ((labels < 0) | (labels >= classes) | (labels == blank))]
    if wrong_labels.size:
        raise ValueError(
            f"target: expected labels from 0 to {classes - 1} without the blank {blank}, "
            f"got {wrong_labels[0]}"
        )
    return np.where(real, labels, blank), counts


def _states(labels: NDArray[np.int64], counts: NDArray[np.int64], blank: int) -> States:
    B, S = labels.shape
    classes = np.full((B, 2 * S + 1), blank)
    classes[:, 1::2] = labels
    skips = np.zeros(classes.shape, bool)
    skips[:, 3::2] = labels[:, 1:] != labels[:, :-1]
    equal = (labels[:, 1:] == labels[:, :-1]) & (np.arange(1, S) < counts[:, None])
    return States(classes, skips, 2 * counts, counts + equal.sum(axis=1))


def _check_steps(states: States, steps: NDArray[np.int64]) -> None:
    short = np.flatnonzero(steps < states.needed)
    if short.size:
        b = short[0]
        raise ValueError(
            f"lengths: expected at least {states.needed[b]} steps for the target of sequence {b}, "
            f"got {steps[b]}"
        )


def _forward(emitted: Array, states: States) -> Array:
    """Return log P(the first t steps, and then being in a state), (T + 1, B, L), from log P of each step."""
    log_alpha = np.full((len(emitted) + 1, *emitted.shape[1:]), NEVER)
    log_alpha[0, :, 0] = 0
    for t, log_p in enumerate(emitted):
        ways = _ways(log_alpha[t], states)
        most = ways.max(axis=0)
        ways -= most
        log_alpha[t + 1] = most + np.log(np.exp(ways, out=ways).sum(axis=0)) + log_p
    return log_alpha


def _ways(log_alpha: Array, states: States) -> Array:
    """Return log_alpha of the states from which a path may come to each: itself, one or two before."""
    ways = np.full((3, *log_alpha.shape), NEVER)
    ways[0] = log_alpha
    ways[1, :, 1:] = log_alpha[:, :-1]
    np.copyto(ways[2, :, 2:], log_alpha[:, :-2], where=states.skips[:, 2:])
    return ways


def _backward(
    emitted: Array, log_alpha: Array, states: States, steps: NDArray[np.int64]
) -> tuple[Array, Array]:
    """Return -log P of each target, and P(a state at a step, given the target), (T, B, L)."""
    sequence = np.arange(len(steps))
    ends = states.last, np.maximum(states.last - 1, 0)
    log_ends = np.stack([log_alpha[steps, sequence, end] for end in ends])
    log_ends[1, states.last == 0] = NEVER
    log_p = np.logaddexp(*log_ends)
    at_end = np.zeros(emitted.shape[1:])
    for end, log_end in zip(ends, log_ends, strict=True):
        at_end[sequence, end] += np.exp(log_end - log_p)

    posterior, now = np.empty_like(emitted), np.zeros_like(at_end)
    for t in reversed(range(len(emitted))):
        now[steps == t + 1] = at_end[steps == t + 1]
        posterior[t] = now
        # Backward over the sum of three ways: each has the share that it had in the sum.
        share = np.exp(_ways(log_alpha[t], states) - (log_alpha[t + 1] - emitted[t])) * now
        now = share[0]
        now[:, :-1] += share[1, :, 1:]
        now[:, :-2] += share[2, :, 2:]
    return -log_p, posterior
