"""Bodies and frames for examples/server: numbers for the model, or a refusal with its status."""

from __future__ import annotations

import io
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "server"))

from bodies import JSON, NPY, RAW, Inputs, read_frame, read_sequence
from starlette.exceptions import HTTPException

from . import bounds, json_values

INPUTS = (Inputs(3), Inputs(1, indices=10))
WAYS = [(inputs, kind) for inputs in INPUTS for kind in (JSON, RAW, NPY, "frame of bytes", "frame of text")]
"""What a first byte chooses."""

MAX_STEPS = 100
ANY_BYTES = True


def seeds() -> Iterator[bytes]:
    """Yield a body or frame for each way in."""
    for way, (inputs, kind) in enumerate(WAYS):
        steps = np.zeros((4, *inputs.step_shape()), inputs.dtype)
        file = io.BytesIO()
        np.save(file, steps)
        bodies = {
            JSON: json.dumps({"x": steps.tolist()}).encode(),
            RAW: steps.tobytes(),
            NPY: file.getvalue(),
            "frame of bytes": steps[0].tobytes(),
            "frame of text": json.dumps(steps[0].tolist()).encode(),
        }
        yield bytes([way]) + bodies[kind]


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return another document; ValueError where it is none."""
    return content[:1] + json.dumps(json_values.mutated(json.loads(content[1:]), rng)).encode()


def run(content: bytes) -> None:
    """Read a body or a frame as the service does."""
    inputs, kind = WAYS[content[0] % len(WAYS)] if content else WAYS[0]
    body = content[1:]
    try:
        with bounds.in_proportion(content):
            if kind == "frame of bytes":
                array = read_frame(body, inputs)
            elif kind == "frame of text":
                array = read_frame(body.decode(errors="replace"), inputs)
            else:
                array = read_sequence(kind, body, inputs, MAX_STEPS)
    except HTTPException as refusal:
        assert refusal.status_code in (400, 413, 422)
        assert refusal.detail
        return
    assert array.dtype == (np.int64 if inputs.indices else np.float32)
    assert array.size <= MAX_STEPS * inputs.size
    assert array.nbytes <= 16 * len(content) + 64
