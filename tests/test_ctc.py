"""CTC against every path written out, and central differences; against PyTorch in test_losses_torch.py."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import central_differences

from fastlstm.training import ctc_loss


def probability(logits, labels):
    """Return the sum over all paths that read as the labels, class 0 the blank."""
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    total = 0.0
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        if [label for label, _ in itertools.groupby(path) if label] == list(labels):
            total += np.prod(p[np.arange(len(path)), path])
    return total


def needed(labels):
    return len(labels) + sum(a == b for a, b in itertools.pairwise(labels))


@settings(max_examples=50)
@given(st.data(), st.integers(0, 5), st.booleans())
def test_every_path(data, T, batch_first):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    labels = st.lists(st.integers(1, 2), max_size=3).filter(lambda labels: needed(labels) <= T)
    targets = data.draw(st.lists(labels, max_size=3))
    B = len(targets)
    lengths = np.array([data.draw(st.integers(needed(labels), T)) for labels in targets], int)
    counts = np.array([len(labels) for labels in targets], int)
    target = np.full((B, 3), -1)
    for row, labels in zip(target, targets, strict=True):
        row[: len(labels)] = labels
    output = rng.standard_normal((T, B, 3))
    expected = [
        -np.log(probability(output[:length, b], labels)) / max(len(labels), 1)
        for b, (labels, length) in enumerate(zip(targets, lengths, strict=True))
    ]
    if batch_first:
        output = output.swapaxes(0, 1).copy()
    options = {"target_lengths": counts, "batch_first": batch_first}
    value, gradient = ctc_loss(output, target, lengths, **options)
    assert value == pytest.approx(np.mean(expected) if B else 0, abs=1e-12)
    numeric = central_differences(lambda: ctc_loss(output, target, lengths, **options)[0], output)
    np.testing.assert_allclose(gradient, numeric, atol=1e-7)
    past = np.arange(T) >= lengths[:, None]
    output[past if batch_first else past.T] = np.nan
    again, same = ctc_loss(output, target, lengths, **options)
    assert again == value
    assert np.array_equal(same, gradient)


def test_one_sequence_and_another_blank():
    logits = np.random.default_rng(0).standard_normal((4, 3))
    value, gradient = ctc_loss(logits[:, [2, 0, 1]], [2, 0], blank=1)
    expected, expected_gradient = ctc_loss(logits[:, None], [[1, 2]], [4])
    assert value == pytest.approx(expected)
    np.testing.assert_allclose(gradient[:, [1, 2, 0]], expected_gradient[:, 0], atol=1e-12)
    assert gradient.dtype == np.float64


def test_probabilities_far_below_the_smallest_number():
    """A model that is sure of blanks: each label costs a factor of exp(-50)."""
    logits = np.zeros((400, 1, 3))
    logits[..., 0] = 50
    value, gradient = ctc_loss(logits, np.tile([1, 2], 50)[None])
    # 100 labels at 50 nats each, divided by their number, less what the many ways to place them are worth.
    assert value == pytest.approx(50, rel=0.1)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient.sum(axis=-1), 0, atol=1e-12)
    assert gradient[..., 1:].sum() == pytest.approx(-1)


def test_float32():
    logits = np.random.default_rng(0).standard_normal((50, 4, 6))
    target = np.random.default_rng(1).integers(1, 6, (4, 10))
    value, gradient = ctc_loss(logits, target)
    single, single_gradient = ctc_loss(logits.astype("f"), target)
    assert single == pytest.approx(value, rel=1e-6)
    assert single_gradient.dtype == np.float32
    np.testing.assert_allclose(single_gradient, gradient, atol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "sentence"),
    [
        ((np.ones(3), [1]), {}, ValueError, "output: expected shape (T, B, C) or (T, C), got (3,)"),
        ((np.ones((2, 1, 3)), [1]), {}, ValueError, "target: expected shape (1, S), got (1,)"),
        ((np.ones((2, 1, 3)), [[1], [1]]), {}, ValueError, "target: expected shape (1, S), got (2, 1)"),
        ((np.ones((2, 3)), [[1]]), {}, ValueError, "target: expected shape (S,), got (1, 1)"),
        ((np.ones((2, 3)), [1.0]), {}, TypeError, "target: expected an array of integers"),
        (
            (np.ones((2, 3)), [3]),
            {},
            ValueError,
            "target: expected labels from 0 to 2 without the blank 0, got 3",
        ),
        ((np.ones((2, 3)), [0]), {}, ValueError, "without the blank 0, got 0"),
        ((np.ones((2, 3)), [1]), {"blank": 3}, ValueError, "blank: expected an index from 0 to 2, got 3"),
        (
            (np.ones((2, 3)), [1]),
            {"target_lengths": [2]},
            ValueError,
            "target_lengths: expected 0 to S=1, got 2",
        ),
        (
            (np.ones((2, 1, 3)), [[1, 1]]),
            {},
            ValueError,
            "lengths: expected at least 3 steps for the target of sequence 0, got 2",
        ),
        (
            (np.ones((3, 2, 3)), [[1, 2], [1, 2]], [2, 1]),
            {},
            ValueError,
            "lengths: expected at least 2 steps for the target of sequence 1, got 1",
        ),
    ],
)
def test_refusals(arguments, options, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        ctc_loss(*arguments, **options)
