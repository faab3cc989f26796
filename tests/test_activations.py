"""sigmoid and tanh: at most 2 units in the last place over the whole range."""

import numpy as np
import pytest

from fastlstm import _core

UNITS = 2.0
FUNCTIONS = {
    "sigmoid": (_core.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "tanh": (_core.tanh, np.tanh),
}


def apply(function, x):
    out = np.empty_like(x)
    function(x, out)
    return out


def errors(got, exact):
    """Return errors in units of the last place; below the smallest normal number only its size counts."""
    tiny = np.finfo(got.dtype).tiny
    unit = np.spacing(np.maximum(np.abs(exact), tiny).astype(got.dtype)).astype(exact.dtype)
    unit = np.where(np.abs(exact) < tiny, tiny, unit)
    return np.abs(got - exact) / unit


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32(isa, name):
    """One in 4,999 of all numbers; the slow test takes them all."""
    check_float32(name, np.arange(0, 2**32, 4999, np.uint64))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(16), ids="part{}".format)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_float32(name, part):
    for first in range(part * 2**28, (part + 1) * 2**28, 2**24):
        check_float32(name, np.arange(first, first + 2**24, dtype=np.uint64))


def check_float32(name, patterns):
    function, exact = FUNCTIONS[name]
    x = patterns.astype(np.uint32).view(np.float32)
    x = x[np.isfinite(x)]
    with np.errstate(over="ignore", under="ignore"):
        reference = exact(x.astype(np.float64))
    got = apply(function, x)
    assert errors(got, reference).max(initial=0) <= UNITS
    assert np.abs(got).max(initial=0) <= 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64(isa, name):
    if np.finfo(np.longdouble).nmant <= 52:
        pytest.skip("long double is no wider than double here")
    function, exact = FUNCTIONS[name]
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.uniform(-span, span, 200_000) for span in (1, 7, 20, 745)]
        + [10.0 ** rng.uniform(-300, 3, 50_000)]
    )
    got = apply(function, x)
    assert errors(got, exact(x.astype(np.longdouble))).max() <= UNITS
    assert np.abs(got).max() <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(isa, dtype):
    x = np.array([np.inf, -np.inf, np.nan, -np.nan, 0.0, -0.0, 1e30, -1e30], dtype)
    np.testing.assert_array_equal(
        apply(_core.sigmoid, x), np.array([1, 0, np.nan, np.nan, 0.5, 0.5, 1, 0], dtype)
    )
    tanh = apply(_core.tanh, x)
    np.testing.assert_array_equal(tanh, np.array([1, -1, np.nan, np.nan, 0, -0.0, 1, -1], dtype))
    assert list(np.signbit(tanh[4:6])) == [False, True]


@pytest.mark.parametrize("n", range(1, 40))
def test_tails(isa, n):
    x = np.linspace(-3, 3, n, dtype=np.float32)
    whole = apply(_core.tanh, np.linspace(-3, 3, n, dtype=np.float32).repeat(2))[::2]
    assert apply(_core.tanh, x).tobytes() == whole.tobytes()
