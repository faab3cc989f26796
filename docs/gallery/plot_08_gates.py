"""
A trace of gates
================

What goes on inside an LSTM that has learned to say the last number that was marked.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlstm
from fastlstm import plot
from fastlstm.training import Adam, mean_squared_error

rng = np.random.default_rng(0)
numbers = rng.uniform(-1, 1, (600, 30, 1)).astype(np.float32)
marks = (rng.random(numbers.shape) < 0.1).astype(np.float32)
marks[:, 0] = 1
at = np.maximum.accumulate(np.where(marks > 0, np.arange(30)[:, None], 0), axis=1)
x, y = np.concatenate([numbers, marks], axis=2), np.take_along_axis(numbers, at, axis=1)

lstm = fastlstm.LSTM(2, 4, forget_bias=1.0, batch_first=True, rng=1)
model = fastlstm.Sequential(lstm, fastlstm.Linear(4, 1, rng=1))
_ = fastlstm.fit(
    model,
    (x, y),
    mean_squared_error,
    optimizer=lambda models: Adam(models, lr=0.02),
    epochs=80,
    progress=False,
    rng=0,
)

# %%
# Where a number is marked (*), input gates open and forget gates close; everywhere else cells keep what they
# have.

labels = ["*" if mark else "" for mark in marks[0, :, 0]]
figure = plt.figure(figsize=(9, 6), layout="constrained")
axes = plot.trace(lstm.trace(x[0]), labels=labels, figure=figure)
