"""From a model's outputs to labels: CTC, greedily and by beam search, and decoders that feed themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .model.base import Model, check_model
from .model.batch import Sequences, check_layout
from .model.checks import Array, as_boolean, as_floats, as_index, as_integers, as_size, check_indices

__all__ = ["ctc_beam", "ctc_greedy", "generate"]

Labels = NDArray[np.int64]


def ctc_greedy(
    output: ArrayLike, lengths: ArrayLike | None = None, *, blank: int = 0, batch_first: bool = False
) -> list[Labels]:
    """Return each sequence's labels by the likeliest class of each step: repetitions are one, blanks none.

    Parameters
    ----------
    output : array (T, B, C), or (B, T, C) with `batch_first`, or (T, C) for one sequence
        Logits, as `fastlstm.training.ctc_loss` takes them.
    lengths : integer array (B,), optional
        How many steps each sequence has, 0 to T.
    blank : int, default 0
        The class that stands for no label.
    batch_first : bool, default False

    Returns
    -------
    list of B integer arrays
        One for a sequence without an axis of its own.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.decoding import ctc_greedy
    >>> steps = np.eye(3)[[1, 1, 0, 1, 2, 0]]
    >>> ctc_greedy(steps)[0].tolist()
    [1, 1, 2]
    """
    decoded = []
    for steps in _by_sequence(output, lengths, batch_first):
        none = as_index(blank, "blank", steps.shape[1])
        classes = steps.argmax(axis=1)
        begins = np.diff(classes, prepend=-1) != 0
        decoded.append(classes[begins & (classes != none)])
    return decoded


def ctc_beam(
    output: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    beam: int = 16,
    blank: int = 0,
    batch_first: bool = False,
) -> list[tuple[Labels, float]]:
    """Return each sequence's likeliest labels, summed over all their times, by a search over prefixes.

    Parameters
    ----------
    output, lengths, blank, batch_first
        As for `ctc_greedy`.
    beam : int, default 16
        How many prefixes are kept from step to step. The more, the surer that none is likelier.

    Returns
    -------
    list of B tuples
        Integer array of labels, and log of their probability (a lower bound of it, as
        prefixes were left out).

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    References
    ----------
    .. [1] A. Hannun, A. Maas, D. Jurafsky and A. Ng, "First-Pass Large Vocabulary Continuous Speech
       Recognition using Bi-Directional Recurrent DNNs", arXiv:1408.2873, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.decoding import ctc_beam
    >>> labels, log_p = ctc_beam(np.log([[0.6, 0.4], [0.6, 0.4]]))[0]
    >>> labels.tolist(), round(float(np.exp(log_p)), 2)     # blank blank has 0.36 alone
    ([1], 0.64)
    """
    from scipy.special import log_softmax

    width, found = as_size(beam, "beam"), []
    for steps in _by_sequence(output, lengths, batch_first):
        none = as_index(blank, "blank", steps.shape[1])
        log_p = log_softmax(steps.astype(np.float64), axis=1)
        prefixes: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -np.inf)}
        for step in log_p:
            prefixes = _longer(prefixes, step, none)
            likeliest = sorted(prefixes, key=lambda prefix: (-np.logaddexp(*prefixes[prefix]), prefix))
            prefixes = {prefix: prefixes[prefix] for prefix in likeliest[:width]}
        best = next(iter(prefixes))
        found.append((np.array(best, np.int64), float(np.logaddexp(*prefixes[best]))))
    return found


def _longer(
    prefixes: dict[tuple[int, ...], tuple[float, float]], log_p: Array, blank: int
) -> dict[tuple[int, ...], tuple[float, float]]:
    """Return prefixes after one more step, with log P of the ways that end with a blank, with a label."""
    after: dict[tuple[int, ...], list[float]] = {}

    def add(prefix: tuple[int, ...], label: int, value: float) -> None:
        ways = after.setdefault(prefix, [-np.inf, -np.inf])
        ways[label] = float(np.logaddexp(ways[label], value))

    for prefix, (blank_last, label_last) in prefixes.items():
        either = np.logaddexp(blank_last, label_last)
        add(prefix, 0, either + log_p[blank])
        for label in range(len(log_p)):
            if label == blank:
                continue
            if prefix and label == prefix[-1]:
                add(prefix, 1, label_last + log_p[label])
                add((*prefix, label), 1, blank_last + log_p[label])
            else:
                add((*prefix, label), 1, either + log_p[label])
    return {prefix: (ways[0], ways[1]) for prefix, ways in after.items()}


def _by_sequence(output: ArrayLike, lengths: ArrayLike | None, batch_first: bool) -> list[Array]:
    """Return each sequence's own steps (T_k, C)."""
    as_boolean(batch_first, "batch_first")
    given = as_floats(output, "output")
    check_layout(given, "output", "C", batch_first)
    sequences = Sequences.of(given.shape[:-1], batch_first, lengths)
    steps = sequences.time_major(given)
    return [steps[:end, b] for b, end in enumerate(sequences.steps)]


def generate(
    decoder: Model, state: Any = None, *, start: ArrayLike, end: int | None = None, most: int
) -> list[Labels]:
    """Return what a decoder says that is fed its own likeliest outputs, as behind an encoder's final state.

    Parameters
    ----------
    decoder : Sequential or Graph
        One that reads indices and gives scores of the next index at each step, forward in time.
    state : optional
        The decoder's initial state, as its `run` takes it.
    start : int, or integer array (B,)
        The index that each sequence begins with; it is not among those returned.
    end : int, optional
        The index that ends a sequence; it is not among those returned.
    most : int
        How many indices a sequence has at most.

    Returns
    -------
    list of B integer arrays
        One for a `start` that is a number.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Examples
    --------
    >>> import fastlstm
    >>> from fastlstm.decoding import generate
    >>> decoder = fastlstm.Sequential(
    ...     fastlstm.Embedding(5, 4, rng=0), fastlstm.GRU(4, 8, rng=0), fastlstm.Linear(8, 5, rng=0)
    ... )
    >>> len(generate(decoder, start=1, most=7)[0])
    7
    """
    check_model(decoder)
    decoder._check_causal()
    if decoder.num_embeddings is None:
        raise ValueError(f"decoder: expected one that reads indices, got {decoder!r}")
    now = as_integers(start, "start")
    if now.ndim > 1:
        raise ValueError(f"start: expected a number or shape (B,), got {now.shape}")
    check_indices(now, "start", decoder.num_embeddings)
    stop = None if end is None else as_index(end, "end", decoder.num_embeddings)
    limit = as_size(most, "most")
    if now.ndim and not len(now):
        return []
    stream = decoder.stream(len(now) if now.ndim else None)
    if state is not None:  # checked and filled up by a run of no steps
        time = 1 if now.ndim and decoder.batch_first else 0
        stream.state = decoder.run(np.expand_dims(now, time).take([], axis=time), state)[1]
    said = np.empty((limit, now.size), np.int64)
    counts = np.full(now.size, limit)
    for step in range(limit):
        now = stream.step(now).argmax(axis=-1)
        said[step] = now
        if stop is not None:
            counts[(said[step] == stop) & (counts == limit)] = step
            if (counts <= step).all():
                break
    return [said[:count, b] for b, count in enumerate(counts)]
