"""Optimisers: what they reach and refuse; against PyTorch in test_optimizers_torch.py."""

import re

import numpy as np
import pytest

from fastlstm import Linear
from fastlstm.training import Adam, clip_gradient_norm


def test_adam_minimises():
    """A line through noiseless points is found."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 2))
    target = x @ np.array([[1.5], [-2.0]]) + 0.5
    linear = Linear(2, 1, dtype="float64", rng=0)
    adam = Adam([linear], lr=0.05)
    for _ in range(500):
        y, tape = linear.forward(x)
        adam.step([tape.backward((y - target) / len(x)).parameters])
    np.testing.assert_allclose(linear.parameters["weight"], [[1.5, -2.0]], atol=1e-3)
    np.testing.assert_allclose(linear.parameters["bias"], [0.5], atol=1e-3)


def test_clip_gradient_norm():
    gradients = [{"a": np.array([3.0]), "b": np.array([[4.0]])}, {"c": np.array([12.0])}]
    assert clip_gradient_norm(gradients, 100.0) == pytest.approx(13)
    assert gradients[0]["a"] == 3
    assert clip_gradient_norm(gradients, 1.3) == pytest.approx(13)
    assert gradients[0]["a"] == pytest.approx(0.3)
    assert clip_gradient_norm([], 1.0) == 0


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: Adam([], lr=0), ValueError, "lr: expected a number above 0, got 0"),
        (lambda: Adam([], betas=(1, 0)), ValueError, "betas: expected numbers in [0, 1), got (1, 0)"),
        (lambda: Adam([], eps=0), ValueError, "eps: expected a number above 0, got 0"),
        (
            lambda: Adam([]).step([{}]),
            ValueError,
            "gradients: expected a mapping for each of 0 models, got 1",
        ),
        (lambda: clip_gradient_norm([], 0), ValueError, "max_norm: expected a number above 0, got 0"),
    ],
)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()


def test_refused_gradient_leaves_adam_as_it_was():
    linear = Linear(3, 2, rng=0)
    adam = Adam([linear])
    with pytest.raises(ValueError, match=re.escape("weight: expected shape (2, 3), got (3, 2)")):
        adam.step([{"weight": np.ones((3, 2))}])
    with pytest.raises(ValueError, match="gradients: expected names of"):
        adam.step([{"wait": np.ones((2, 3))}])
    assert np.array_equal(linear.parameters["weight"], Linear(3, 2, rng=0).parameters["weight"])
