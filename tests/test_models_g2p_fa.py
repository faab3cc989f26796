"""g2p_fa's port beside the original: the IPA of Persian words."""

import pytest
from support_models import PERSIAN, port

pytest.importorskip("torch")
g2p_fa = pytest.importorskip("g2p_fa")


def test_pronunciations():
    theirs, ours = g2p_fa.G2P_Fa(), port("g2p_fa").G2pFa()
    theirs.model.eval()
    assert [ours(word) for word in PERSIAN] == [theirs(word) for word in PERSIAN]
    assert ours("کتاب") == "kʰætʰɒːb"
