"""What a deployment may set, by environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

import fastlstm
from fastlstm.saving import Model

PREFIX = "FASTLSTM_SERVER_"


@dataclass(frozen=True)
class Settings:
    """Each field is read from the variable of its name in capitals, after FASTLSTM_SERVER_."""

    model: str = ""
    """A file that `fastlstm.save` wrote; if empty, a small model with weights drawn at random."""
    max_body: int = 1 << 20
    """Bytes of a request's body, and of a frame."""
    max_steps: int = 4096
    """Steps of a sequence."""
    max_streams: int = 1024
    """Streams that are open at once."""
    max_queue: int = 1024
    """Sequences that wait."""
    max_batch: int = 64
    """Sequences that run together."""
    max_delay: float = 0.002
    """Seconds that the oldest sequence waits for others."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Return the settings of an environment; ValueError for a name or a number that is none."""
        given = {name: text for name, text in environment.items() if name.startswith(PREFIX)}
        values: dict[str, str | float] = {}
        for field in fields(cls):
            name = PREFIX + field.name.upper()
            text = given.pop(name, None)
            if text is not None:
                values[field.name] = as_type(type(field.default), name, text)
        if given:
            raise ValueError(f"{', '.join(given)}: expected {PREFIX} and one of the settings' names")
        return cls(**values)

    def load_model(self) -> Model:
        """Return the model to serve."""
        return fastlstm.load(self.model) if self.model else fastlstm.LSTM(40, 128, rng=0)


def as_type(kind: type, name: str, text: str) -> str | float:
    """Return what a variable says: a string, or a number of at least 0."""
    if kind is str:
        return text
    try:
        value = kind(text)
    except ValueError:
        value = -1
    if not value >= 0:
        raise ValueError(f"{name}: expected a number of at least 0, got {text!r}")
    return value
