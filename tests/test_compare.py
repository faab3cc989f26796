"""The side-by-side comparison with other libraries, in its quick mode on small cells."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


def compare(*arguments):
    command = [sys.executable, "-m", "benchmarks.compare", "--quick", "--threads", "1", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)


def test_alone(tmp_path):
    file = tmp_path / "results.json"
    ran = compare("--cells", "1, 1, 32", "--libraries", "fastlstm", "--json", str(file))
    assert ran.returncode == 0, ran.stderr
    data = json.loads(file.read_text())
    (row,) = data["rows"]
    assert (row["name"], row["threads"], row["ratio"]) == ("1, 1, 32", 1, None)
    assert 0 < row["results"]["fastlstm"]["best"] <= row["results"]["fastlstm"]["median"] < 1
    assert data["errors"] == []
    assert row["share"] is None or 0 < row["share"] < 1
    assert "\n1, 1, 32 " in ran.stdout


def test_more_threads():
    ran = compare("--threads", "1", "2", "--scaling", "--cells", "1, 1, 32", "--libraries", "fastlstm")
    assert ran.returncode == 0, ran.stderr
    *_, line = ran.stdout.splitlines()
    *name, threads, share = line.split()
    assert name == ["step", "1,", "1,", "32"]
    assert threads == "2"
    assert 0 < int(share.removesuffix("%")) < 200


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="needs onnxruntime")
def test_beside_peers():
    """All of them agree on an LSTM and a GRU."""
    ran = compare(
        *("--groups", "step", "training", "gru-step", "gru-forward", "gru-training"),
        *("--cells", "*, [13]*, [61][42]*"),  # 64 and 128
        *("--libraries", "fastlstm", "torch", "onnxruntime", "--markdown"),
    )
    assert ran.returncode == 0, ran.stderr
    lines = [line.split("|") for line in ran.stdout.splitlines() if line.startswith("|")]
    rows = {line[1].strip(): line for line in lines}
    for cell in ("1, 1, 64", "100, 32, 64", "1, 1, 64, GRU", "100, 1, 64, GRU", "100, 32, 128, GRU"):
        assert float(rows[cell][-3]) > 0, cell


@pytest.mark.parametrize("precision", ["int8", "int4", "bfloat16"])
def test_fewer_bits_beside_float32(precision, tmp_path):
    file = tmp_path / "results.json"
    ran = compare(
        *("--groups", f"{precision}-step", "--cells", "1, 1, 64, *", "--json", str(file)),
        *("--libraries", "fastlstm", "fastlstm-float32"),
    )
    assert ran.returncode == 0, ran.stderr
    (row,) = json.loads(file.read_text())["rows"]
    assert row["results"].keys() == {"fastlstm", "fastlstm-float32"}
    assert row["ratio"] is None
    assert " in float32 " in ran.stdout


def test_no_cells():
    ran = compare("--cells", "nothing", "--libraries", "fastlstm")
    assert ran.returncode == 2
    assert "no such cell" in ran.stderr
