"""g2pM: how a Chinese character that has several readings is read where it stands.

pip install g2pM
"""

import g2pM

import fastlstm

NAMES = {"embedding": "0", "lstm": "1", "logit_layer.0": "2", "logit_layer.2": "4"}


class G2pM(g2pM.G2pM):
    """The original, with another network behind its dictionaries."""

    def load_variable(self, state_dict):
        """Take the weights: they have PyTorch's names and shapes."""
        self.model = fastlstm.Sequential(
            fastlstm.Embedding(5398, 64),
            fastlstm.LSTM(64, 32, bidirectional=True, batch_first=True),
            fastlstm.Linear(64, 32),
            fastlstm.ReLU(),
            fastlstm.Linear(32, 876),
        )
        parts = {name: name.rpartition(".") for name in state_dict}
        self.model.load_state_dict({f"{NAMES[parts[k][0]]}.{parts[k][2]}": v for k, v in state_dict.items()})

    def predict(self, inputs, target_idx):
        """Return the class of the reading at each of some places of a sentence."""
        return self.model(inputs)[0, target_idx].argmax(axis=1)
