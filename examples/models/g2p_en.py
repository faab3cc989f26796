"""g2p_en: English words that are in no dictionary to ARPAbet, by an encoder and a decoder of one GRU each.

pip install g2p_en (which needs nltk and its cmudict for the words that are in the dictionary)
"""

import g2p_en

import fastlstm
from fastlstm.decoding import generate


class G2p(g2p_en.G2p):
    """The original, with another network behind its dictionaries."""

    def load_variables(self):
        """Take the weights: a GRU's are PyTorch's."""
        super().load_variables()
        self.encoder, self.decoder = self.part("enc"), self.part("dec", fastlstm.Linear(256, 74))
        self.decoder.update({"2.weight": self.variables["fc_w"], "2.bias": self.variables["fc_b"]})

    def part(self, name, *after):
        """Return one of the two parts."""
        own = {key.removeprefix(f"{name}_"): array for key, array in self.variables.items()}
        model = fastlstm.Sequential(fastlstm.Embedding(*own["emb"].shape), fastlstm.GRU(256, 256), *after)
        gru = {
            f"1.{kind}_{end}_l0": own[f"{kind[0]}_{end}"]
            for kind in ("weight", "bias")
            for end in ("ih", "hh")
        }
        return model.update({"0.weight": own["emb"]} | gru)

    def predict(self, word):
        """Return the phonemes of a word."""
        letters = [self.g2idx.get(letter, self.g2idx["<unk>"]) for letter in [*word, "</s>"]]
        _, state = self.encoder.run(letters)
        (phonemes,) = generate(self.decoder, state, start=2, end=3, most=20)
        return [self.idx2p[phoneme] for phoneme in phonemes]
