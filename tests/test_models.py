"""What a model tells of itself, and what it takes to run one."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm import GRU, LSTM, RNN, Embedding, LastStep, Linear, Sequential, StreamPool, Tanh
from fastlstm.model import Model
from fastlstm.model.batch import Arrangement, Sequences
from fastlstm.model.sequences import pad, unpad


@pytest.mark.parametrize(
    ("model", "input_size", "num_embeddings", "is_causal"),
    [
        (LSTM(3, 5), 3, None, True),
        (RNN(3, 5, bidirectional=True), 3, None, False),
        (Sequential(Tanh(), Linear(4, 3), LSTM(3, 5)), 4, None, True),
        (Sequential(LSTM(3, 5), RNN(5, 2, bidirectional=True)), 3, None, False),
        (Sequential(LSTM(3, 5), LastStep()), 3, None, False),
        (Sequential(Embedding(7, 3), LSTM(3, 5)), None, 7, True),
        (Sequential(Tanh()), None, None, True),
    ],
    ids=repr,
)
def test_what_a_model_reads(model, input_size, num_embeddings, is_causal):
    assert isinstance(model, Model)
    assert (model.input_size, model.num_embeddings, model.is_causal) == (
        input_size,
        num_embeddings,
        is_causal,
    )
    assert model.reads_indices == (num_embeddings is not None)
    for make in (lambda: model.stream(), lambda: StreamPool(model, 2)):
        if is_causal:
            make()
        else:
            with pytest.raises(ValueError, match="model: expected one that runs forward in time"):
                make()


@pytest.mark.parametrize(
    "model", [LSTM(3, 5, proj_size=2), RNN(3, 5), GRU(3, 5), Sequential(Embedding(7, 3), LSTM(3, 5))]
)
def test_what_a_model_tells_stays(model):
    for name in model._fixed:
        if hasattr(model, name):
            with pytest.raises(AttributeError, match=f"{name}: expected to stay"):
                setattr(model, name, getattr(model, name))
    assert {"is_causal", "input_size", "num_embeddings"} <= model._fixed


def test_run_is_the_call():
    lstm, x = LSTM(3, 5, rng=0), np.ones((4, 2, 3), np.float32)
    y, state = lstm(x)
    again, (h, c) = lstm.run(x, lengths=[4, 4])
    assert np.array_equal(again, y)
    assert np.array_equal(h, state[0])
    assert np.array_equal(c, state[1])


def test_a_server_imports_nothing_of_training():
    code = """
import sys, numpy as np, fastlstm, fastlstm.serve
with fastlstm.serve.Batcher(fastlstm.LSTM(3, 5)) as batcher:
    batcher.submit(np.ones((4, 3))).result()
print(*(name for name in sys.modules if name.startswith("fastlstm.")))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rooms = {name.split(".")[1] for name in run.stdout.split()}
    assert not {"training", "estimators", "interop", "files", "plot", "inspection", "capi"} & rooms


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=7), st.booleans(), st.booleans(), st.integers(0, 2**32)
)
def test_rows_and_back(lengths, batch_first, dense, seed):
    T, B = max(lengths), len(lengths)
    x = np.random.default_rng(seed).standard_normal((B, T, 2) if batch_first else (T, B, 2))
    sequences = Sequences.of(x.shape[:-1], batch_first, None if dense else lengths)
    arrangement = Arrangement(sequences)
    rows = arrangement.rows(x, x.dtype).reshape(-1, 2)
    assert len(rows) == arrangement.batch.rows == sequences.steps.sum()
    assert np.array_equal(arrangement.pad(rows, np.full_like(x, 9)), sequences.zero_past_ends(x))
    states = np.random.default_rng(seed).standard_normal((3, B, 2))
    assert np.array_equal(arrangement.unsort([arrangement.sort(states)])[0], states)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=7), st.booleans())
def test_pad_and_unpad(lengths, batch_first):
    arrays = [np.full((length, 2), float(k)) for k, length in enumerate(lengths)]
    chosen = np.arange(len(arrays))[::-1]
    padded = pad(arrays, chosen, batch_first)
    again = unpad(padded, np.array(lengths)[::-1], batch_first)
    assert padded.shape == ((len(arrays), max(lengths), 2) if batch_first else (max(lengths), len(arrays), 2))
    assert all(np.array_equal(one, arrays[k]) for one, k in zip(again, chosen, strict=True))
