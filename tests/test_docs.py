"""Every example of the documentation runs, and every public thing has its docstring."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import fastlstm
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
    if name.endswith("_torch"):
        pytest.importorskip("torch")
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (module, name)
        for module in (fastlstm, fastlstm.estimators, fastlstm.serve, fastlstm.training)
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


def test_serving():
    names = python_block("docs/serving.md")
    assert [y.shape for y in (names["y"], *names["answers"])] == [(5,)] * 4


def test_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = python_block("docs/training.md")
    assert names["history"].epochs > 0
    assert repr(fastlstm.load("model.safetensors")) == repr(names["model"])
