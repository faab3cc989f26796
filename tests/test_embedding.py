"""fastlstm without Python: the examples, built against the package, give the bits that Python gives."""

import importlib.util
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastlstm

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = [
    pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are not here"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
]
needs_cython = pytest.mark.skipif(
    not (importlib.util.find_spec("Cython") and importlib.util.find_spec("setuptools")),
    reason="no Cython, or no setuptools",
)


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, timeout=600, **options)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
    return done.stdout


def stepped(stream, x):
    return np.stack([stream.step(x_t) for x_t in x])


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Return the path of examples/embed_c, built as its README says."""
    program = tmp_path_factory.mktemp("embed_c") / "stream_lstm"
    source = EXAMPLES / "embed_c" / "stream_lstm.c"
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
    include = f"-I{fastlstm.get_include()}"
    run("cc", "-O2", *warnings, source, "-o", program, include, fastlstm.get_library(), "-lm")
    return program


def test_c(program, tmp_path):
    lstm = fastlstm.LSTM(5, 37, rng=0)
    export = runpy.run_path(str(EXAMPLES / "embed_c" / "export_weights.py"))
    weights = tmp_path / "weights.bin"
    weights.write_bytes(export["weights_as_bytes"](lstm))
    x = np.random.default_rng(0).standard_normal((50, 5)).astype(np.float32)
    assert run(program, weights, input=x.tobytes()) == stepped(lstm.stream(), x).tobytes()


def test_position_independent(tmp_path):
    """The library may become part of a shared one."""
    source = tmp_path / "wrapper.c"
    source.write_text("#include <fastlstm.h>\nvoid *wrapped(void) { return (void *)fastlstm_new; }\n")
    include = f"-I{fastlstm.get_include()}"
    shared = tmp_path / "wrapper.so"
    run("cc", "-fPIC", "-shared", source, "-o", shared, include, fastlstm.get_library(), "-lm")
    assert shared.is_file()


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_cpp(tmp_path):
    source = tmp_path / "program.cpp"
    source.write_text(
        "#include <fastlstm.h>\n"
        "int main() { return fastlstm_step(nullptr, nullptr, nullptr) == FASTLSTM_INVALID ? 0 : 1; }\n"
    )
    program = tmp_path / "program"
    flags = ["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{fastlstm.get_include()}"]
    run("c++", *flags, source, "-o", program, fastlstm.get_library(), "-lm")
    run(program)


def test_library_not_built(monkeypatch, tmp_path):
    monkeypatch.setattr("fastlstm.capi._DIRECTORY", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"libfastlstm\.a: expected it in .* build_ext --inplace"):
        fastlstm.get_library()


@pytest.fixture(scope="module")
def free_run(tmp_path_factory):
    """Return the function of examples/embed_cython, built as its README says."""
    directory = tmp_path_factory.mktemp("embed_cython")
    for source in ("free_run.pyx", "setup.py"):
        shutil.copy(EXAMPLES / "embed_cython" / source, directory)
    installed = str(Path(fastlstm.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": installed}
    run(sys.executable, "setup.py", "build_ext", "--inplace", cwd=directory, env=environment)
    (extension,) = directory.glob("free_run.*.so")
    spec = importlib.util.spec_from_file_location("free_run", extension)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.free_run


@needs_cython
@pytest.mark.parametrize(
    "model",
    [
        fastlstm.LSTM(19, 19, 2, rng=0),
        fastlstm.LSTM(5, 33, proj_size=5, rng=0),
        fastlstm.RNN(19, 19, rng=0),
    ],
)
def test_cython(free_run, model):
    x = np.random.default_rng(0).standard_normal(model.input_size).astype(np.float32)
    out = np.empty((30, model.input_size), np.float32)
    stream, other = model.stream(), model.stream()
    free_run(stream, x, out)
    assert out.tobytes() == stepped(other, [x, *out[:-1]]).tobytes()
    assert stream.step(x).tobytes() == other.step(x).tobytes()


@needs_cython
def test_cython_after_new_weights(free_run):
    model = fastlstm.LSTM(4, 4, rng=0)
    stream, other = model.stream(), model.stream()
    x, out = np.ones(4, np.float32), np.empty((1, 4), np.float32)
    stream.step(x)
    other.step(x)
    model.load_state_dict(fastlstm.LSTM(4, 4, rng=1).state_dict())
    free_run(stream, x, out)
    assert out[0].tobytes() == other.step(x).tobytes()


@needs_cython
@pytest.mark.parametrize(
    ("model", "message"),
    [(fastlstm.LSTM(4, 4, dtype="float64"), "float32"), (fastlstm.LSTM(4, 5), "size")],
)
def test_cython_refuses(free_run, model, message):
    with pytest.raises(ValueError, match=message):
        free_run(model.stream(), np.ones(4, np.float32), np.empty((1, 4), np.float32))
