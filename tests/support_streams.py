"""Models that streams and pools run, and frames for them."""

import numpy as np

import fastlstm


def stack(rng=0):
    return fastlstm.Sequential(
        fastlstm.Embedding(10, 4, rng=rng),
        fastlstm.LSTM(4, 6, num_layers=2, rng=rng),
        fastlstm.Dropout(0.5, rng=rng),
        fastlstm.RNN(6, 5, rng=rng),
        fastlstm.LayerNorm(5),
        fastlstm.Linear(5, 3, rng=rng),
        fastlstm.Tanh(),
    )


def frames(model, *shape):
    rng = np.random.default_rng(1)
    if isinstance(model, fastlstm.Sequential):
        return rng.integers(0, 10, shape)
    return rng.standard_normal((*shape, model.input_size)).astype(np.float32)
