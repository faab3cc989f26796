"""Files whose digest fits, whatever they say."""

import json

import numpy as np
import safetensors.numpy

from fastlstm.files import container


def forge(path, kind, description, tensors, /, **metadata):
    """Write a file as `container.write` does, but of anything; metadata that are None are left out."""
    text = description if isinstance(description, str) else json.dumps(description)
    tensors = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    known = {
        name: array
        for name, array in tensors.items()
        if array.dtype.str.replace("=", "<") in container.DTYPES.values()
    }
    everything = {
        "format": kind,
        "version": container.VERSION,
        "description": text,
        "sha256": container._digest(text, known),
    } | metadata
    told = {name: value for name, value in everything.items() if value is not None}
    path.write_bytes(safetensors.numpy.save(tensors, told))
    return path
