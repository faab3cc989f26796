"""
A first model
=============

Does a sequence rise more often than it falls? Sequences of any lengths go in, a class for each comes out.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlstm
from fastlstm import plot
from fastlstm.training import Adam, softmax_cross_entropy

rng = np.random.default_rng(0)
x = [rng.standard_normal((length, 1)).cumsum(axis=0) for length in rng.integers(10, 40, 400)]
y = [int((np.diff(sequence[:, 0]) > 0).mean() > 0.5) for sequence in x]

# %%
# An LSTM reads the sequence, its last output is turned into two scores. ``fit`` keeps the weights that were
# best on the sequences that it does not learn from.

model = fastlstm.Sequential(fastlstm.LSTM(1, 32, rng=0), fastlstm.LastStep(), fastlstm.Linear(32, 2, rng=0))
history = fastlstm.fit(
    model,
    (x[:300], y[:300]),
    softmax_cross_entropy,
    optimizer=lambda models: Adam(models, lr=5e-3),
    epochs=30,
    validation=(x[300:], y[300:]),
    progress=False,
    rng=0,
)
_, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ax.set_ylabel("loss")
_ = plot.history({"training": history["loss"], "validation": history["val_loss"]}, ax=ax)

# %%
# How many of the held-out sequences it tells right:

from fastlstm.training import predict

scores = predict(model, x[300:])
print(f"{np.mean(np.argmax(scores, axis=1) == y[300:]):.0%} of {len(scores)}")
