"""The specification itself: its gradients against central differences."""

import numpy as np
import pytest
from support import Problem

from fastlstm._reference import Reference


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(
    ("cell", "P"),
    [("lstm", 0), ("lstm", 2), ("tanh", 0), ("relu", 0), ("gru", 0), ("gru_reset_first", 0)],
)
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_central_differences(cell, P, bias, ragged):
    problem = Problem(
        cell, T=4, B=3, I=2, H=3, P=P, layers=2, bidirectional=True, bias=bias, ragged=ragged, seed=3
    )
    parameters = {name: array.copy() for name, array in problem.model().parameters.items()}
    reference = Reference(cell, parameters, 2, bidirectional=True)
    lengths = [4] * 3 if problem.lengths is None else problem.lengths
    masks = [np.random.default_rng(1).random((4, 3, 2 * (P or 3)))]
    dc_n = problem.dc_n if cell == "lstm" else np.zeros_like(problem.dc_n)

    def loss():
        y, h_n, c_n = reference.forward(problem.x, problem.h_0, problem.c_0, lengths, masks)
        return (y * problem.dy).sum() + (h_n * problem.dh_n).sum() + (c_n * dc_n).sum()

    loss()
    dx, dh_0, dc_0, gradients = reference.backward(problem.dy, problem.dh_n, dc_n)
    pairs = [
        (problem.x, dx),
        (problem.h_0, dh_0),
        *((parameters[name], gradients[name]) for name in parameters),
    ]
    if cell == "lstm":
        pairs.append((problem.c_0, dc_0))
    for array, gradient in pairs:
        difference = np.empty_like(gradient)
        for index in np.ndindex(array.shape):
            at = array[index]
            array[index] = at + 1e-6
            above = loss()
            array[index] = at - 1e-6
            difference[index] = (above - loss()) / 2e-6
            array[index] = at
        np.testing.assert_allclose(gradient, difference, rtol=1e-6, atol=1e-7)
