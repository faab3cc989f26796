"""From outputs to labels: CTC by hand and against all paths, and decoders that feed themselves."""

import itertools
import re
from collections import Counter

import numpy as np
import pytest
from scipy.special import log_softmax

from fastlstm import GRU, LSTM, Embedding, Linear, Sequential
from fastlstm.decoding import ctc_beam, ctc_greedy, generate


def labels_of(path, blank):
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("seed", range(8))
def test_ctc_against_all_paths(seed, blank):
    output = np.random.default_rng(seed).standard_normal((5, 3))
    p, sums = np.exp(log_softmax(output, axis=1)), Counter()
    for path in itertools.product(range(3), repeat=5):
        sums[labels_of(path, blank)] += p[np.arange(5), list(path)].prod()
    labels, log_p = ctc_beam(output, beam=100, blank=blank)[0]
    best, likeliest = sums.most_common(1)[0]
    assert tuple(labels) == best
    np.testing.assert_allclose(np.exp(log_p), likeliest)
    assert ctc_beam(output, beam=2, blank=blank)[0][1] <= log_p + 1e-12
    assert tuple(ctc_greedy(output, blank=blank)[0]) == labels_of(output.argmax(axis=1), blank)


@pytest.mark.parametrize("decode", [ctc_greedy, lambda *a, **k: [labels for labels, _ in ctc_beam(*a, **k)]])
@pytest.mark.parametrize("batch_first", [False, True])
def test_ragged_ctc(decode, batch_first):
    output, lengths = np.random.default_rng(0).standard_normal((9, 3, 4)), [9, 0, 5]
    for b, length in enumerate(lengths):
        output[length:, b] = np.nan
    given = output.swapaxes(0, 1) if batch_first else output
    for b, labels in enumerate(decode(given, lengths, batch_first=batch_first)):
        assert np.array_equal(labels, decode(output[: lengths[b], b])[0])
        assert labels.dtype == np.int64


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("cell", [GRU, LSTM])
def test_a_decoder_that_feeds_itself(cell, batch_first):
    decoder = Sequential(
        Embedding(6, 4, rng=0), cell(4, 8, batch_first=batch_first, rng=1), Linear(8, 6, rng=2)
    )
    decoder.update({"2.weight": 9 * decoder.parameters["2.weight"]})
    encoder = cell(2, 8, batch_first=batch_first, rng=3)
    x = np.random.default_rng(0).standard_normal((3, 7, 2) if batch_first else (7, 3, 2))
    state = (encoder(x)[1],)
    said = generate(decoder, state, start=np.array([1, 2, 3]), end=5, most=12)
    for b in range(3):
        _, alone = encoder(x[b] if batch_first else x[:, b])
        now, state, expected = b + 1, (alone,), []
        for _ in range(12):
            scores, state = decoder.run([now], state)
            now = int(scores[0].argmax())
            if now == 5:
                break
            expected.append(now)
        assert said[b].tolist() == expected
        assert generate(decoder, (alone,), start=b + 1, end=5, most=12)[0].tolist() == expected
    assert len(generate(decoder, start=1, most=4)[0]) == 4


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: ctc_greedy(np.ones(3)), ValueError, "output: expected shape (T, B, C) or (T, C), got (3,)"),
        (lambda: ctc_greedy(np.ones((2, 3)), blank=3), ValueError, "blank: expected an index from 0 to 2"),
        (lambda: ctc_beam(np.ones((2, 3)), beam=0), ValueError, "beam: expected an integer of at least 1"),
        (
            lambda: generate(LSTM(3, 4), start=0, most=1),
            ValueError,
            "decoder: expected one that reads indices",
        ),
        (
            lambda: generate(Sequential(Embedding(3, 4), Linear(4, 3)), start=3, most=1),
            ValueError,
            "start: expected indices from 0 to 2, got 3",
        ),
    ],
)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()
