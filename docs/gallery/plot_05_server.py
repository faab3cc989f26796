"""
Inside a server
===============

Requests come one by one; a ``Batcher`` answers those that wait together, as one ragged batch.
"""

import asyncio

import matplotlib.pyplot as plt
import numpy as np

import fastlstm
from fastlstm.serve import Batcher

model = fastlstm.Sequential(fastlstm.LSTM(40, 64, rng=0), fastlstm.LastStep(), fastlstm.Linear(64, 5, rng=0))
rng = np.random.default_rng(0)
requests = [rng.standard_normal((T, 40)).astype(np.float32) for T in rng.integers(1, 100, 200)]


async def serve():
    """Return the answers to all requests, and what the batcher counted."""
    async with Batcher(model, max_batch=64, max_delay=0.002) as batcher:
        answers = await asyncio.gather(*map(batcher, requests))
        return answers, batcher.metrics


answers, metrics = asyncio.run(serve())
print(f"{metrics.answered} answered, in batches of {', '.join(map(str, metrics.batch_sizes))}")
print(f"{metrics.latency.total / metrics.latency.count * 1e3:.1f} ms each, on average")

_, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.bar([str(size) for size in metrics.batch_sizes], metrics.batch_sizes.values(), 0.5)
_ = ax.set(xlabel="sequences of a batch", ylabel="batches")

# %%
# A request's answer does not depend on who else was waiting, to the last bit:

print(np.array_equal(answers[7], model(requests[7])))
