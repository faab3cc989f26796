"""The same classifier in PyTorch, trained the same way, to measure ours by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence

from ..model.checks import Array


class TorchClassifier:
    """LSTM in both directions over packed sequences, readout, linear.

    Parameters
    ----------
    weights : mapping of str to array
        Those of the `Sequential` that it is to be like.
    readout : "last", "mean" or "max"
    """

    def __init__(self, weights: Mapping[str, Array], readout: str) -> None:
        H = weights["0.weight_hh_l0"].shape[1]
        self._readout = readout
        self._lstm = torch.nn.LSTM(weights["0.weight_ih_l0"].shape[1], H, bidirectional=True)
        self._linear = torch.nn.Linear(2 * H, len(weights["2.weight"]))
        for place, module in (("0.", self._lstm), ("2.", self._linear)):
            module.load_state_dict(
                {
                    name.removeprefix(place): torch.tensor(array)
                    for name, array in weights.items()
                    if name.startswith(place)
                }
            )

    def learn(
        self, x: Sequence[Array], y: Any, steps: Sequence[tuple[Any, float]], max_norm: float = 1.0
    ) -> None:
        """Take a step with each batch and rate."""
        sequences, targets = list(map(torch.from_numpy, x)), torch.from_numpy(y)
        parameters = [*self._lstm.parameters(), *self._linear.parameters()]
        adam = torch.optim.Adam(parameters)
        for chosen, rate in steps:
            for group in adam.param_groups:
                group["lr"] = rate
            adam.zero_grad()
            scores = self._scores(pack_sequence([sequences[k] for k in chosen], enforce_sorted=False))
            torch.autograd.backward(cross_entropy(scores, targets[chosen]))
            clip_grad_norm_(parameters, max_norm)
            adam.step()

    def scores(self, x: Sequence[Array]) -> Array:
        """Return each class's score for each sequence."""
        with torch.no_grad():
            packed = pack_sequence([torch.from_numpy(sequence) for sequence in x], enforce_sorted=False)
            return np.asarray(self._scores(packed))

    def _scores(self, packed: PackedSequence) -> Any:
        output, (h_n, _) = self._lstm(packed)
        if self._readout == "last":
            return self._linear(torch.cat([h_n[0], h_n[1]], dim=1))
        if self._readout == "mean":
            padded, lengths = pad_packed_sequence(output)
            return self._linear(padded.sum(dim=0) / lengths[:, None])
        padded, _ = pad_packed_sequence(output, padding_value=-torch.inf)
        return self._linear(padded.amax(dim=0))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let PyTorch use so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
