"""What says which extra is missing."""

import importlib
import os
import subprocess
import sys

import pytest

pytest.importorskip("sklearn", reason="needs sklearn: pip install '.[sklearn]'")


@pytest.mark.parametrize(("extra", "module"), [("sktime", "sktime.forecasting.base"), ("darts", "darts")])
def test_a_missing_peer_is_named(monkeypatch, extra, module):
    monkeypatch.setitem(sys.modules, extra, None)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"fastlstm.interop.{extra}", raising=False)
    with pytest.raises(ImportError, match=rf"needs {extra}: pip install 'fastlstm\[{extra}\]'") as refusal:
        importlib.import_module(f"fastlstm.interop.{extra}")
    assert f"fastlstm.interop.{extra}" in str(refusal.value)


def test_a_missing_backend_of_keras_is_named():
    pytest.importorskip("keras", reason="needs Keras: pip install keras")
    program = "import sys; sys.modules['tensorflow'] = None; import fastlstm.interop.keras"
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "the backend that KERAS_BACKEND names" in run.stderr.splitlines()[-1]
