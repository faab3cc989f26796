"""The page that teaches: its pictures can be made again, and its code is the code."""

import re
from pathlib import Path

import pytest
from support import DOCS, pictures, pictures_of

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "understanding-lstms.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = [block for block in BLOCKS if "import" in block]
QUOTES = [block for block in BLOCKS if "import" not in block]
SHOWN = pictures_of(DOCS / "understanding-lstms.md")


def test_pictures_in_a_quick_form(tmp_path):
    script = pictures()
    script.understanding(tmp_path, steps=script.STEPS_A_POINT, seeds=1)
    assert {path.name for path in tmp_path.iterdir()} == SHOWN


def test_pictures_of_all_pages_are_there_and_small():
    shown = pictures_of(*DOCS.glob("*.md"))
    assert {path.name for path in (DOCS / "pictures").iterdir()} == shown
    for name in shown:
        assert 1000 < (DOCS / "pictures" / name).stat().st_size < 200_000, name


@pytest.mark.parametrize("block", EXAMPLES)
def test_examples_run(block):
    exec(compile(block, "understanding-lstms.md", "exec"), {})


@pytest.mark.parametrize("line", [line for block in QUOTES for line in block.splitlines()])
def test_quoted_lines_are_the_references(line):
    reference = (ROOT / "src" / "fastlstm" / "_reference.py").read_text(encoding="utf-8")
    assert line in map(str.strip, reference.splitlines())


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.*)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\]\(#(.*?)\)", PAGE)) <= {re.sub(r"[^a-z-]", "", heading) for heading in headings}
