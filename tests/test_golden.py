"""PyTorch's recorded results (golden/make.py wrote them), where PyTorch itself need not be."""

from pathlib import Path

import numpy as np
import pytest
from support import TOLERANCE, distance

import fastlstm

FILES = sorted(Path(__file__).with_name("golden").glob("*.npz"))


def part(arrays, prefix):
    return {name.removeprefix(prefix): arrays[name] for name in arrays.files if name.startswith(prefix)}


def model_of(cell, weights, input_size, hidden_size, dtype):
    options = {
        "num_layers": sum(name.startswith("weight_ih") and "reverse" not in name for name in weights),
        "bias": "bias_ih_l0" in weights,
        "bidirectional": "weight_ih_l0_reverse" in weights,
        "dtype": dtype,
    }
    if cell == "lstm":
        projected = weights.get("weight_hr_l0")
        options["proj_size"] = 0 if projected is None else len(projected)
        model = fastlstm.LSTM(input_size, hidden_size, **options)
    else:
        model = fastlstm.RNN(input_size, hidden_size, nonlinearity=cell, **options)
    model.load_state_dict({name: array.astype(dtype) for name, array in weights.items()})
    return model


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_recorded_results(file, dtype):
    with np.load(file) as arrays:
        given, weights, expected = (part(arrays, p) for p in ("given.", "weights.", "expected."))
    lengths = given.pop("lengths", None)
    given = {name: array.astype(dtype) for name, array in given.items()}
    cell = file.stem.split("_")[0]
    names = ("h", "c") if cell == "lstm" else ("h",)

    def state(pattern):
        arrays = tuple(given[pattern.format(name)] for name in names)
        return arrays if cell == "lstm" else arrays[0]

    model = model_of(cell, weights, given["x"].shape[2], given["c_0"].shape[2], dtype)
    y, final, tape = model.forward(given["x"], state("{}_0"), lengths=lengths)
    gradients = tape.backward(given["dy"], state("d{}_n"))
    actual = {"y": y, "dx": gradients.input} | {f"d{k}": v for k, v in gradients.parameters.items()}
    for pattern, arrays in (("{}_n", final), ("d{}_0", gradients.state)):
        arrays = arrays if cell == "lstm" else (arrays,)
        actual |= {pattern.format(name): array for name, array in zip(names, arrays, strict=True)}
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert distance(actual[name], array) <= TOLERANCE[dtype], name


def test_there_are_recorded_results():
    assert len(FILES) == 5
