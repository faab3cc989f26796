"""Gradients kept from growing too large."""

import numpy as np
import pytest

from fastlstm.training import clip_gradient_norm


def test_clip_gradient_norm():
    gradients = [{"a": np.array([3.0]), "b": np.array([[4.0]])}, {"c": np.array([12.0])}]
    assert clip_gradient_norm(gradients, 100.0) == pytest.approx(13)
    assert gradients[0]["a"] == 3
    assert clip_gradient_norm(gradients, 1.3) == pytest.approx(13)
    assert gradients[0]["a"] == pytest.approx(0.3)
    assert clip_gradient_norm([], 1.0) == 0


def test_refusals():
    with pytest.raises(ValueError, match="max_norm: expected a number above 0, got 0"):
        clip_gradient_norm([], 0)
    with pytest.raises(TypeError, match="max_norm: expected a number above 0, got 'much'"):
        clip_gradient_norm([], "much")
