"""The site: `sphinx-build -W docs docs/_build`; needs the extra `docs`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "site"), str(HERE / "play")]

os.environ.setdefault("KERAS_BACKEND", "torch")  # which the extra docs brings

import fastlstm  # noqa: E402

project = "fastlstm"
author = "The fastlstm developers"
copyright = author
version = release = fastlstm.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx-mathjax-offline",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "github_markdown",
    "reference_pages",
    "made_here",
    "history",
]
exclude_patterns = ["_build", "gallery", "site", "play/*"]
templates_path = ["site/templates"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]  # the order of the gallery is a function

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc has the types
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "show_memory": False,
    "write_computation_times": False,
    "abort_on_example_error": True,
    "download_all_examples": False,
    "copyfile_regex": r".*\.md",
}

html_theme = "pydata_sphinx_theme"
html_title = "fastlstm"
html_static_path = ["_static", "play"]
html_css_files = ["site.css"]
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": {"index": [], "**": ["page-toc"]},
}
html_sidebars = {"index": []}
html_show_sourcelink = False
