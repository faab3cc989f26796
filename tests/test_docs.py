"""Every example of the documentation runs, and every public thing has its docstring."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import fastlstm
import fastlstm.decoding
import fastlstm.estimators
import fastlstm.serve
import fastlstm.training

MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(fastlstm.__path__, "fastlstm.")
    if not name.endswith(("__main__", "_core"))
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    for framework in ("torch", "keras", "thinc", "onnx", "sktime", "darts"):
        if name.endswith(f"_{framework}") or name.startswith(f"fastlstm.interop.{framework}"):
            pytest.importorskip(framework)
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (module, name)
        for module in (fastlstm, fastlstm.decoding, fastlstm.estimators, fastlstm.serve, fastlstm.training)
        for name in module.__all__
    ],
)
def test_public_names_have_examples(module, name):
    assert ">>>" in inspect.getdoc(getattr(module, name))


def python_block(page):
    """Return what the only Python block of a page defines."""
    path = Path(__file__).parents[1] / page
    (block,) = re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(compile(block, str(path), "exec"), names)
    return names


def test_readme():
    names = python_block("README.md")
    assert names["y"].shape == (8, 100, 512)
    assert names["y_t"].shape == (256,)


def test_layers():
    names = python_block("docs/layers.md")
    assert names["y"]["tags"].shape == (100, 8, 10)
    assert names["y"]["kind"].shape == (8, 3)
    page = (Path(__file__).parents[1] / "docs" / "layers.md").read_text(encoding="utf-8")
    assert not [name for name in fastlstm.layers.__all__ if f"`{name}`" not in page]


def test_fewer_bits():
    assert python_block("docs/precision.md")["small"].layers[0].precision == "int8"


def test_onnx():
    pytest.importorskip("onnx")
    names = python_block("docs/onnx.md")
    assert np.array_equal(names["y"], names["model"](names["x"]))
    inputs = [value.name for value in names["session"].get_inputs()]
    assert inputs == ["x", "lengths", "1.h_0", "1.c_0"]
    for name in names["onnx"].__all__:
        assert ">>>" in inspect.getdoc(getattr(names["onnx"], name))


def test_serving():
    names = python_block("docs/serving.md")
    assert [y.shape for y in (names["y"], *names["answers"])] == [(5,)] * 4


def test_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = python_block("docs/training.md")
    assert names["history"]["val_accuracy"][names["history"].best_epoch - 1] > 0.95
    assert repr(fastlstm.load("model.safetensors")) == repr(names["model"])


@pytest.mark.parametrize(
    ("page", "shape"), [("pytorch", (20, 3, 10)), ("keras", (2, 1)), ("onnx-runtime", (50, 2, 128))]
)
def test_coming_from(page, shape):
    assert python_block(f"docs/coming-from-{page}.md")["y"].shape == shape
