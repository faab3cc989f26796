"""Every kernel of every instruction set against the reference, at sizes around the tiles' edges."""

from functools import cache

import numpy as np
import pytest
from support import EDGES, Problem

from fastlstm import _core

CELLS = [("lstm", 0), ("lstm", 5), ("tanh", 0), ("relu", 0)]


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
@pytest.mark.parametrize("axis", ["B", "I", "H", "all"])
def test_edge_sizes(isa, axis, size, cell, P, dtype):
    problem = edge_problem(axis, size, cell, P, dtype)
    problem.check(problem.results(), expected(axis, size, cell, P, dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("cell", "P"), CELLS)
@pytest.mark.parametrize("size", [1, 17, 65])
def test_instruction_sets_give_the_same_bits(size, cell, P, dtype):
    problem = edge_problem("all", size, cell, P, dtype)
    forward = ("y", "h_n", "c_n", "dh_0", "dc_0")
    before = _core.current_isa()
    seen = set()
    for name in _core.available_isas():
        _core.use_isa(name)
        results = problem.results()
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
            ({"start": []}, IndexError),
            ({"final": []}, IndexError),
            ({"gates": []}, IndexError),
            ({"cells": []}, IndexError),
            ({"last": 2}, IndexError),
            ({"start": None}, TypeError),
        ],
    )
    def test_lists(self, change, error):
        arrays = self.arrays()
        lists = {
            "outputs": [arrays["y"]],
            "start": [arrays["h_0"], arrays["c_0"]],
            "final": [arrays["h_n"], arrays["c_n"]],
        }
        with pytest.raises(error):
            self.run(arrays["x"], **(lists | change))

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

    def test_weights(self):
        with pytest.raises(ValueError, match="weight_hh"):
            self.layer(weight_hh=np.zeros((7, 2), np.float32))

    @pytest.mark.parametrize("lengths", [[1, 2], [1, -1]])
    def test_lengths(self, lengths):
        with pytest.raises(ValueError, match="lengths"):
            _core.RaggedBatch(np.array(lengths))

    def test_unknown_instruction_set(self):
        with pytest.raises(ValueError, match=r"expected one of .*generic, got 'sse'"):
            _core.use_isa("sse")
