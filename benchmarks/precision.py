"""How fast are models in fewer bits, and how far are they from those of floats?

`python -m benchmarks.precision` prints the largest difference in y from float32, of models with random
weights on random x, beside that of ONNX Runtime's DynamicQuantizeLSTM where it is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np

import fastlstm

from . import training
from .compare.cells import FEWER_BITS, Cell
from .compare.inputs import Inputs, seeded
from .shapes import model_and_input

PRECISIONS = ("int8", "int4", "bfloat16")


class Forward:
    """A step's share of a sequence, one sequence, and a batch."""

    param_names = ("T, B, H", "precision", "threads")
    params = (("1, 1, 256", "100, 1, 128", "100, 1, 512", "100, 32, 256", "50, 64, 512"), PRECISIONS, (1, 2))

    def setup(self, name, precision, threads):
        self.model, self.x = model_and_input(name, threads, precision=precision)
        self.model(self.x)

    def time_forward(self, *_):
        self.model(self.x)


class Step:
    """A step of a stream, as `benchmarks.step` has it."""

    param_names = ("H", "precision", "threads")
    params = ((64, 256, 1024), PRECISIONS, (1, 2))

    def setup(self, H, precision, threads):
        model, x = model_and_input(f"1, 1, {H}", threads, precision=precision)
        self.stream, self.x, self.out = model.stream(), x[0, 0], np.empty(H, np.float32)
        self.stream.step(self.x, out=self.out)

    def time_step(self, *_):
        self.stream.step(self.x, out=self.out)


class Training(training.Training):
    """Forward and backward in bfloat16."""

    params = (("100, 32, 256", "50, 64, 512"), (1, 2))

    def setup(self, name, threads):
        super().setup(name, threads, precision="bfloat16")


def outputs(cell: Cell, inputs: Inputs) -> Iterator[tuple[str, np.ndarray]]:
    """Yield y of each way to have fewer bits, by its name."""
    model = fastlstm.LSTM(cell.H, cell.H).load_state_dict(inputs.parameters)
    for precision in PRECISIONS:
        yield precision, fastlstm.quantize(model, precision)(inputs.x)[0]
    yield "int8, x of 16 bits", fastlstm.quantize(model, "int8", x_bits=16)(inputs.x)[0]
    if find_spec("onnx") and find_spec("onnxruntime"):
        from .compare.adapters.onnx_runtime import OnnxRuntime

        for name, way in OnnxRuntime(threads=2).ways(cell, inputs).items():
            if name.startswith("run"):
                yield f"ONNX Runtime, {name.removeprefix('run ')}", way.arrays(way.call())["y"]


def main() -> None:
    for T, B, H in FEWER_BITS:
        cell = Cell("int8-forward", T, B, H, precision="int8")
        inputs = seeded(cell)
        y, _ = fastlstm.LSTM(H, H).load_state_dict(inputs.parameters)(inputs.x)
        print(f"{T}, {B}, {H}:", flush=True)
        for name, other in outputs(cell, inputs):
            print(f"    {name:26}{np.abs(other - y).max():8.4f}", flush=True)


if __name__ == "__main__":
    main()
