"""Models and estimators in files: safetensors for the arrays, and what they are as JSON beside them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from ..files import description
from ..files.container import DAMAGED, parsed, refusal, write
from ..model.checks import Array, as_dict, as_path
from ..model.graph import Graph
from ..model.sequential import Sequential
from ..model.wiring import AnyLayer
from ..predictors import Predictor
from . import estimator_files
from .others import format_of, model_in
from .parts import Told, ToldOfOthers, as_told, untold
from .safetensors_files import is_ours

FORMAT = "fastlstm"

MODEL = "model"
"""Under which name the file of an estimator has what that of its model would have."""


def save(model: AnyLayer | Sequential | Graph | Predictor, path: str | os.PathLike[str]) -> None:
    """Write a model or a fitted estimator to a file, whole or not at all.

    It is a safetensors file, with PyTorch's names for the weights. The state of random number generators
    is not part of it. With an estimator it has all that prediction needs: scaling, classes, names, and a
    forecaster's end of the series; not the optimiser's memory, nor the history.

    Parameters
    ----------
    model : LSTM, RNN, a layer of `fastlstm.layers`, Sequential or an estimator of `fastlstm.estimators`
    path : str or path
        By custom it ends in ".safetensors". A file that is there is replaced, and its mode kept; where the
        path is a link, what it leads to.

    Raises
    ------
    TypeError
        If an argument is something else, or an estimator has what a file can't hold, such as classes that
        are dates.
    ValueError
        If the path is that of a device, a pipe or a socket, the model has more than 1000 layers, or it is an
        estimator that was not fitted.
    OSError
        If the file can't be written; one that was there is as it was.

    Examples
    --------
    >>> import os, tempfile, fastlstm
    >>> model = fastlstm.Sequential(fastlstm.LSTM(3, 5), fastlstm.LastStep(), fastlstm.Linear(5, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     fastlstm.save(model, path)
    ...     fastlstm.load(path)
    Sequential(LSTM(3, 5), LastStep(), Linear(5, 2))
    """
    target = as_path(path, "path")
    write(target, FORMAT, *_parts(model))


def load(
    path: str | os.PathLike[str] | bytes, *, prefix: str = "", **told: Unpack[ToldOfOthers]
) -> AnyLayer | Sequential | Graph | Predictor:
    """Return the model of a file: one that `save` wrote, or a recurrent model of another framework.

    The format is told by the bytes. None needs its framework:

    - PyTorch: state dictionaries and whole modules of `torch.save`, of any version; TorchScript archives
    - safetensors with PyTorch's names
    - Keras: `.keras`, `.weights.h5` and `.h5`, with h5py (the extra "files")
    - Flax: msgpack of `flax.serialization`, with msgpack (the same extra)
    - TensorFlow 1: frozen graphs, with protobuf (the same extra)
    - ONNX: graphs that are layers one after another, with onnx (the extra "onnx"), as
      `fastlstm.interop.onnx.load`

    Parameters
    ----------
    path : str, path or bytes
        A file, or its content.
    prefix : str, optional
        Of other frameworks' files, the part that is wanted: "lstm." for the module `lstm` of a PyTorch model,
        the name of a layer for Keras.
    batch_first : bool, optional
        The layout of the recurrent layers. By default what the file says, or what its framework does: batches
        are (T, B, I) for PyTorch and (B, T, I) for the others.
    nonlinearity : {"tanh", "relu"}, optional
        Of an RNN whose file does not say it.
    kinds : mapping of str to {"Linear", "Embedding"}, optional
        What a matrix without bias is, by its prefix, where the file does not say it.
    eps : float, optional
        Of `LayerNorm`; by default what the file says, or its framework's default.
    masked : bool, default False
        Whether you will pass the `mask` that a Keras model makes itself, by `mask_zero` or `Masking`: such a
        model is refused otherwise.
    **told
        Options of the recurrent layers that a file of weights does not say, such as `reverse`, `activations`
        and `reset_after`: see `LSTM` and `GRU`.

    Returns
    -------
    LSTM, RNN, a layer of `fastlstm.layers`, Sequential or an estimator of `fastlstm.estimators`
        An estimator predicts to the same bits as the one that was saved. Where scikit-learn is not
        installed, a `Classifier`, `Regressor` or `Forecaster` of `fastlstm.predictors` predicts in its place.

    Raises
    ------
    TypeError
        If an argument is something else.
    ValueError
        If the file is none of these, or not whole, or has been changed, or holds what this package does not
        have: nothing is half loaded. Nothing in a file can make `load` run code.
    ImportError
        If the format needs a library that is not installed.
    OSError
        If it can't be read.

    Notes
    -----
    Whatever stands in it, a file of n bytes that `save` wrote takes at most 4·n bytes of memory, and 60 MB
    more. What is not an array is bounded: to 4 MB in the file, 262,144 values, 16 lists or mappings in each
    other, whole numbers of 40 digits, and 1000 layers. Files of other frameworks may become 16 times
    as much, and TensorFlow's graphs 40 times.

    A file of weights does not say what lies between its layers. Of several that are not an embedding,
    recurrent layers and a `Linear`, one after another, load each by its prefix, and put them together with
    what has no weights, as `LastStep` and `ReLU`. Dropout is of training, and left out where no file says it.

    Weights of float16 and bfloat16 become float32.

    Examples
    --------
    >>> import os, tempfile, fastlstm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     fastlstm.save(fastlstm.Linear(5, 2), path)
    ...     fastlstm.load(path)
    Linear(5, 2)

    >>> import numpy as np, safetensors.numpy
    >>> weights = {f"lstm.{name}": array for name, array in fastlstm.LSTM(3, 5).state_dict().items()}
    >>> weights |= {"fc.weight": np.zeros((2, 5), "f"), "fc.bias": np.zeros(2, "f")}
    >>> content = safetensors.numpy.save(weights)                       # as PyTorch names them
    >>> fastlstm.load(content, batch_first=True)
    Sequential(LSTM(3, 5, batch_first=True), Linear(5, 2))
    >>> fastlstm.load(content, prefix="lstm.")
    LSTM(3, 5)
    """
    content, source = content_of(path)
    prefix = as_prefix(prefix)
    known = as_told(told)
    name = format_of(content)
    try:
        if name is None or (name == "safetensors" and is_ours(content)):
            return _own(content, prefix, known)
    except DAMAGED as error:
        raise refusal("path", "a model that this fastlstm's save wrote", source, error) from error
    try:
        return model_in(content, name, prefix, told, None if isinstance(path, bytes) else source)
    except DAMAGED as error:
        raise refusal("path", "layers that fastlstm has", source, error) from error


def content_of(path: str | os.PathLike[str] | bytes) -> tuple[bytes, Path]:
    """Return the content of a file, or bytes themselves, and what messages call it.

    Of what is no model, and of a device, which may have no end, it is the beginning.

    Raises
    ------
    TypeError, ValueError
        If it is neither.
    OSError
        If it can't be read.
    """
    if isinstance(path, bytes):
        return path, Path("bytes")
    source = as_path(path, "path")
    with open(source, "rb") as file:
        start = file.read(16)
        has_end = not stat.S_ISCHR(os.fstat(file.fileno()).st_mode)
        return start + (file.read() if has_end and format_of(start) else b""), source


def as_prefix(value: str) -> str:
    """Return an argument `prefix`; TypeError if it is no string."""
    if not isinstance(value, str):
        raise TypeError(f"prefix: expected a str, got {value!r}")
    return value


def _own(content: bytes, prefix: str, told: Told) -> AnyLayer | Sequential | Graph | Predictor:
    """Return what `save` wrote; `DAMAGED` if it is not that, or what it is was told."""
    loaded = _loaded(*parsed(content, FORMAT))
    untold(told, prefix, "a file that says all itself")
    return loaded


def _parts(model: Any) -> tuple[dict[str, Any], Mapping[str, Array]]:
    """Return what a file says of a model or an estimator, and the arrays it keeps."""
    if isinstance(model, Predictor):
        told, tensors = estimator_files.parts(model)
        named = {f"{MODEL}.{name}": array for name, array in model.model_.parameters.items()}
        return told | {MODEL: description.described(model.model_)}, {**tensors, **named}
    return description.described(model), model.parameters


def _loaded(described: object, tensors: Mapping[str, Array]) -> AnyLayer | Sequential | Graph | Predictor:
    told = as_dict(described, "model")
    if MODEL not in told:
        return description.restored(told, tensors)
    own = {
        name.removeprefix(f"{MODEL}."): array
        for name, array in tensors.items()
        if name.startswith(f"{MODEL}.")
    }
    others = {name: array for name, array in tensors.items() if not name.startswith(f"{MODEL}.")}
    return estimator_files.restored(told, others, description.restored(told[MODEL], own))
