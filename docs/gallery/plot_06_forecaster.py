"""
A forecaster
============

What follows a seasonal series, with an interval.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastlstm.estimators import LSTMForecaster

rng = np.random.default_rng(0)
t = np.arange(264)
series = 0.02 * t + np.sin(2 * np.pi * t / 12) + 0.1 * rng.standard_normal(t.size)
past, future = series[:240], series[240:252]

forecaster = LSTMForecaster(horizon=12, window=24, seasonal_period=12, random_state=0).fit(past)
median = forecaster.predict()
lower, upper = forecaster.predict_interval(coverage=0.8)

# %%
figure, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
ax.plot(t[200:252], series[200:252], color="black", label="what came")
ax.plot(t[240:252], median, label="median")
ax.fill_between(t[240:252], lower, upper, alpha=0.25, label="80 % interval")
ax.set_xlabel("month")
_ = ax.legend(frameon=False)
