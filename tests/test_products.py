"""Backward sums by the kernels and by BLAS: the same gradients on every instruction set."""

import numpy as np
import pytest
from support import TOLERANCE, distance

import fastlstm
from fastlstm import _core, config

pytestmark = pytest.mark.usefixtures("isa")


@pytest.fixture(params=["held", "free"])
def by_blas(request, monkeypatch):
    """Let BLAS multiply, held to the calling threads or with threads of its own."""
    if request.param == "free":
        monkeypatch.setattr(config, "find_spec", lambda name: None)
    else:
        pytest.importorskip("threadpoolctl")

    def use(product):
        config.use_product(product)
        assert _core.current_product() == product
        assert _core.blas_is_held() == (product == "blas" and request.param == "held")

    yield use
    config.use_product("auto")


def gradients(model, x, lengths=None):
    y, state, tape = model.forward(x, lengths=lengths)
    result = tape.backward(np.ones_like(y), state)
    states = result.state if isinstance(result.state, tuple) else (result.state,)
    return {"x": result.input, **result.parameters} | {f"state {k}": part for k, part in enumerate(states)}


def assert_alike(actual, expected, dtype):
    for name, array in expected.items():
        assert distance(actual[name], array.astype(np.float64)) < TOLERANCE[np.dtype(dtype).name], name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "model",
    [
        "LSTM(5, 7, 2, bidirectional=True, {})",
        "LSTM(33, 40, proj_size=13, {})",
        "RNN(20, 65, nonlinearity='relu', {})",
        "LSTM(64, 96, {})",
        "GRU(20, 35, {})",
        "GRU(20, 35, reset_after=False, {})",
    ],
)
def test_models(by_blas, model, dtype, monkeypatch):
    model = eval("fastlstm." + model.format("rng=0, dtype=dtype"))
    x = np.random.default_rng(1).standard_normal((60, 12, model.input_size)).astype(dtype)
    for lengths in (None, [60, 3, 0, 17, 60, 1, 1, 8, 9, 30, 59, 2]):
        by_blas("kernels")
        expected = gradients(model, x, lengths)
        by_blas("blas")
        assert_alike(gradients(model, x, lengths), expected, dtype)


@pytest.mark.parametrize("rows", [0, 1, 700])
def test_linear(by_blas, rows):
    layer = fastlstm.Linear(30, 50, rng=0)
    x = np.random.default_rng(1).standard_normal((rows, 30)).astype(np.float32)

    def run(product):
        by_blas(product)
        y, tape = layer.forward(x)
        result = tape.backward(y)
        return {"x": result.input, **result.parameters}

    expected = run("kernels")
    assert_alike(run("blas"), expected, "float32")


def test_threads_are_given_back(by_blas):
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def blas_threads():
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]

    before = blas_threads()
    by_blas("blas")
    gradients(fastlstm.LSTM(64, 64, rng=0), np.ones((40, 16, 64), np.float32))
    assert blas_threads() == before


def test_refused():
    with pytest.raises(ValueError, match="product: expected one of auto, kernels, blas, got 'mkl'"):
        config.use_product("mkl")


def test_told(by_blas):
    by_blas("blas")
    shown = fastlstm.show_config("dicts")
    assert shown["backward sums"] == "blas"
    assert ("lets ours do it" in (shown["falls back"] or "")) == (not _core.blas_is_held())
