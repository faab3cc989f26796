"""nagisa's port beside the original: words and parts of speech."""

import pytest
from support_models import JAPANESE, port

nagisa = pytest.importorskip("nagisa")


@pytest.fixture(scope="module")
def ours():
    return port("nagisa").Tagger()


@pytest.mark.parametrize("text", [*JAPANESE, "".join(JAPANESE), "猫"])
def test_words_and_tags(ours, text):
    theirs, found = nagisa.tagging(text), ours.tagging(text)
    assert found.words == theirs.words
    assert found.postags == theirs.postags


def test_lower(ours):
    assert ours.wakati("PYTHONで", lower=True) == nagisa.wakati("PYTHONで", lower=True) == ["python", "で"]
