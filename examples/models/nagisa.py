"""nagisa: Japanese text to words and their parts of speech, by three LSTMs of both directions and a CRF.

pip install --no-deps nagisa && pip install six (its training alone needs DyNet)
"""

import nagisa
import nagisa_utils as utils
import numpy as np

import fastlstm


def as_lstm(own):
    """Return DyNet's two directions as one layer.

    Its rows are i f o g, and it adds 1 to f as it runs, which nagisa has done already.
    """
    rows = [part for each in own.layers[0] for part in (each.WxT.T, each.WhT.T, each.b, 0 * each.b)]
    layer = fastlstm.LSTM(rows[0].shape[1], rows[1].shape[1], bidirectional=True)
    ordered = [np.concatenate([np.split(part, 4)[gate] for gate in (0, 1, 3, 2)]) for part in rows]
    return layer.update(dict(zip(layer.parameters, ordered, strict=True)))


class Tagger(nagisa.Tagger):
    """The original, with its vocabularies and features, and other layers."""

    def __init__(self):
        super().__init__()
        own, trans = self._model, self._model.trans_array
        ends = {"start_transitions": trans[:, 4], "end_transitions": trans[5]}
        borders = fastlstm.Linear(100, 6).update({"weight": own.w_wsT.T, "bias": own.b_ws})
        tags = fastlstm.Linear(100, 24).update({"weight": own.w_posT.T, "bias": own.b_pos})
        letters = fastlstm.Embedding(*own.UNI.shape).update({"weight": own.UNI})
        self.segment = fastlstm.Sequential(as_lstm(own.ws_model), borders)
        self.crf = fastlstm.CRF(6).update({"transitions": trans.T, **ends})
        self.spell = fastlstm.Sequential(letters, as_lstm(own.char_seq_model), fastlstm.TorchLastStep())
        self.tag = fastlstm.Sequential(as_lstm(own.pos_model), tags)
        own.POStagging = self.parts_of_speech

    def wakati(self, text, lower=False):
        """Return the words of a text."""
        text, own = utils.preprocess(text), self._model
        features = utils.feature_extraction(text.lower(), self._uni2id, self._bi2id, self._word2id, 3)
        scores = self.segment(utils.build_ws_input(*features, own.UNI, own.BI, own.CTYPE, own.WORD))
        return utils.segmenter_for_bmes(text.lower() if lower else text, self.crf.decode(scores)[0].tolist())

    def parts_of_speech(self, features):
        """Return the number of the part of speech of each word, of which the letters are given, too."""
        (words, *others), own = features, self._model
        lengths = [len(word) for word in words]
        letters = np.array([word + [0] * (max(lengths) - len(word)) for word in words])
        x = utils.build_pos_input(*others, own.WORD, own.POS, own.dim_uni)
        x[:, own.dim_word : own.dim_word + own.dim_uni] = self.spell(letters.T, lengths=lengths)
        return self.tag(x).argmax(axis=1).tolist()
