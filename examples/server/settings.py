"""What the service may be told by its environment, and what it allows."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

PREFIX = "FASTLSTM_SERVER_"


@dataclass(frozen=True)
class Settings:
    """Each can be set by a variable of the environment: `max_steps` by FASTLSTM_SERVER_MAX_STEPS.

    Attributes
    ----------
    model : str
        A file that `fastlstm.save` wrote; "" takes a small model with random weights, to try the service.
    max_body : int
        Bytes of a request.
    max_steps : int
        Of one sequence.
    max_streams : int
        Open at once.
    max_batch, max_delay, max_queue
        As `fastlstm.serve.Batcher` takes them.
    """

    model: str = ""
    max_body: int = 4 << 20
    max_steps: int = 10_000
    max_streams: int = 1000
    max_batch: int = 64
    max_delay: float = 0.002
    max_queue: int = 1024

    @classmethod
    def from_environment(cls) -> Settings:
        """Return what the environment says; ValueError names a variable that makes no sense."""
        values = {}
        for field in fields(cls):
            text = os.environ.get(PREFIX + field.name.upper())
            if text is None:
                continue
            kind = type(field.default)
            try:
                values[field.name] = kind(text)
            except ValueError:
                raise ValueError(
                    f"{PREFIX}{field.name.upper()}: expected {kind.__name__}, got {text!r}"
                ) from None
        settings = cls(**values)
        if settings.model and not Path(settings.model).is_file():
            raise ValueError(f"{PREFIX}MODEL: expected a file, got {settings.model!r}")
        return settings
