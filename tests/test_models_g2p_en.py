"""g2p_en's port beside the original: the phonemes of words as if none were in its dictionary."""

import pytest
from support_models import english_words, original_g2p_en, port

pytest.importorskip("nltk")


@pytest.mark.filterwarnings("ignore")
def test_phonemes():
    try:
        theirs = original_g2p_en()
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} is not installed")
    ours, words = port("g2p_en").G2p(), english_words()
    assert [ours.predict(word) for word in words] == [theirs.predict(word) for word in words]
    assert ours.predict("recurrent") == ["R", "IH0", "K", "ER1", "AH0", "N", "T"]
