"""g2p_fa: Persian words to IPA, by an encoder and a decoder of two LSTM layers each.

pip install g2p_fa (which needs torch)
"""

from importlib import resources

from g2p_fa.utils import IPA_LETTERS, word2tensor

import fastlstm
from fastlstm.decoding import generate


class G2pFa:
    """In the place of `g2p_fa.G2P_Fa`."""

    def __init__(self):
        weights = (resources.files("g2p_fa") / "data" / "weights").read_bytes()
        self.encoder = fastlstm.load(weights, prefix="encoder")
        self.decoder = fastlstm.load(weights, prefix="decoder")

    def __call__(self, word):
        """Return a word's IPA."""
        _, state = self.encoder.run(word2tensor(word).numpy())
        (letters,) = generate(self.decoder, state, start=1, end=2, most=29)
        return "".join(IPA_LETTERS[letter - 3] for letter in letters)
