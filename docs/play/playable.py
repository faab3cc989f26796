"""What the page play.md runs: an LSTM that has learned the game of pictures.py, and the C library compiled.

`write(folder)` makes `play-data.js`, which holds both, so that the page works from a folder of files, too. It
needs Zig, which the extra `docs` brings.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import fastlstm

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import pictures  # noqa: E402

KERNELS = HERE.parents[1] / "src/fastlstm/kernels"
CAPI = HERE.parents[1] / "src/fastlstm/capi"
EXPORTED = ("play_floats", "play_begin", "play_reset", "play_step")


def compiled() -> bytes:
    """Return the C library of one float32 layer as WebAssembly."""
    if find_spec("ziglang") is None:
        raise RuntimeError("the page play.md needs Zig: pip install 'fastlstm[docs]'")
    sources = [
        HERE / "play.c",
        CAPI / "fastlstm.c",
        KERNELS / "select.c",
        KERNELS / "denormals.c",
        KERNELS / "isa/isa_generic_f32.c",
    ]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "play.wasm"
        flags = ["-std=c11", "-O3", "-DNDEBUG", "-ffp-contract=off", f"-I{CAPI}", f"-I{KERNELS}", "-s"]
        link = ["-mexec-model=reactor", *(f"-Wl,--export={name}" for name in EXPORTED), "-o", out]
        compiler = [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-wasi"]
        subprocess.run([*compiler, *flags, *sources, *link], check=True)
        return out.read_bytes()


def learned() -> tuple[fastlstm.LSTM, fastlstm.Linear]:
    """Return an LSTM of three units that says the last marked number, and the layer behind it."""
    model = pictures.open_lstm(3, seed=1)
    linear = fastlstm.Linear(3, 1, rng=1)
    pictures.learn(model, pictures.asked_all_along, 3000, 0.02, seed=1, linear=linear)
    return model, linear


def flat(array: np.ndarray) -> list[float]:
    """Return all numbers of an array, as they are printed whole."""
    return [float(number) for number in array.ravel()]


def write(folder: Path) -> None:
    """Write play-data.js."""
    model, linear = learned()
    weights = model.parameters
    data = {
        "sizes": [model.input_size, model.hidden_size],
        "weight_ih": flat(weights["weight_ih_l0"]),
        "weight_hh": flat(weights["weight_hh_l0"]),
        "bias": flat(weights["bias_ih_l0"] + weights["bias_hh_l0"]),
        "weight_out": flat(linear.parameters["weight"]),
        "bias_out": flat(linear.parameters["bias"]),
        "wasm": base64.b64encode(compiled()).decode(),
    }
    partial = folder / "play-data.partial"
    partial.write_text(f"const PLAY = {json.dumps(data)};\n")
    os.replace(partial, folder / "play-data.js")
