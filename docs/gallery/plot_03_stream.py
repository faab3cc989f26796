"""
A stream
========

One step at a time, as input arrives: the bits of the whole sequence in one call.
"""

import time

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

start = time.perf_counter()
for x_t in x:
    stream.step(x_t)
print(f"{1e6 * (time.perf_counter() - start) / len(x):.1f} µs")
