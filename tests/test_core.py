"""Every kernel of every instruction set against the reference, at sizes around the tiles' edges."""

from functools import cache

import numpy as np
import pytest
from support import EDGES, Problem

from fastlstm import _core

CELLS = [("lstm", 0), ("lstm", 5), ("tanh", 0), ("relu", 0), ("gru", 0), ("gru_reset_first", 0)]


def edge_problem(axis: str, size: int, cell: str, P: int, dtype: str) -> Problem:
    sizes = {"T": 3, "B": 4, "I": 3, "H": 7}
    for name in "BIH" if axis == "all" else axis:
        sizes[name] = size
    if P and sizes["H"] <= P:
        P = sizes["H"] - 1
    return Problem(cell, **sizes, P=P, dtype=dtype, ragged=size % 2 == 0, bidirectional=True)


@cache
def expected(axis: str, size: int, cell: str, P: int, dtype: str):
    return edge_problem(axis, size, cell, P, dtype).expected()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("cell", "P"), CELLS)
@pytest.mark.parametrize("size", EDGES)
@pytest.mark.parametrize("axis", ["B", "I", "H"])
def test_edge_sizes(isa, axis, size, cell, P, dtype):
    problem = edge_problem(axis, size, cell, P, dtype)
    problem.check(problem.results(), expected(axis, size, cell, P, dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("cell", "P"), CELLS)
@pytest.mark.parametrize("size", [1, 17, 65])
def test_instruction_sets_give_the_same_bits(size, cell, P, dtype):
    """And the right ones, with all sizes at an edge at once."""
    problem = edge_problem("all", size, cell, P, dtype)
    forward = ("y", "h_n", "c_n", "dh_0", "dc_0")
    before = _core.current_isa()
    seen = set()
    for name in _core.available_isas():
        _core.use_isa(name)
        results = problem.results()
        problem.check(results, expected("all", size, cell, P, dtype))
        seen.add(b"".join(results[name].tobytes() for name in forward if name in results))
    _core.use_isa(before)
    assert len(seen) == 1


def test_projection_is_cut_into_bounded_pieces():
    """So many steps that a slice projects them in several pieces, ragged, both directions."""
    problem = Problem(T=700, B=3, I=2, H=33, dtype="float32", ragged=True, bidirectional=True)
    problem.check(problem.results(), problem.expected())


class TestRefusals:
    """The core's own door: what would read or write beyond an array is refused."""

    def layer(self, **changes):
        arrays = {
            "cell": "lstm",
            "weight_ih": np.zeros((8, 3), np.float32),
            "weight_hh": np.zeros((8, 2), np.float32),
            "bias": np.zeros(8, np.float32),
            "weight_hr": None,
            "reverse": False,
        }
        return _core.Layer(**(arrays | changes))

    def forward(self, x, y, h_0, c_0, h_n, c_n):
        self.run(x, [y], [h_0, c_0], [h_n, c_n])

    def run(self, *arguments, **options):
        _core.run([self.layer()], _core.RaggedBatch(np.array([2, 2])), *arguments, **options)

    def arrays(self, **changes):
        states = dict.fromkeys(("h_0", "c_0", "h_n", "c_n"), (1, 2, 2))
        shapes = {"x": (4, 3), "y": (4, 2)} | states
        return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()} | changes

    @pytest.mark.parametrize("rows", [(4,), (2, 2)])
    def test_accepts_what_fits(self, rows):
        arrays = self.arrays(x=np.zeros((*rows, 3), np.float32), y=np.ones((*rows, 2), np.float32))
        arrays |= {name: np.ones((1, 2, 2), np.float32) for name in ("h_n", "c_n")}
        self.forward(**arrays)
        assert not any(arrays[name].any() for name in ("y", "h_n", "c_n"))

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"outputs": []}, ValueError),
            ({"start": []}, ValueError),
            ({"final": []}, ValueError),
            ({"kept": []}, ValueError),
            ({"cells": []}, ValueError),
            ({"last": 2}, ValueError),
            ({"first": 1, "last": 0}, ValueError),
            ({"first": -1}, ValueError),
            ({"start": None}, TypeError),
            ({"start": [None, None]}, TypeError),
            ({"final": [np.zeros((1, 2, 2), np.float32), None]}, ValueError),
            ({"outputs": [None]}, TypeError),
            ({"kept": [np.zeros((4, 8), np.float32)]}, ValueError),
            ({"x": None}, TypeError),
        ],
    )
    def test_lists(self, change, error):
        arrays = self.arrays()
        lists = {
            "x": arrays["x"],
            "outputs": [arrays["y"]],
            "start": [arrays["h_0"], arrays["c_0"]],
            "final": [arrays["h_n"], arrays["c_n"]],
        }
        with pytest.raises(error):
            self.run(**(lists | change))

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"x": np.zeros((5, 3), np.float32)}, ValueError),
            ({"x": np.zeros((4, 3), np.float64)}, TypeError),
            ({"x": np.zeros((3, 4), np.float32).T}, ValueError),
            ({"h_0": np.zeros((2, 4), np.float32)[:, ::2]}, ValueError),
            ({"h_0": np.zeros((2, 4), np.float32)[:, :2]}, ValueError),
            ({"x": np.zeros((2, 4, 3), np.float32)[:, ::2]}, ValueError),
            ({"y": np.zeros((8, 2), np.float32)[::-2]}, ValueError),
            ({"h_n": np.zeros((2, 2, 2), np.float32)}, ValueError),
            ({"c_n": np.zeros(4, np.float32)}, ValueError),
        ],
    )
    def test_arrays(self, change, error):
        with pytest.raises(error, match=next(iter(change))):
            self.forward(**self.arrays(**change))

    def test_read_only_output(self):
        y = np.zeros((4, 2), np.float32)
        y.flags.writeable = False
        with pytest.raises((BufferError, ValueError), match=r"read-only|writable"):
            self.forward(**self.arrays(y=y))

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"weight_hh": np.zeros((7, 2), np.float32)}, ValueError),
            ({"weight_hh": np.zeros((8, 1), np.float32)}, ValueError),
            ({"weight_hh": np.zeros((8, 0), np.float32)}, ValueError),
            ({"weight_ih": np.zeros((8, 3), np.int32)}, TypeError),
            ({"weight_ih": np.zeros((7, 3), np.float32)}, ValueError),
            ({"weight_ih": np.zeros(8, np.float32)}, ValueError),
            ({"weight_ih": [1.0]}, TypeError),
            ({"weight_ih": None}, TypeError),
            ({"weight_hh": None}, TypeError),
            ({"bias": None}, TypeError),
            ({"cell": "mgu"}, ValueError),
            ({"cell": None}, TypeError),
        ],
    )
    def test_weights(self, change, error):
        with pytest.raises(error, match=next(iter(change))):
            self.layer(**change)

    def stepper(self, **changes):
        state = [np.zeros((1, 2), np.float32)]
        given = {"layers": [self.layer()], "B": 1, "h": state, "c": list(state), "between": []}
        return _core.Stepper(**(given | changes))

    @pytest.mark.parametrize(
        "change",
        [
            {"layers": []},
            {"layers": [None]},
            {"layers": None},
            {"B": 0},
            {"B": 2},
            {"B": 2**62},
            {"h": []},
            {"h": [None]},
            {"c": []},
            {"c": None},
            {"c": [None]},
            {"between": [np.zeros((1, 2), np.float32)]},
        ],
    )
    def test_stepper(self, change):
        assert self.stepper().step(np.zeros(3, np.float32), np.zeros(2, np.float32))
        with pytest.raises((ValueError, TypeError, MemoryError)):
            self.stepper(**change)

    def test_layers_that_do_not_fit_each_other(self):
        state, between = [np.zeros((1, 2), np.float32)] * 2, [np.zeros((1, 2), np.float32)]
        with pytest.raises(ValueError, match="reads 2, got 3"):
            self.stepper(layers=[self.layer(), self.layer()], h=state, c=list(state), between=between)

    def test_backward_without_its_arrays(self):
        batch, arrays = _core.RaggedBatch(T=2, B=2), self.arrays()
        state = np.zeros((2, 2), np.float32)
        given = [arrays["x"], state, state, arrays["y"], np.zeros((4, 8), np.float32), arrays["y"], None]
        assert self.layer().backward(batch, *given, state, state, None, None).dx is None
        for k in range(6):
            with pytest.raises(TypeError):
                self.layer().backward(batch, *given[:k], None, *given[k + 1 :], state, state, None, None)
        for states in ((None, state), (state, None)):
            with pytest.raises(TypeError):
                self.layer().backward(batch, *given, *states, None, None)

    @pytest.mark.parametrize("T", [2**31, 2**32, 2**59, 2**61, 2**63 - 1])
    @pytest.mark.parametrize("B", [1, 2**31, 2**61, 2**63 - 1])
    def test_batches_beyond_memory(self, T, B):
        try:
            batch = _core.RaggedBatch(T=T, B=B)
        except MemoryError:
            assert T * B >= 2**63
        else:
            assert batch.rows == T * B

    @pytest.mark.parametrize("length", [2**59, 2**60, 2**61, 2**63 - 1])
    def test_lengths_beyond_memory(self, length):
        with pytest.raises(MemoryError):
            _core.RaggedBatch(np.array([length, 1]))

    @pytest.mark.parametrize("shape", [(2**62, 4), (2**61, 2, 1), (-1,), (3, -1)])
    def test_arrays_beyond_memory(self, shape):
        with pytest.raises(MemoryError):
            _core.empty(shape, np.dtype("f"))

    @pytest.mark.parametrize("lengths", [[1, 2], [1, -1]])
    def test_lengths(self, lengths):
        with pytest.raises(ValueError, match="lengths"):
            _core.RaggedBatch(np.array(lengths))

    def test_unknown_instruction_set(self):
        expected = ", ".join(_core.available_isas())
        with pytest.raises(ValueError, match=f"expected one of {expected}, got 'sse'"):
            _core.use_isa("sse")
