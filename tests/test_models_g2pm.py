"""g2pM's port beside the original, whose network is of NumPy: all outputs over a page of Chinese."""

import warnings

import numpy as np
import pytest
from support_models import CHINESE, FOLDER, port

g2pm = pytest.importorskip("g2pM")


@pytest.fixture(scope="module")
def both():
    with warnings.catch_warnings():  # the original leaves its files open
        warnings.simplefilter("ignore", ResourceWarning)
        return g2pm.G2pM(), port("g2pm").G2pM()


@pytest.mark.parametrize("sentence", CHINESE)
def test_readings(both, sentence):
    theirs, ours = both
    assert ours(sentence) == theirs(sentence)


@pytest.mark.parametrize("sentence", CHINESE)
def test_all_outputs(both, sentence):
    """The class at every character, whether or not it has several readings, and its scores."""
    theirs, ours = both
    indices = np.array([[theirs.char2idx.get(letter, 0) or 1 for letter in sentence]], np.int32)
    everywhere = list(range(indices.shape[1]))
    scores = []
    theirs.fc_layer = lambda hidden: scores.append(type(theirs).fc_layer(theirs, hidden)) or scores[-1]
    assert (ours.predict(indices, everywhere) == theirs.predict(indices, everywhere)).all()
    np.testing.assert_allclose(ours.model(indices)[0], scores[0], atol=1e-4)


def test_training_further(monkeypatch):
    """What was loaded learns: readings of phrases that it is not shown."""
    pytest.importorskip("pypinyin")
    monkeypatch.syspath_prepend(FOLDER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        before, after = port("g2pm_further").main(epochs=1, most=15_000)
    assert after > before + 0.005
