"""
A stream
========

One step at a time, as input arrives: the bits of the whole sequence in one call.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

import fastlstm

lstm = fastlstm.LSTM(40, 128, num_layers=2, rng=0)
x = np.random.default_rng(0).standard_normal((500, 40)).astype(np.float32)
whole, _ = lstm(x)

stream = lstm.stream()
steps = np.stack([stream.step(x_t) for x_t in x])
print(steps.tobytes() == whole.tobytes())

# %%
# Pieces of any lengths are fed as well:

stream.reset()
pieces = np.concatenate([stream.feed(piece) for piece in np.split(x, [3, 100, 101, 350])])
print(pieces.tobytes() == whole.tobytes())

# %%
# How long a step takes:

taken = []
for x_t in x:
    start = time.perf_counter()
    stream.step(x_t)
    taken.append(1e6 * (time.perf_counter() - start))
print(f"median {np.median(taken):.1f} µs")

_, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.hist(taken, bins=60, range=(0, 2 * np.median(taken)))
_ = ax.set(xlabel="µs", ylabel="steps")
