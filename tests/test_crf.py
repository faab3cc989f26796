"""The conditional random field against the sum over all sequences of tags, and its gradients."""

import itertools
import re

import numpy as np
import pytest
from support import central_differences

from fastlstm import CRF


def problem(batch_first=False, lengths=(4, 0, 1, 3)):
    rng = np.random.default_rng(0)
    x, tags = rng.standard_normal((4, 4, 3)), rng.integers(0, 3, (4, 4))
    crf = CRF(3, dtype="float64", rng=0)
    crf.update({name: rng.standard_normal(array.shape) for name, array in crf.parameters.items()})
    if batch_first:
        x, tags = x.swapaxes(0, 1).copy(), tags.T.copy()
    return crf, x, tags, list(lengths)


def score(crf, emissions, tags):
    p = crf.parameters
    pairs = sum(p["transitions"][a, b] for a, b in itertools.pairwise(tags))
    ends = p["start_transitions"][tags[0]] + p["end_transitions"][tags[-1]]
    return emissions[np.arange(len(tags)), list(tags)].sum() + pairs + ends


@pytest.mark.parametrize("batch_first", [False, True])
def test_against_all_sequences(batch_first):
    crf, x, tags, lengths = problem(batch_first)
    value, _ = crf.loss(x, tags, lengths, batch_first=batch_first)
    decoded = crf.decode(x, lengths, batch_first=batch_first)
    losses = []
    for b, length in enumerate(lengths):
        steps, true = (x[b], tags[b]) if batch_first else (x[:, b], tags[:, b])
        if not length:
            assert len(decoded[b]) == 0
            continue
        ways = list(itertools.product(range(3), repeat=length))
        scores = [score(crf, steps[:length], way) for way in ways]
        losses.append(np.log(np.exp(scores).sum()) - score(crf, steps[:length], true[:length]))
        assert tuple(decoded[b]) == ways[int(np.argmax(scores))]
        alone, _ = crf.loss(steps[:length], true[:length])
        np.testing.assert_allclose(alone, losses[-1])
        assert np.array_equal(crf.decode(steps[:length])[0], decoded[b])
    np.testing.assert_allclose(value, np.sum(losses) / 4)


@pytest.mark.parametrize("lengths", [None, (4, 0, 1, 3)])
def test_gradients(lengths):
    crf, x, tags, _ = problem()
    gradients, weights = crf.loss(x, tags, lengths)[1], crf.state_dict()

    def loss():
        return crf.load_state_dict(weights).loss(x, tags, lengths)[0]

    np.testing.assert_allclose(gradients.input, central_differences(loss, x), atol=1e-8)
    for name, array in weights.items():
        np.testing.assert_allclose(gradients.parameters[name], central_differences(loss, array), atol=1e-8)


def test_what_stands_past_an_end_has_no_influence():
    crf, x, tags, lengths = problem()
    value, gradients = crf.loss(x, tags, lengths)
    decoded = crf.decode(x, lengths)
    for b, length in enumerate(lengths):
        x[length:, b], tags[length:, b] = np.nan, -1
    again, same = crf.loss(x, tags, lengths)
    assert again == value
    assert np.array_equal(same.input, gradients.input)
    assert all(map(np.array_equal, crf.decode(x, lengths), decoded))


def test_dtypes_and_sizes():
    value, gradients = CRF(3, rng=0).loss(np.zeros((0, 2, 3), "f"), np.zeros((0, 2), int))
    assert value == 0
    assert gradients.input.dtype == gradients.parameters["transitions"].dtype == np.float32
    assert CRF(3).loss(np.zeros((2, 0, 3)), np.zeros((2, 0), int))[0] == 0


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: CRF(0), ValueError, "num_tags: expected an integer of at least 1, got 0"),
        (
            lambda: CRF(3).decode(np.ones((2, 4))),
            ValueError,
            "emissions: expected shape (T, B, 3) or (T, 3), got (2, 4)",
        ),
        (lambda: CRF(3).loss(np.ones((2, 3)), [0, 3]), ValueError, "tags: expected tags from 0 to 2, got 3"),
        (lambda: CRF(3).loss(np.ones((2, 3)), [0]), ValueError, "tags: expected shape (2,), got (1,)"),
    ],
)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()
