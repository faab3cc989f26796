"""The example of an xLSTM block, in small."""

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "xlstm_block.py"


@pytest.mark.skipif(not EXAMPLE.exists(), reason="the examples are not here")
def test_step_by_step(capsys):
    example = runpy.run_path(str(EXAMPLE))
    example["main"].__globals__.update(BLOCKS=2, STEPS=30, WIDTH=128)
    example["main"]()
    printed = capsys.readouterr().out
    assert "2 blocks, 30 steps" in printed
    assert "at most 0.0e+00 away" in printed
