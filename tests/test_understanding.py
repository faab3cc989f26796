"""The pages that teach: their pictures can be made again, and their code is the code."""

import re
from pathlib import Path

import pytest
from support import DOCS, pictures, pictures_of

ROOT = Path(__file__).parents[1]
PAGES = ("understanding-lstms.md", "variants.md")
TEXTS = {page: (DOCS / page).read_text(encoding="utf-8") for page in PAGES}
BLOCKS = [block for text in TEXTS.values() for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]
EXAMPLES = [block for block in BLOCKS if "import" in block]
QUOTES = [block for block in BLOCKS if "import" not in block]


@pytest.mark.parametrize(
    ("page", "writer"), [("understanding-lstms.md", "understanding"), ("variants.md", "variants")]
)
def test_pictures_in_a_quick_form(page, writer, tmp_path):
    script = pictures()
    getattr(script, writer)(tmp_path, steps=script.STEPS_A_POINT, seeds=1)
    assert {path.name for path in tmp_path.iterdir()} == pictures_of(DOCS / page)


def test_pictures_of_all_pages_are_there_and_small():
    shown = pictures_of(*DOCS.glob("*.md"))
    assert {path.name for path in (DOCS / "pictures").iterdir()} == shown
    for name in shown:
        assert 1000 < (DOCS / "pictures" / name).stat().st_size < 200_000, name


@pytest.mark.parametrize("block", EXAMPLES)
def test_examples_run(block):
    exec(compile(block, "an example of a page", "exec"), {})


@pytest.mark.parametrize("line", [line for block in QUOTES for line in block.splitlines()])
def test_quoted_lines_are_the_references(line):
    reference = (ROOT / "src" / "fastlstm" / "_reference.py").read_text(encoding="utf-8")
    assert line in map(str.strip, reference.splitlines())


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target, heading in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", TEXTS[page]):
        linked = DOCS / target if target else DOCS / page
        assert linked.exists(), target
        assert not heading or heading in headings(linked)


def headings(page):
    """Return what links call the headings of a page."""
    titles = re.findall(r"^## (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z-]", "", title.lower().replace(" ", "-")) for title in titles}
