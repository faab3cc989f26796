"""textgenrnn's port beside the same layers in Keras, as the original needs a TensorFlow of 2020."""

from importlib.util import find_spec

import numpy as np
import pytest
from support_models import InKeras, last_letters, port

pytest.importorskip("keras")
pytest.importorskip("h5py")
pytestmark = pytest.mark.skipif(find_spec("textgenrnn") is None, reason="textgenrnn is not installed")


@pytest.fixture(scope="module")
def module():
    return port("textgenrnn")


@pytest.mark.filterwarnings("ignore")
def test_probabilities(module):
    texts = ["", "I am ", "What is the best way to learn a language in a year and a half"]
    x = last_letters(module.VOCABULARY, texts)
    expected = InKeras(module.FOLDER / "textgenrnn_weights.hdf5")(x)
    p = module.load()(x)
    np.testing.assert_allclose(p, expected, atol=2e-6)
    assert (p.argmax(axis=1) == expected.argmax(axis=1)).all()


def test_text(module):
    """A wrong order of gates would show as gibberish."""
    model, text = module.load(), "What is the best"
    while len(text) < 40:
        text += module.LETTERS[int(model(last_letters(module.VOCABULARY, [text])).argmax())]
    words = "the a an to and in of on way thing state stage start best what is you your can it for that with"
    assert set(text.lower().split()[:-1]) <= set(words.split())
