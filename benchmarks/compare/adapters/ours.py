"""fastlstm."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

import fastlstm
from fastlstm import config

from ..cells import Cell
from ..inputs import Inputs, new_model
from ..libraries import Way


class Fastlstm:
    product = "auto"
    """What multiplies the sums of backward passes."""

    def __init__(self, threads: int) -> None:
        fastlstm.set_num_threads(threads)
        config.use_product(self.product)

    def ways(self, cell: Cell, inputs: Inputs) -> dict[str, Way]:
        model = new_model(cell)
        model.load_state_dict(inputs.parameters)
        if cell.precision:
            model = fastlstm.quantize(model, cell.precision)
        if cell.carried:
            y = np.empty(model.output_size, model.dtype)
            step = partial(model.stream().step, inputs.x[0, 0], y)
            return {"stream": Way(step, lambda y: {"y": y[None, None]})}
        if not cell.training:
            return {"call": Way(partial(model, inputs.x), lambda result: {"y": result[0]})}
        return {"tape": _training(model, inputs, inputs.lengths if cell.ragged else None)}


class InFloat32(Fastlstm):
    """Cells of fewer bits in float32."""

    def ways(self, cell: Cell, inputs: Inputs) -> dict[str, Way]:
        return super().ways(replace(cell, precision=None), inputs)


class ByKernels(Fastlstm):
    product = "kernels"


class ByBlas(Fastlstm):
    product = "blas"


def _training(
    model: fastlstm.LSTM | fastlstm.RNN | fastlstm.GRU, inputs: Inputs, lengths: np.ndarray | None
) -> Way:
    def call():
        y, _, tape = model.forward(inputs.x, lengths=lengths)
        return y, tape.backward(inputs.dy)

    def arrays(result):
        y, gradients = result
        return {"y": y, "x": gradients.input, **gradients.parameters}

    return Way(call, arrays)
