"""
Many streams
============

A server has hundreds of conversations, each at its own step. A pool runs one step of whichever have new
input, as one batch.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlstm

rng = np.random.default_rng(0)
lstm = fastlstm.LSTM(16, 64, rng=0)
pool = fastlstm.StreamPool(lstm, capacity=100)

callers = [pool.open() for _ in range(10)]
heard = {caller: [] for caller in callers}
_, ax = plt.subplots(figsize=(7, 3), layout="constrained")
_ = ax.set(xlabel="round", ylabel="caller", yticks=range(10))
for t in range(30):
    speaking = [caller for caller in callers if rng.random() < 0.5]
    if not speaking:
        continue
    x_t = rng.standard_normal((len(speaking), 16)).astype(np.float32)
    pool.step(speaking, x_t)
    ax.scatter([t] * len(speaking), [callers.index(caller) for caller in speaking], color="C0", s=18)
    for caller, row in zip(speaking, x_t, strict=True):
        heard[caller].append(row)

# %%
# Each caller's state is what it would be alone:

for caller in callers[:3]:
    _, (h_n, _) = lstm(np.array(heard[caller]))
    print(len(heard[caller]), "steps:", np.array_equal(pool.state(caller)[0], h_n))
