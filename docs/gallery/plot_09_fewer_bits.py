"""
Fewer bits
==========

int8 and bfloat16: a quarter and a half of the bytes, with small errors.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

import fastlstm

model = fastlstm.LSTM(256, 512, rng=0)
x = np.random.default_rng(0).standard_normal((200, 256)).astype(np.float32)
y, _ = model(x)


def step_time(of):
    """Return the time of a step, in microseconds."""
    stream = of.stream()
    for x_t in x:
        stream.step(x_t)
    start = time.perf_counter()
    for x_t in x:
        stream.step(x_t)
    return 1e6 * (time.perf_counter() - start) / len(x)


print(f"float32: {step_time(model):.0f} µs a step")
_, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for precision in ("bfloat16", "int8"):
    small = fastlstm.quantize(model, precision)
    error = small(x)[0] - y
    print(f"{precision}: {step_time(small):.0f} µs a step, largest error {np.abs(error).max():.4f}")
    ax.hist(error.ravel(), bins=np.linspace(-0.01, 0.01, 101), histtype="step", label=precision)
ax.set(xlabel="error of h", ylabel="units and steps")
_ = ax.legend()
