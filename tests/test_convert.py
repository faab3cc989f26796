"""The command `fastlstm convert`."""

import numpy as np
import pytest
from support_others import FOLDER, RESULTS

import fastlstm
from fastlstm.cli import main
from fastlstm.interop import verify


def test_it_prints_layer_by_layer_and_writes(tmp_path, capsys):
    target = tmp_path / "model.safetensors"
    assert main(["convert", str(FOLDER / "state.pt"), str(target), "--batch-first"]) == 0
    said = capsys.readouterr().out
    for line in (
        "state.pt: PyTorch, an archive",
        "  Embedding(9, 3): 27 parameters",
        "    weight_hh_l1_reverse (16, 4)",
        "  781 parameters in all",
        f"wrote {target}",
    ):
        assert line in said
    np.testing.assert_allclose(fastlstm.load(target)(RESULTS["indices"]), RESULTS["pytorch"], atol=1e-6)


def test_a_part(tmp_path, capsys):
    target = tmp_path / "model.safetensors"
    assert main(["convert", str(FOLDER / "legacy.pt"), str(target), "--prefix", "fc"]) == 0
    assert repr(fastlstm.load(target)) == "Linear(8, 2)"


@pytest.mark.parametrize("source", ["make.py", "none"])
def test_nothing_is_written_of_what_is_no_model(source, tmp_path, capsys):
    assert main(["convert", str(FOLDER / source), str(tmp_path / "model")]) == 2
    assert capsys.readouterr().err.startswith("fastlstm convert: ")
    assert not list(tmp_path.iterdir())


class TestVerified:
    @pytest.fixture(autouse=True)
    def torch(self):
        pytest.importorskip("torch")

    def run(self, capsys, name, target, *more):
        status = main(["convert", str(FOLDER / name), str(target), "--verify", *more])
        return status, capsys.readouterr().out

    @pytest.mark.parametrize("name", ["state.pt", "legacy.pt"])
    def test_by_pytorch(self, name, tmp_path, capsys):
        status, said = self.run(capsys, name, tmp_path / "model")
        assert status == 0
        line = next(line for line in said.splitlines() if line.startswith("largest difference"))
        assert line.startswith("largest difference from lstm. in PyTorch: ")
        assert float(line.rpartition(" ")[2]) < 1e-6

    def test_a_module_would_run_code(self, tmp_path, capsys):
        _, said = self.run(capsys, "module.pt", tmp_path / "model", "--prefix", "model")
        assert "not verified: PyTorch would have to run the code in the file" in said

    def test_what_is_far_from_its_source_is_not_written(self, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(verify, "_of_torch", lambda *given: lambda x: np.zeros((len(x), 8)))
        status, said = self.run(capsys, "state.pt", tmp_path / "model")
        assert status == 1
        assert "not written: expected differences of at most 0.0001" in said
        assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(fastlstm, "quantize"), reason="models can't be quantised here")
def test_small_numbers(tmp_path, capsys):
    command = ["convert", str(FOLDER / "state.pt"), str(tmp_path / "model"), "--precision", "int8"]
    assert main(command) == 0
    assert "int8" in repr(fastlstm.load(tmp_path / "model"))


class TestOnnx:
    @pytest.fixture(autouse=True)
    def runtimes(self):
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")

    def test_written_and_verified(self, tmp_path, capsys):
        target = tmp_path / "model.onnx"
        assert main(["convert", str(FOLDER / "state.pt"), str(target), "--batch-first", "--verify"]) == 0
        said = capsys.readouterr().out
        line = next(line for line in said.splitlines() if "the written graph in ONNX Runtime" in line)
        assert float(line.rpartition(" ")[2]) < 1e-6
        np.testing.assert_allclose(fastlstm.load(target)(RESULTS["indices"]), RESULTS["pytorch"], atol=1e-6)
        again = tmp_path / "again.safetensors"
        assert main(["convert", str(target), str(again), "--verify"]) == 0
        said = capsys.readouterr().out
        assert "model.onnx: ONNX" in said
        assert "largest difference from ONNX Runtime: " in said
        np.testing.assert_allclose(fastlstm.load(again)(RESULTS["indices"]), RESULTS["pytorch"], atol=1e-6)

    @pytest.mark.parametrize("precision", ["int8", "int4", "bfloat16"])
    def test_small_numbers(self, precision, tmp_path, capsys):
        target = tmp_path / "model.onnx"
        command = ["convert", str(FOLDER / "state.pt"), str(target), "--precision", precision, "--verify"]
        assert main(command) == 0
        assert ("int8" in repr(fastlstm.load(target))) == (precision == "int8")

    def test_what_is_far_is_not_written(self, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(verify, "_of_onnx", lambda *given: lambda x: np.zeros((len(x), 2)))
        target = tmp_path / "model.onnx"
        assert main(["convert", str(FOLDER / "state.pt"), str(target), "--verify"]) == 1
        assert "not written: expected differences of at most 0.0001" in capsys.readouterr().out
        assert not target.exists()
