"""textgenrnn: texts letter by letter, by two LSTM layers, their outputs and the embedding side by side.

pip install textgenrnn (which needs an old TensorFlow: only its files are read here)
"""

import json
from importlib.util import find_spec
from pathlib import Path

import fastlstm

FOLDER = Path(find_spec("textgenrnn").origin).parent
VOCABULARY = json.loads((FOLDER / "textgenrnn_vocab.json").read_text(encoding="utf-8"))
LETTERS = {index: letter for letter, index in VOCABULARY.items()}


def load():
    """Return the model: from the last 40 letters (B, 40), zeros first, to p of the next one (B, 465)."""
    parts = {
        name: fastlstm.load(FOLDER / "textgenrnn_weights.hdf5", prefix=name, kinds={"attention": "Linear"})
        for name in ("embedding", "rnn_1", "rnn_2", "attention", "output")
    }
    parts["attention"] = fastlstm.AttentionPool(356).update(
        {"weight": parts["attention"].parameters["weight"]}
    )
    joined = {"side_by_side": (fastlstm.Concat(), "embedding", "rnn_1", "rnn_2")}
    first, last = list(parts.items())[:3], list(parts.items())[3:]
    return fastlstm.Graph(dict(first) | joined | dict(last) | {"p": fastlstm.Softmax()})
