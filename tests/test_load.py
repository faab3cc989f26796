"""The load script of examples/server: it runs, and its table has what it promises."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

for needed in ("starlette", "uvicorn", "prometheus_client", "orjson"):
    pytest.importorskip(needed, reason="needs the extra 'server'")

import fastlstm  # noqa: E402

EXAMPLE = Path(__file__).parents[1] / "examples" / "server"
pytestmark = pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the examples are not here")


def table(*services):
    """Return the rows of a small run, by clients and service."""
    command = [sys.executable, str(EXAMPLE / "load.py"), "--clients", "1", "3", "--seconds", "0.3", "--only"]
    run = subprocess.run([*command, *services], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    head, line, *rows = run.stdout.splitlines()
    assert head.count("|") == line.count("|") == 7
    cells = [[cell.strip() for cell in row.strip("| ").split("|")] for row in rows]
    return {(int(clients), name): [float(number) for number in numbers] for clients, name, *numbers in cells}


def check(rows, *services):
    assert list(rows) == [(clients, service) for clients in (1, 3) for service in services]
    for per_second, middle, high, _ in rows.values():
        assert per_second > 0
        assert 0 < middle <= high


def test_ours():
    services = ("fastlstm", "fastlstm, each by itself")
    check(table(*services), *services)


class TestOnnxRuntime:
    @pytest.fixture(autouse=True)
    def onnx(self):
        pytest.importorskip("onnx", reason="needs onnx")
        pytest.importorskip("onnxruntime", reason="needs onnxruntime")

    def test_runs(self):
        check(table("ONNX Runtime, each by itself"), "ONNX Runtime, each by itself")

    def test_gives_our_results(self, monkeypatch):
        """Or it would be compared with something else."""
        import onnxruntime

        monkeypatch.syspath_prepend(str(EXAMPLE))
        from onnx_app import as_onnx

        model = fastlstm.LSTM(3, 5, num_layers=2, rng=0)
        session = onnxruntime.InferenceSession(as_onnx(model), providers=["CPUExecutionProvider"])
        x = np.random.default_rng(0).standard_normal((7, 1, 3)).astype(np.float32)
        np.testing.assert_allclose(session.run(None, {"x": x})[0], model(x)[0], atol=1e-6)
