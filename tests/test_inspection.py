"""Looking inside: traces against the reference's steps, and the reach of gradients against Jacobians."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import TOLERANCE, Problem, distance

import fastlstm
from fastlstm.inspection import gradient_reach

# Where the reference keeps what a trace shows, by cell.
KEPT = {
    "lstm": {"i": 3, "f": 4, "g": 5, "o": 6, "c": 7},
    "gru": {"n": 2, "r": 3, "z": 4, "n_h": 5},
    "gru_reset_first": {"n": 2, "r": 3, "z": 4, "rh": 5},
}

problems = st.builds(
    Problem,
    cell=st.sampled_from(["lstm", "tanh", "relu", "gru", "gru_reset_first"]),
    T=st.integers(0, 7),
    B=st.integers(0, 5),
    H=st.integers(2, 20),
    P=st.sampled_from([0, 1]),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    bias=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    ragged=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)


def expected_steps(problem):
    """Return every quantity (T, B, n) by layer, direction and name, from the reference."""
    reference = problem._reference()
    reference.forward(*problem._inputs())
    expected = {}
    for (layer, direction, b), steps in reference._steps.items():
        if direction:
            steps = steps[::-1]
        for name, at in KEPT.get(problem.cell, {}).items():
            shape = (problem.T, problem.B, problem.H)
            array = expected.setdefault((layer, direction, name), np.zeros(shape))
            for t, step in enumerate(steps):
                array[t, b] = step[at]
    return expected


@given(problem=problems, batch_first=st.booleans())
def test_against_the_reference(problem, batch_first):
    if problem.cell != "lstm":
        problem.P = 0
        problem.__post_init__()
    model = problem.model(batch_first=batch_first)
    x = problem.x.swapaxes(0, 1) if batch_first else problem.x
    state = problem.state(problem.h_0, problem.c_0)
    y, final = model(x, state, lengths=problem.lengths)
    trace = model.trace(x, state, lengths=problem.lengths)

    assert trace.y.tobytes() == y.tobytes()
    for traced, called in zip(trace.state, final, strict=True):
        assert traced.tobytes() == called.tobytes()

    expected = expected_steps(problem)
    assert list(trace.steps) == [(k, d) for k in range(problem.layers) for d in range(model.directions)]
    for (layer, direction, name), array in expected.items():
        actual = getattr(trace[layer, direction], name)
        assert actual.dtype == problem.dtype
        actual = actual.swapaxes(0, 1) if batch_first else actual
        assert distance(actual, array) <= TOLERANCE[problem.dtype], (layer, direction, name)

    top = [trace[problem.layers - 1, direction].h for direction in range(model.directions)]
    assert np.concatenate(top, axis=-1).tobytes() == y.tobytes()
    if problem.cell != "lstm":
        assert list(trace[0, 0].by_name()) == ["h", *KEPT.get(problem.cell, {})]


def test_lower_layers_h_is_the_model_of_the_lower_layers():
    problem = Problem(T=6, B=4, layers=3, bidirectional=True, ragged=True)
    model = problem.model()
    lower = fastlstm.LSTM(problem.I, problem.H, 2, bidirectional=True, dtype="float64")
    lower.load_state_dict({name: model.parameters[name] for name in lower.parameters})
    trace = model.trace(problem.x, lengths=problem.lengths)
    h = np.concatenate([trace[1, 0].h, trace[1, 1].h], axis=-1)
    assert np.array_equal(h, lower(problem.x, lengths=problem.lengths)[0])


def test_the_equations_hold_in_a_trace():
    steps = Problem(T=9, B=3, H=17).model().trace(np.ones((9, 3, 3)))[0, 0]
    np.testing.assert_allclose(steps.c[1:], steps.f[1:] * steps.c[:-1] + steps.i[1:] * steps.g[1:])
    np.testing.assert_allclose(steps.h, steps.o * np.tanh(steps.c))


def test_one_sequence():
    problem = Problem(T=5, B=1, H=6, P=2, layers=2, bidirectional=True)
    model = problem.model()
    alone, batch = model.trace(problem.x[:, 0]), model.trace(problem.x)
    assert alone.lengths is None
    for place, steps in alone.steps.items():
        for name, array in steps.by_name().items():
            assert np.array_equal(array, batch[place].by_name()[name][:, 0])


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "tanh"])
def test_choosing_a_sequence(cell, batch_first):
    problem = Problem(cell, T=6, B=3, layers=2, bidirectional=True)
    model = problem.model(batch_first=batch_first)
    x = problem.x.swapaxes(0, 1) if batch_first else problem.x
    trace = model.trace(x, lengths=[6, 4, 0])
    for b, length in enumerate([6, 4, 0]):
        chosen, alone = trace.sequence(b), model.trace(problem.x[:length, b])
        assert np.array_equal(chosen.y, alone.y)
        assert np.array_equal(chosen.state, alone.state)
        for place, steps in alone.steps.items():
            for name, array in steps.by_name().items():
                assert np.array_equal(array, chosen[place].by_name()[name])


def test_lengths_are_kept_not_shared():
    lengths = np.array([3, 1])
    problem = Problem()
    trace = problem.model().trace(problem.x, lengths=lengths)
    lengths[0] = 0
    assert trace.lengths.tolist() == [3, 1]
    assert problem.model().trace(problem.x).lengths.tolist() == [3, 3]


def test_no_dropout():
    problem = Problem(T=8, H=30, layers=2)
    model = problem.model(dropout=0.5)
    assert np.array_equal(model.trace(problem.x).y, model(problem.x)[0])


def test_a_trace_is_its_own():
    """Neither a later pass nor later training works in the memory that a trace shows."""
    problem = Problem(T=50, B=20, H=40, dtype="float32")
    model = problem.model()
    trace = model.trace(problem.x)
    before = {name: array.copy() for name, array in trace[0, 0].by_name().items()}
    _, _, tape = model.forward(-problem.x)
    tape.backward(problem.dy)
    for name, array in trace[0, 0].by_name().items():
        assert np.array_equal(array, before[name])


@pytest.mark.parametrize("cell", ["lstm", "tanh"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_gradient_reach(cell, batch_first):
    """Against central differences of the last output along the direction of equal entries."""
    problem = Problem(cell, T=6, B=3, H=5, layers=2)
    model = problem.model()
    expected = np.zeros(6)
    for t, b in np.ndindex(6, 3):
        slope = []
        for unit in np.eye(problem.I) * 1e-5:
            x = np.array([problem.x] * 2)
            x[:, t, b] += [unit, -unit]
            above, below = (model(half)[0][-1, b].sum() / np.sqrt(5) for half in x)
            slope.append((above - below) / 2e-5)
        expected[5 - t] += np.linalg.norm(slope) / 3
    x = problem.x.swapaxes(0, 1) if batch_first else problem.x
    np.testing.assert_allclose(gradient_reach(problem.model(batch_first=batch_first), x), expected, rtol=1e-6)


def test_gradient_reach_of_one_sequence():
    problem = Problem(T=6, B=1)
    model = problem.model()
    assert np.array_equal(gradient_reach(model, problem.x[:, 0]), gradient_reach(model, problem.x))


def test_gradient_reach_has_no_dropout():
    problem = Problem(T=6, layers=2)
    assert np.array_equal(
        gradient_reach(problem.model(dropout=0.5), problem.x), gradient_reach(problem.model(), problem.x)
    )


x = np.zeros((4, 2, 3))
lstm = fastlstm.LSTM(3, 5, rng=0)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: lstm.trace(x[..., :2]), ValueError, "x: expected shape (T, B, I) or (T, I) with I=3"),
        (lambda: lstm.trace(x, lengths=[5, 1]), ValueError, "lengths: expected 0 to T=4, got 5"),
        (
            lambda: lstm.trace(x)[1, 0],
            ValueError,
            "layer, direction: expected one of (0, 0), got (1, 0)",
        ),
        (
            lambda: gradient_reach(None, x),
            TypeError,
            "model: expected LSTM, RNN, GRU or SLSTM, got NoneType",
        ),
        (lambda: lstm.trace(x)[[], 0], ValueError, "layer, direction: expected one of (0, 0), got ([], 0)"),
        (lambda: lstm.trace(x)[0], ValueError, "layer, direction: expected one of (0, 0), got 0"),
        (lambda: lstm.trace(x).sequence(2), ValueError, "b: expected an index from 0 to 1, got 2"),
        (lambda: lstm.trace(x).sequence(-1), ValueError, "b: expected an integer of at least 0, got -1"),
        (lambda: lstm.trace(x).sequence(0.5), TypeError, "b: expected an integer, got 0.5"),
        (lambda: lstm.trace(x[:, 0]).sequence(0), ValueError, "b: expected the trace of a batch"),
        (
            lambda: gradient_reach(fastlstm.LSTM(3, 5, bidirectional=True), x),
            ValueError,
            "model: expected one that runs forward in time, got LSTM(3, 5, bidirectional=True)",
        ),
        (
            lambda: gradient_reach(lstm, x[:0]),
            ValueError,
            "x: expected at least one step of one sequence, got shape (0, 2, 3)",
        ),
    ],
)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()
