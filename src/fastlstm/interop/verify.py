"""How far a model is from the file that it was made of, as the file's own framework runs it.

Both run over random sequences of several lengths, the framework over each by itself, ours as a batch.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.checks import Array
from .others import source_of
from .parts import RECURRENT, Part

LENGTHS = (9, 4, 1, 7)
Run = Callable[[NDArray[Any]], NDArray[Any]]
"""Returns y of one sequence, (T, ...) or, of its readout, (n,)."""


class NotVerified(Exception):
    """Why a file can't be compared with its framework."""


def distances(
    content: bytes,
    name: str | None,
    model: Any,
    prefix: str,
    told: Mapping[str, Any],
    path: Path | None = None,
) -> dict[str, float]:
    """Return the largest difference by the part that was compared; a path is where the bytes are from.

    Raises
    ------
    NotVerified
        If there is no framework for that.
    """
    if name in ("zip", "pickle", "safetensors"):
        parts = source_of(content, name, prefix, told).parts
        ours = model.layers if hasattr(model, "layers") else [model]
        recurrent = [(part, layer) for part, layer in zip(parts, ours, strict=True) if part.kind in RECURRENT]
        if not recurrent:
            raise NotVerified("there is no recurrent layer")
        return {
            f"{part.name or part.kind} in PyTorch": _distance(layer, _of_torch(content, name, part))
            for part, layer in recurrent
        }
    if name in ("keras", "hdf5"):
        return {"Keras": _distance(model, _of_keras(content, name, prefix))}
    if name == "onnx":
        return {"ONNX Runtime": _distance(model, _of_onnx(content if path is None else path, model))}
    raise NotVerified("no framework runs such a file by itself")


def of_export(content: bytes, model: Any) -> dict[str, float]:
    """Return the largest difference of a model from what was exported of it; NotVerified as `distances`."""
    return {"the written graph in ONNX Runtime": _distance(model, _of_onnx(content, model))}


def _distance(model: Any, run: Run) -> float:
    """Return the largest difference of a model from what runs one sequence."""
    rng = np.random.default_rng(0)
    steps, count = max(LENGTHS), len(LENGTHS)
    if model.reads_indices:
        batch = rng.integers(1, max(2, model.num_embeddings), (count, steps))
    else:
        batch = rng.standard_normal((count, steps, model.input_size)).astype(np.float32)
    x = batch if model.batch_first else np.moveaxis(batch, 0, 1)
    y = model.run(x, lengths=LENGTHS)[0]
    ours = y if model.batch_first or model.has_readout else np.moveaxis(y, 0, 1)
    worst = 0.0
    for sequence, mine, length in zip(batch, ours, LENGTHS, strict=True):
        expected = run(sequence[:length])
        got = mine if model.has_readout else mine[:length]
        worst = max(worst, float(np.abs(got - expected.reshape(got.shape)).max()))
    return worst


def _module(name: str, why: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise NotVerified(f"{why} is not installed") from error


def _of_torch(content: bytes, name: str, part: Part) -> Run:
    """Return what runs a recurrent layer as PyTorch does, with the arrays that PyTorch itself reads."""
    torch = _module("torch", "PyTorch")
    if any(option in part.arguments for option in ("reverse", "activations", "reset_after")):
        raise NotVerified("PyTorch has no layer with the options that were told")
    if name == "safetensors":
        named = _module("safetensors.torch", "PyTorch").load(content)
    else:
        try:
            named = _flat(torch.load(io.BytesIO(content), weights_only=True), "")
        except Exception as error:  # of any kind: it may be a module, or TorchScript
            raise NotVerified("PyTorch would have to run the code in the file") from error
    own = {key.removeprefix(part.name): value for key, value in named.items() if key.startswith(part.name)}
    if not any(key.endswith("_l0") for key in own):
        own = {f"{key}_l0": value for key, value in own.items()}
    known = ("input_size", "hidden_size", "num_layers", "bias", "bidirectional", "proj_size", "nonlinearity")
    arguments = {key: value for key, value in part.arguments.items() if key in known}
    module = getattr(torch.nn, part.kind)(**arguments, dtype=getattr(torch, str(part.arguments["dtype"])))
    module.load_state_dict(own)

    def run(sequence: NDArray[Any]) -> NDArray[Any]:
        with torch.no_grad():
            y: Array = module(torch.from_numpy(sequence).to(next(module.parameters()).dtype))[0].numpy()
        return y

    return run


def _flat(tree: Any, name: str) -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        return {name: tree}
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{name}.{key}" if name else str(key))
    return found


def _of_keras(content: bytes, name: str, prefix: str) -> Run:
    keras = _module("keras", "Keras")
    if prefix:
        raise NotVerified("Keras runs whole models")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("model.keras" if name == "keras" else "model.h5")
        path.write_bytes(content)
        try:
            model = keras.models.load_model(path, compile=False)
        except Exception as error:  # of any kind: it may be weights alone, or of a Keras long ago
            raise NotVerified(f"Keras can't load it ({error})"[:300]) from error
    return lambda sequence: np.asarray(model(sequence[None]))[0]


def _of_onnx(source: bytes | Path, model: Any) -> Run:
    """Return what runs a graph; inputs beside the sequence are its length, and states of zeros."""
    if not hasattr(model, "run"):
        raise NotVerified("no layer runs over time")
    runtime = _module("onnxruntime", "ONNX Runtime")
    try:
        session = runtime.InferenceSession(
            source if isinstance(source, bytes) else str(source), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # of any kind: it has its own
        raise NotVerified(f"ONNX Runtime can't run it ({error})"[:300]) from error
    (x, *others), output = session.get_inputs(), session.get_outputs()[0].name

    def run(sequence: NDArray[Any]) -> NDArray[Any]:
        batch = sequence[None] if model.batch_first else sequence[:, None]
        feeds: dict[str, Any] = {x.name: batch.astype(DTYPES.get(x.type, batch.dtype))}
        for value in others:
            dtype = DTYPES.get(value.type, np.dtype("f"))
            shape = [size if isinstance(size, int) else 1 for size in value.shape]
            is_state = dtype.kind == "f"
            feeds[value.name] = np.zeros(shape, dtype) if is_state else np.full(shape, len(sequence), dtype)
        try:
            y: Array = session.run([output], feeds)[0]
        except Exception as error:  # likewise: its sizes may be fixed
            raise NotVerified(f"ONNX Runtime can't run sequences of any length ({error})"[:300]) from error
        return y

    return run


DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
}
"""ONNX Runtime's names of what graphs read."""
