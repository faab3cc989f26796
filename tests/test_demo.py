"""The demo and the command, run as a newcomer runs them."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time

import numpy as np
import pytest
from support import pictures

import fastlstm
from fastlstm.cli import main
from fastlstm.demos import NAMES
from fastlstm.demos.baselines import seasonal_naive
from fastlstm.demos.language import (
    Settings,
    Vocabulary,
    bigram_bits,
    bits_per_character,
    character_model,
    manual,
    write,
)
from fastlstm.training import Adam

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


def test_bits_do_not_depend_on_the_chunks():
    model, text = character_model(5, 8, seed=0), np.random.default_rng(0).integers(0, 5, 300)
    assert bits_per_character(model, text, 7) == pytest.approx(bits_per_character(model, text), rel=1e-6)


def test_temperature():
    """The colder, the more certain."""
    model = character_model(9, 8, seed=0)
    prompt, rng = np.array([3]), np.random.default_rng(0)
    cold, hot = (list(write(model, prompt, 200, temperature, rng)) for temperature in (1e-3, 1e3))
    assert len(set(cold[100:])) < 4
    assert set(hot) == set(range(1, 9))


def test_demo(capsys):
    assert main(["demo", "--steps", "120", "--hidden", "48"]) == 0
    shown = capsys.readouterr()
    table = bits(shown.out)
    assert table["LSTM,"] < table["2-gram"] + 0.5 < table["uniform"]
    assert "120 steps" in shown.out
    assert len(shown.out.split("it writes:")[1].strip()) > 300
    assert shown.err == ""


@pytest.mark.parametrize("precision", ["int8", "int4", "bfloat16"])
def test_demo_in_fewer_bits(precision, tmp_path, capsys):
    path = tmp_path / "text"
    path.write_text(manual()[:20_000], encoding="utf-8")
    command = ["demo", "--text", str(path), "--steps", "40", "--hidden", "24", "--precision", precision]
    assert main(command) == 0
    table = bits(capsys.readouterr().out)
    assert table["LSTM,"] < table["uniform"]
    assert ("the" in table) == (precision != "bfloat16")
    assert table.get("the", table["LSTM,"]) == pytest.approx(table["LSTM,"], rel=0.005)


def test_picture_of_learning_in_bfloat16():
    text = "a man, a plan, a canal: panama. " * 100
    above, below = pictures().draw_precision(Settings(steps=4, hidden=8), text).axes
    floats, rounded = (line.get_ydata() for line in above.lines)
    assert below.lines[0].get_ydata() == pytest.approx(rounded - floats)
    assert 0 < abs(rounded - floats).max() < 0.02


def test_bar_on_a_terminal():
    mine, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 150))
    command = [*FASTLSTM, "demo", "language", "--steps", "40", "--hidden", "16"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=terminal) as demo:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # the other side was closed
            while part := os.read(mine, 1 << 16):
                shown += part
        os.close(mine)
    assert demo.returncode == 0
    assert re.search(r"loss \d\.\d+, [\d,]+ chars/s", shown.decode())


def test_all_options_and_resuming(tmp_path, capsys):
    common = ["demo", "language", "--hidden", "16", "--layers", "2", "--dropout", "0.2"]
    common += ["--checkpoint", str(tmp_path / "run"), "--temperature", "0.5"]
    assert main([*common, "--steps", "10"]) == 0
    assert "10 steps" in capsys.readouterr().out
    picture = tmp_path / "curve.svg"
    assert main([*common, "--steps", "20", "--picture", str(picture)]) == 0
    assert "2-gram model, held-out text" in picture.read_text(encoding="utf-8")
    assert "20 steps" in capsys.readouterr().out


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
    "arguments",
    [
        ["--steps", "0"],
        ["--hidden", "-3"],
        ["--steps", "many"],
        ["--wrong"],
        ["--dropout", "1"],
        ["--temperature", "0"],
        ["nothing"],
        ["language", "memory"],
    ],
)
def test_wrong_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["demo", *arguments])
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_an_interrupted_demo_tells_no_score():
    demo = subprocess.Popen(
        [*FASTLSTM, "demo", "--steps", "100000", "--hidden", "32"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "characters to learn from" in demo.stdout.readline()
    time.sleep(1)
    demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 130, err
    assert err == "\nfastlstm demo: stopped\n"
    assert out == ""


DEMOS = {
    "language": ([], "bits per character"),
    "memory": (["--gaps", "5"], "learned$"),
    "forecast": (["--members", "1"], "LSTM"),
    "classify": (["--seeds", "1"], "mean"),
}
"""Options that keep each small, and what only a score would make it print."""


@pytest.mark.parametrize("name", NAMES)
def test_ctrl_c_in_a_step_ends_each_demo(name, capsys, monkeypatch, threads):
    needed = {"forecast": "statsmodels", "classify": "aeon"}
    if name in needed:
        pytest.importorskip(needed[name], reason="needs the extra demo")
    if name == "forecast":  # whose baseline takes its time
        monkeypatch.setattr("fastlstm.demos.forecast.smoothing", seasonal_naive)
    step, taken = Adam.step, []

    def interrupted(self, gradients):
        step(self, gradients)
        taken.append(signal.SIGINT)
        if len(taken) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Adam, "step", interrupted)
    options, score = DEMOS[name]
    assert main(["demo", name, "--hidden", "8", *options]) == 130
    shown = capsys.readouterr()
    assert len(taken) == 2
    assert shown.err.endswith("\nfastlstm demo: stopped\n")
    assert not re.search(score, shown.out, re.MULTILINE)


def test_other_commands(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fastlstm {fastlstm.__version__}\n"
    assert main(["info"]) == 0
    assert "instruction set: " in capsys.readouterr().out
    for arguments in (["demo", "--help"], ["demo", "language", "-h"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 0
        assert "--steps STEPS" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["info", "--wrong"])
    assert "unrecognized arguments: --wrong" in capsys.readouterr().err
    assert main([]) == 0
    assert "usage: fastlstm" in capsys.readouterr().out
