"""Every example of the documentation runs, and every public thing has its docstring."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import fastlstm
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
    [(module, name) for module in (fastlstm, fastlstm.training) for name in module.__all__],
)
def test_public_names_have_examples(module, name):
    assert ">>>" in inspect.getdoc(getattr(module, name))


def test_readme():
    readme = Path(__file__).parents[1] / "README.md"
    (block,) = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(compile(block, str(readme), "exec"), names)
    assert names["y"].shape == (8, 100, 512)
    assert names["y_t"].shape == (256,)
