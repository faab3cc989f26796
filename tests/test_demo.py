"""The demo and the command, run as a newcomer runs them."""

import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastlstm
from fastlstm.cli import main
from fastlstm.demos.language import CharacterModel, Vocabulary, bigram_bits, manual, windows

FASTLSTM = [sys.executable, "-m", "fastlstm"]


def bits(table):
    """Return the table's figures by the first word of their lines."""
    return {word: float(figure) for word, figure in re.findall(r"^(\S+).*?(\d+\.\d+)$", table, re.MULTILINE)}


def test_vocabulary():
    vocabulary = Vocabulary("hello")
    assert vocabulary.decode(vocabulary.encode("hole")) == "hole"
    assert vocabulary.encode("x!").tolist() == [0, 0]
    assert len(vocabulary) == 5


def test_manual_is_real_english():
    text = manual()
    assert len(text) > 300_000
    assert "statement" in text


def test_bigram_by_hand():
    # After 0 came 1 twice; after 1 came 0 once; add one: p(1|0) = 3/4, p(1|1) = 1/3.
    expected = -(np.log2(3 / 4) + np.log2(1 / 3)) / 2
    assert bigram_bits(np.array([0, 1, 0, 1]), np.array([0, 1, 1]), 2) == pytest.approx(expected)


def test_windows_read_side_by_side_and_on():
    text = np.arange(21)
    seen = windows(text, batch=2, steps=5)
    inputs, targets, start = next(seen)
    assert inputs.T.tolist() == [[0, 1, 2, 3, 4], [10, 11, 12, 13, 14]]
    assert np.array_equal(targets, inputs + 1)
    assert start
    inputs, _, start = next(seen)
    assert inputs[0].tolist() == [5, 15]
    assert not start
    assert next(seen)[2]


def test_bits_do_not_depend_on_the_chunks():
    model, text = CharacterModel(5, 8, rng=0), np.random.default_rng(0).integers(0, 5, 300)
    assert model.bits_per_character(text, 7) == pytest.approx(model.bits_per_character(text), rel=1e-6)


def test_demo(capsys):
    assert main(["demo", "--steps", "120", "--hidden", "48"]) == 0
    shown = capsys.readouterr()
    table = bits(shown.out)
    assert table["LSTM,"] < table["2-gram"] + 0.5 < table["uniform"]
    assert "120 steps" in shown.out
    assert len(shown.out.split("it writes:")[1].strip()) > 300
    assert "chars/s" in shown.err


def test_demo_of_a_file(tmp_path, capsys):
    file = tmp_path / "text.txt"
    file.write_text("the cat sat on the mat and the dog — überall. " * 200, encoding="utf-8")
    assert main(["demo", "--steps", "30", "--hidden", "16", "--text", str(file)]) == 0
    assert "text.txt: 8,280 characters to learn from, 920 held out, 19 different" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "No such file"),
        (b"short", "text: expected at least 5000 characters, got 5"),
        (b"\xff\xfe" * 5000, "codec can't decode"),
    ],
)
def test_demo_of_a_wrong_file(tmp_path, capsys, content, sentence):
    file = tmp_path / "text.txt"
    if content is not None:
        file.write_bytes(content)
    assert main(["demo", "--text", str(file)]) == 2
    shown = capsys.readouterr()
    assert sentence in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    "arguments", [["--steps", "0"], ["--hidden", "-3"], ["--steps", "many"], ["--wrong"]]
)
def test_wrong_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["demo", *arguments])
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_interrupt_keeps_what_was_learned():
    demo = subprocess.Popen(
        [*FASTLSTM, "demo", "--steps", "100000", "--hidden", "32"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(4)
    demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 0, err
    assert "stopped at step" in err
    table = bits(out)
    assert table["LSTM,"] < table["uniform"]
    assert "it writes" in out


def test_other_commands(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fastlstm {fastlstm.__version__}\n"
    assert main(["info"]) == 0
    assert "instruction set: " in capsys.readouterr().out
    assert main([]) == 0
    assert "usage: fastlstm" in capsys.readouterr().out
