"""Writes the pages of the API reference: every public name of every public module, from its `__all__`."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

MODULES = {
    "fastlstm": "Models, layers, files",
    "fastlstm.training": "Training",
    "fastlstm.serve": "Serving",
    "fastlstm.estimators": "Estimators",
    "fastlstm.inspection": "Inspection",
    "fastlstm.plot": "Pictures",
    "fastlstm.decoding": "Decoding",
    "fastlstm.interop.torch": "Inside PyTorch",
    "fastlstm.interop.keras": "Inside Keras",
    "fastlstm.interop.onnx": "ONNX graphs",
    "fastlstm.interop.thinc": "Inside Thinc and spaCy",
    "fastlstm.interop.sktime": "Inside sktime",
    "fastlstm.interop.darts": "Inside Darts",
}


def first_line(module: Any) -> str:
    """Return what a module says of itself in its first line."""
    return (inspect.getdoc(module) or "").split("\n")[0]


def page(name: str, title: str) -> str:
    """Return a module's page: a table of its names, each with a page of its own."""
    module = importlib.import_module(name)
    names = "\n".join(f"   {public}" for public in sorted(module.__all__, key=str.lower))
    return (
        f"{title}\n{'=' * len(title)}\n\n.. currentmodule:: {name}\n\n"
        f"``import {name}``: {first_line(module)}\n\n"
        f".. autosummary::\n   :toctree: ../api\n\n{names}\n"
    )


def write(app: Sphinx, config: object) -> None:
    """Write the pages before Sphinx looks which there are, and autosummary what they name."""
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    for name, title in MODULES.items():
        (folder / f"{name}.rst").write_text(page(name, title), encoding="utf-8")


def skip_foreign(app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a class inherits from other libraries, whose own pages have it; None: as usual."""
    home = getattr(getattr(member, "fget", member), "__module__", None)
    return True if isinstance(home, str) and home.partition(".")[0] != "fastlstm" else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("config-inited", write)
    app.connect("autodoc-skip-member", skip_foreign)
    return {"parallel_read_safe": True}
