"""tesseract's port beside the original: the text of pictures of lines."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support_models import port

image = pytest.importorskip("PIL.Image")
draw = pytest.importorskip("PIL.ImageDraw")
font = pytest.importorskip("PIL.ImageFont")
FONT = Path(pytest.importorskip("matplotlib").get_data_path(), "fonts", "ttf", "DejaVuSerif.ttf")
pytestmark = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract-ocr is not installed")

LINES = [
    "Call me Ishmael. Some years ago - never mind how long",
    "It was 1847, and £12 (or $30) bought a horse!",
    "Good morning, Mr. Smith; it is 8:45 already!",
    "Price: $19.99 (20% off) #42 & more?",
    "Two households, both alike in dignity",
]


@pytest.fixture(scope="module")
def reader():
    return port("tesseract").Reader()


def picture(text, margin):
    """Return a line of text as it would be cut out of a page, and that page."""
    letters = font.truetype(FONT, 24)
    left, top, right, bottom = letters.getbbox(text)
    page = image.new("L", (right - left + 2 * margin, bottom - top + 2 * margin), 255)
    draw.Draw(page).text((margin - left, margin - top), text, fill=0, font=letters)
    return page


@pytest.mark.parametrize("text", LINES)
def test_text(reader, text, tmp_path):
    picture(text, 30).save(tmp_path / "page.png")
    command = ["tesseract", tmp_path / "page.png", "-", "--psm", "7", "--dpi", "100"]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    line = picture(text, 4)
    line = line.resize((round(line.width * 36 / line.height), 36), image.Resampling.BILINEAR)
    assert reader(np.asarray(line, float)) == theirs == text


def test_weights(reader):
    """What multiplies is the file's whole numbers: nothing is rounded a second time."""
    layers = [*reader.columns.layers[:1], *reader.rows.layers]
    assert [layer.precision for layer in layers] == ["int8"] * 5
    matrices = [a for layer in layers for a in layer.parameters.values() if a.ndim == 2]
    assert {array.dtype.name for array in matrices} == {"int8"}
