"""A conditional random field: tags that depend on their neighbours."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..model.batch import Sequences
from ..model.checks import (
    Array,
    as_boolean,
    as_dtype,
    as_floats,
    as_generator,
    as_integers,
    as_size,
    check_indices,
)
from ..model.gradients import Gradients
from ..model.parameters import Parameterised
from ..model.recurrent import Rng

Tags = NDArray[np.int64]


class CRF(Parameterised):
    """A conditional random field: a linear chain over tags, behind a model that scores each at each step.

    A sequence of tags has as its score the sum of the model's scores, the emissions, of `transitions` from
    each tag to the next, and of `start_transitions` and `end_transitions` for the first and the last.
    Parameters have the names and shapes of those of the package pytorch-crf.

    Parameters
    ----------
    num_tags : int
    dtype : {"float32", "float64"}, default "float32"
    rng : numpy.random.Generator, seed or None
        Draws the initial values, U(-0.1, 0.1).

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    .. [1] J. Lafferty, A. McCallum and F. Pereira, "Conditional Random Fields: Probabilistic Models for
       Segmenting and Labeling Sequence Data", ICML 2001.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> from fastlstm.training import Adam
    >>> tagger = fastlstm.Sequential(fastlstm.LSTM(2, 8, rng=0), fastlstm.Linear(8, 3, rng=0))
    >>> crf = fastlstm.CRF(3, rng=0)
    >>> adam = Adam([tagger, crf], 0.05)
    >>> x, tags = np.random.default_rng(0).standard_normal((6, 1, 2)), [[0], [1], [2], [0], [1], [2]]
    >>> for _ in range(100):
    ...     emissions, _, tape = tagger.forward(x)
    ...     value, gradients = crf.loss(emissions, tags)
    ...     adam.step([tape.backward(gradients.input).parameters, gradients.parameters])
    >>> crf.decode(tagger(x))[0].tolist()
    [0, 1, 2, 0, 1, 2]
    """

    _fixed = Parameterised._fixed | {"num_tags", "dtype"}

    def __init__(self, num_tags: int, *, dtype: DTypeLike = "float32", rng: Rng = None) -> None:
        self.num_tags: Final = as_size(num_tags, "num_tags")
        self.dtype: Final = as_dtype(dtype)
        generator, K = as_generator(rng), self.num_tags
        self._draw_initial(
            [("start_transitions", (K,)), ("end_transitions", (K,)), ("transitions", (K, K))],
            self.dtype,
            lambda name, shape: generator.uniform(-0.1, 0.1, shape),
        )

    def __repr__(self) -> str:
        return f"CRF({self.num_tags})"

    def loss(
        self,
        emissions: ArrayLike,
        tags: ArrayLike,
        lengths: ArrayLike | None = None,
        *,
        batch_first: bool = False,
    ) -> tuple[float, Gradients[None]]:
        """Return -log of the probability of the tags, and its gradients.

        Parameters
        ----------
        emissions : array (T, B, num_tags), or (B, T, num_tags) with `batch_first`, or (T, num_tags)
            The model's scores.
        tags : integer array (T, B), (B, T) or (T,)
            From 0 to num_tags - 1; what stands past a sequence's end has no influence.
        lengths : integer array (B,), optional
            How many steps each sequence has, 0 to T.
        batch_first : bool, default False

        Returns
        -------
        value : float
            In nats, the mean over the sequences; 0 where there are none.
        gradients : Gradients
            `input` is that of the emissions; `parameters` are those of this layer.

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above.
        """
        given, sequences = self._sequences(emissions, lengths, batch_first)
        scores = self._scores(given, sequences)
        labels = self._tags(tags, sequences)
        log_alpha = self._forward(scores)
        log_z, marginals, pairs = self._backward(scores, log_alpha, sequences.steps)
        value, d_scores, gradients = self._against(scores, labels, log_z, marginals, pairs, sequences)
        d_emissions = np.zeros_like(given)
        sequences.time_major(d_emissions)[...] = d_scores
        named = {name: array.astype(self.dtype) for name, array in gradients.items()}
        return value, Gradients(d_emissions, None, named)

    def decode(
        self, emissions: ArrayLike, lengths: ArrayLike | None = None, *, batch_first: bool = False
    ) -> list[Tags]:
        """Return each sequence's tags of the highest score, by Viterbi's algorithm.

        Parameters
        ----------
        emissions, lengths, batch_first
            As `loss` takes them.

        Returns
        -------
        list of B integer arrays (T_k,)
            One for a sequence without an axis of its own.

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above.
        """
        given, sequences = self._sequences(emissions, lengths, batch_first)
        scores, transitions = self._scores(given, sequences), self._of("transitions")
        best, came_from = np.empty(scores.shape), np.zeros(scores.shape, np.int64)
        for t, score in enumerate(scores):
            if t == 0:
                best[t] = self._of("start_transitions") + score
                continue
            ways = best[t - 1][:, :, None] + transitions
            came_from[t] = ways.argmax(axis=1)
            best[t] = ways.max(axis=1) + score
        ends = self._of("end_transitions")
        return [
            _way_back(best[:steps, b], came_from[:steps, b], ends) for b, steps in enumerate(sequences.steps)
        ]

    def _of(self, name: str) -> Array:
        return self._weights.arrays[name].astype(np.float64)

    def _sequences(
        self, emissions: ArrayLike, lengths: ArrayLike | None, batch_first: bool
    ) -> tuple[Array, Sequences]:
        """Return checked emissions, and where sequences lie in them."""
        as_boolean(batch_first, "batch_first")
        given = as_floats(emissions, "emissions")
        if given.ndim not in (2, 3) or given.shape[-1] != self.num_tags:
            layout = "(B, T, {0}) or (T, {0})" if batch_first else "(T, B, {0}) or (T, {0})"
            raise ValueError(f"emissions: expected shape {layout.format(self.num_tags)}, got {given.shape}")
        return given, Sequences.of(given.shape[:-1], batch_first, lengths)

    @staticmethod
    def _scores(given: Array, sequences: Sequences) -> Array:
        """Return emissions (T, B, K) as they are calculated with, 0 past the ends."""
        return sequences.time_major(sequences.zero_past_ends(given)).astype(np.float64)

    def _tags(self, tags: ArrayLike, sequences: Sequences) -> Tags:
        """Return checked tags (T, B), 0 past the ends."""
        given = sequences.time_major(as_integers(tags, "tags", sequences.shape(1)[:-1])[..., None])[..., 0]
        labels = np.where(sequences.real(), given, 0)
        check_indices(labels, "tags", self.num_tags, "tags")
        return labels

    def _forward(self, scores: Array) -> Array:
        """Return log of the sum over all ways to be at a tag at a step, (T, B, K)."""
        log_alpha, transitions = np.empty_like(scores), self._of("transitions")
        for t, score in enumerate(scores):
            if t == 0:
                log_alpha[t] = self._of("start_transitions") + score
                continue
            ways = log_alpha[t - 1][:, :, None] + transitions
            most = ways.max(axis=1)
            log_alpha[t] = most + np.log(np.exp(ways - most[:, None]).sum(axis=1)) + score
        return log_alpha

    def _backward(self, scores: Array, log_alpha: Array, steps: Tags) -> tuple[Array, Array, Array]:
        """Return log of the sum over all tags, P(tag at a step), and how often to expect each transition."""
        log_z, marginals = np.zeros(len(steps)), np.zeros_like(scores)
        pairs, now = np.zeros((self.num_tags, self.num_tags)), np.zeros(scores.shape[1:])
        transitions, ends = self._of("transitions"), self._of("end_transitions")
        for t in reversed(range(len(scores))):
            ending = steps == t + 1
            at_end = log_alpha[t, ending] + ends
            most = at_end.max(axis=1, initial=-np.inf)
            log_z[ending] = most + np.log(np.exp(at_end - most[:, None]).sum(axis=1))
            now[ending] = np.exp(at_end - log_z[ending][:, None])
            marginals[t] = now
            if t:
                # Backward over the sum: each way has the share that it had in it.
                ways = log_alpha[t - 1][:, :, None] + transitions
                share = np.exp(ways - (log_alpha[t] - scores[t])[:, None]) * now[:, None]
                pairs += share.sum(axis=0)
                now = share.sum(axis=2)
        return log_z, marginals, pairs

    def _against(
        self, scores: Array, labels: Tags, log_z: Array, marginals: Array, pairs: Array, sequences: Sequences
    ) -> tuple[float, Array, dict[str, Array]]:
        """Return the mean loss for the true tags, and the gradients: what is expected, less what is true."""
        real, (some, first, last) = sequences.real(), sequences.ends()
        chosen = np.zeros_like(scores)
        np.put_along_axis(chosen, labels[..., None], real[..., None], axis=2)
        follows = real[1:]
        counts = np.zeros_like(pairs)
        np.add.at(counts, (labels[:-1][follows], labels[1:][follows]), 1)
        start, end = chosen[first, some], chosen[last, some]
        true = (
            (scores * chosen).sum()
            + (counts * self._of("transitions")).sum()
            + (start @ self._of("start_transitions")).sum()
            + (end @ self._of("end_transitions")).sum()
        )
        share = 1 / max(sequences.B, 1)
        gradients = {
            "start_transitions": (marginals[first, some] - start).sum(axis=0) * share,
            "end_transitions": (marginals[last, some] - end).sum(axis=0) * share,
            "transitions": (pairs - counts) * share,
        }
        return float(log_z.sum() - true) * share, (marginals - chosen) * share, gradients


def _way_back(best: Array, came_from: Tags, end: Array) -> Tags:
    """Return the tags (T,) of the best way, from the best score of each tag and the tag before it."""
    tags = np.zeros(len(best), np.int64)
    if len(best):
        tags[-1] = (best[-1] + end).argmax()
    for t in range(len(best) - 1, 0, -1):
        tags[t - 1] = came_from[t, tags[t]]
    return tags
