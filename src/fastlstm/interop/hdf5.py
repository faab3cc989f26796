"""What an HDF5 file holds, read by a program of its own (`hdf5_child.py`), which may fail as it likes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from .budget import Budget
from .parts import Tensor

PROGRAM = Path(__file__).with_name("hdf5_child.py")
SECONDS = 10.0
"""How long reading may take, and as many seconds more as the file has hundreds of megabytes."""


class Hdf5:
    """The groups and arrays of an HDF5 file by their places, as "layers/lstm/cell/vars/0".

    Raises
    ------
    ValueError
        If it is damaged.
    ImportError
        Without h5py.
    """

    def __init__(self, content: bytes) -> None:
        if find_spec("h5py") is None:
            raise ImportError("Keras's files need h5py: pip install 'fastlstm[files]'")
        with np.load(io.BytesIO(_output(content)), allow_pickle=False) as found:
            index = json.loads(found["index"].tobytes())
            self._arrays = {place: found[f"arr_{k}"] for k, place in enumerate(index["arrays"])}
        self._attributes: dict[str, dict[str, Any]] = index["attributes"]

    def attributes(self, place: str) -> dict[str, Any]:
        """Return the texts and lists of texts that are said of a group; none if there is no such group."""
        return self._attributes.get(place, {})

    def groups(self, place: str) -> list[str]:
        """Return the names of the groups in a group."""
        start = f"{place}/" if place else ""
        inside = (name.removeprefix(start) for name in self._attributes if name.startswith(start))
        return [name for name in inside if name and "/" not in name]

    def datasets(self, place: str) -> list[str]:
        """Return the places of all arrays under a group."""
        start = f"{place}/" if place else ""
        return [name for name in self._arrays if name.startswith(start)]

    def array(self, place: str) -> Tensor:
        """Return an array; ValueError if there is none."""
        if place not in self._arrays:
            raise ValueError(f"{place[:100]}: expected an array, got none")
        array: Tensor = self._arrays[place]
        return array


def _output(content: bytes) -> bytes:
    """Return what the program makes of a file; ValueError, with what it says, if it fails."""
    command = [sys.executable, "-P", str(PROGRAM), str(Budget.of(len(content)).left)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command,
            input=content,
            capture_output=True,
            timeout=SECONDS + len(content) / 1e8,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError("HDF5: expected a whole file, got one whose reading does not end") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2] or "the library crashed"
        raise ValueError(f"HDF5: expected a whole file, got a damaged one ({said})")
    return done.stdout
