"""What a deployment may set, by environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

import fastlstm
from fastlstm.model import Model

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
    max_connections: int = 2048
    """Connections that are open at once, streams among them; requests beyond are answered with 503."""
    head_timeout: float = 10.0
    """Seconds in which the head of a request comes: after connecting, or after its first byte."""
    body_timeout: float = 20.0
    """Seconds in which the body of a request comes."""
    stream_timeout: float = 60.0
    """Seconds in which a stream's next frame comes."""
    read_timeout: float = 20.0
    """Seconds in which a client takes some of what it was sent."""
    idle_timeout: float = 5.0
    """Seconds for which a connection is kept between two requests."""
    graceful_timeout: float = 30.0
    """Seconds after SIGTERM in which what was begun may end."""
    host: str = "127.0.0.1"
    """The address that `serve.py` listens on."""
    port: int = 8000
    """The port that `serve.py` listens on; 0 for one that is free."""

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
        """Return the model to serve; TypeError if the file has something else."""
        model = fastlstm.load(self.model) if self.model else fastlstm.LSTM(40, 128, rng=0)
        if not isinstance(model, Model):
            got = type(model).__name__
            raise TypeError(f"{PREFIX}MODEL: expected LSTM, RNN, GRU, SLSTM or Sequential, got {got}")
        return model


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
