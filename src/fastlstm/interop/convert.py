"""The command `fastlstm convert`: a file of another framework becomes one of this package, or ONNX."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from ..files.whole import write_whole
from ..model.checks import as_path
from ..model.layered import Layered
from ..model.quantized import quantize
from ..model.wiring import AnyLayer
from ..predictors import Predictor
from . import verify
from .others import format_of
from .saving import content_of, load, save

FORMATS = {
    "zip": "PyTorch, an archive",
    "pickle": "PyTorch, as it was before 1.6",
    "safetensors": "safetensors",
    "keras": "Keras, an archive",
    "hdf5": "Keras, HDF5",
    "msgpack": "Flax",
    "graph": "TensorFlow 1, a graph",
    "onnx": "ONNX",
}
ONNX = ".onnx"
LARGEST = 1e-4
"""How far from its source a model in float32 may be before the command fails."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("source", metavar="IN", help="a file of PyTorch, Keras, Flax, TensorFlow 1 or ONNX")
    parser.add_argument(
        "target", metavar="OUT", help="a file to write: ONNX if it ends in .onnx, else safetensors"
    )
    parser.add_argument("--prefix", default="", help="the part that is wanted, as 'lstm.'")
    parser.add_argument("--batch-first", action="store_true", help="batches are (B, T, I)")
    parser.add_argument(
        "--nonlinearity", choices=("tanh", "relu"), help="of an RNN whose file does not say it"
    )
    parser.add_argument("--masked", action="store_true", help="masks of Keras will be passed by the caller")
    parser.add_argument("--precision", choices=("int8", "int4", "bfloat16"), help="what the weights become")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare with the source's framework, and what is written as ONNX with ONNX Runtime",
    )


def run(given: argparse.Namespace) -> int:
    """Do what the arguments say; return the exit status.

    Raises
    ------
    ValueError, TypeError, ImportError, OSError
        As `load` and `save`; nothing is written then.
    """
    content, source = content_of(given.source)
    told = _told(given)
    model = load(given.source, prefix=given.prefix, **told)
    if isinstance(model, Predictor):
        raise ValueError("source: expected a model of another framework, got an estimator")
    name = format_of(content)
    print(f"{given.source}: {FORMATS[name or 'safetensors']}\n{_table(model)}")
    if given.precision is not None:
        model = quantize(model, given.precision)
    if given.verify and _is_far(
        lambda: verify.distances(content, name, model, given.prefix, told, source), given
    ):
        return 1
    return _write(model, given)


def _write(model: Any, given: argparse.Namespace) -> int:
    """Write a model, unless what is to be written turns out to be far from it; return the exit status."""
    if given.target.endswith(ONNX):
        exported: bytes = import_module(".onnx", __package__).export(model).SerializeToString()
        if given.verify and _is_far(lambda: verify.of_export(exported, model), given):
            return 1
        write_whole(as_path(given.target, "target"), exported)
    else:
        save(model, given.target)
    print(f"wrote {given.target}")
    return 0


def _told(given: argparse.Namespace) -> dict[str, Any]:
    """Return what the command's user tells of the model."""
    told = {"batch_first": given.batch_first, "nonlinearity": given.nonlinearity, "masked": given.masked}
    return {name: value for name, value in told.items() if value}


def _table(model: AnyLayer | Layered) -> str:
    """Return a model's layers, each with its options and the shapes of its arrays."""
    lines = []
    for layer in model.layers if isinstance(model, Layered) else [model]:
        lines.append(f"  {layer!r}: {layer.num_parameters:,} parameters")
        lines += [f"    {name} {array.shape}" for name, array in layer.parameters.items()]
    return "\n".join([*lines, f"  {model.num_parameters:,} parameters in all"])


def _is_far(measure: Callable[[], Mapping[str, float]], given: argparse.Namespace) -> bool:
    """Print how far the model is from what it is compared with; return whether that is too far."""
    try:
        distances = measure()
    except verify.NotVerified as reason:
        print(f"not verified: {reason}")
        return False
    for part, distance in distances.items():
        print(f"largest difference from {part}: {distance:.2g}")
    is_far = given.precision is None and max(distances.values()) > LARGEST
    if is_far:
        print(f"not written: expected differences of at most {LARGEST}")
    return is_far
