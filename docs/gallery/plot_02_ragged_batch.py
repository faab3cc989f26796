"""
A ragged batch
==============

Sequences of different lengths in one batch cost their true number of steps, forward and backward, and give
the bits that each gives alone.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

import fastlstm

rng = np.random.default_rng(0)
lstm = fastlstm.LSTM(64, 128, bidirectional=True, rng=0)
lengths = rng.integers(1, 200, 32)
x = np.zeros((lengths.max(), len(lengths), 64), np.float32)  # (T, B, I), padded
for b, length in enumerate(lengths):
    x[:length, b] = rng.standard_normal((length, 64))

y, (h_n, c_n) = lstm(x, lengths=lengths)

_, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.bar(range(32), lengths.max(), color="0.9", label="padding")
ax.bar(range(32), lengths, label="steps")
ax.set(xlabel="sequence", ylabel="step", ylim=(0, 1.2 * lengths.max()))
_ = ax.legend(loc="upper right", ncols=2)

# %%
# A sequence of the batch has the same bits alone:

b = 3
alone, _ = lstm(x[: lengths[b], b])
print(alone.tobytes() == y[: lengths[b], b].tobytes())

# %%
# And padding costs nothing:


def best_of(function, times=10):
    """Return the shortest time of a call, in milliseconds."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return 1000 * min(taken)


dense = best_of(lambda: lstm(x))
ragged = best_of(lambda: lstm(x, lengths=lengths))
real = lengths.sum() / x[..., 0].size
print(f"{real:.0%} of the steps are real; they take {ragged / dense:.0%} of the time of all")
