"""
Coming from PyTorch
===================

A model of PyTorch's, from its own file, without PyTorch; and one that stays in PyTorch but runs on fastlstm.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import fastlstm


class Tagger(torch.nn.Module):
    """An embedding, an LSTM, a linear layer."""

    def __init__(self):
        super().__init__()
        self.emb = torch.nn.Embedding(100, 32)
        self.lstm = torch.nn.LSTM(32, 64, bidirectional=True, batch_first=True)
        self.fc = torch.nn.Linear(128, 9)

    def forward(self, tokens):
        """Return scores (B, T, 9)."""
        return self.fc(self.lstm(self.emb(tokens))[0])


tagger = Tagger().eval()
tokens = torch.randint(0, 100, (2, 7))
with tempfile.TemporaryDirectory() as folder, torch.no_grad():
    path = Path(folder) / "tagger.pt"
    torch.save(tagger.state_dict(), path)
    model = fastlstm.load(path)
    expected = tagger(tokens).numpy()
print(model)

# %%
# Sequences come first in an array whose first axis is steps:

scores = model(tokens.numpy().T).swapaxes(0, 1)
print(f"largest difference: {abs(scores - expected).max():.1e}")

_, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.plot(expected[0, 0], "o", markersize=10, fillstyle="none", label="PyTorch")
ax.plot(scores[0, 0], "x", label="fastlstm")
ax.set(xlabel="tag", ylabel="score of the first step")
_ = ax.legend()

# %%
# Every recurrent module inside any model is replaced by one of fastlstm's, which trains and compiles as
# before:

from fastlstm.interop.torch import accelerate

faster = accelerate(tagger)
print(faster)
