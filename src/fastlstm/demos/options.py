"""What the demos' command lines share."""

from __future__ import annotations

import argparse
from typing import Any

from ..model.quantized import quantize
from ..model.sequential import Sequential


def positive(text: str) -> int:
    """Return an integer of at least 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text}")
    return number


def above_zero(text: str) -> float:
    """Return a number above 0, for argparse."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return number


def share(text: str) -> float:
    """Return a number in [0, 1), for argparse."""
    number = float(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"expected a number in [0, 1), got {text}")
    return number


positive.__name__ = "integer"  # as argparse calls them in its own sentences
above_zero.__name__ = share.__name__ = "number"


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Add the option of fewer bits: what `to_learn` and `to_use` are told."""
    parser.add_argument(
        "--precision",
        choices=["int8", "int4", "bfloat16"],
        help="learn in bfloat16; or round what was learned to int8 or int4, and go on with that",
    )


def to_learn(model: Sequential, precision: str | None) -> Sequential:
    """Return a model of floats as one that learns in that precision: itself but in bfloat16."""
    return quantize(model, precision) if precision == "bfloat16" else model


def to_use(model: Sequential, precision: str | None) -> Sequential:
    """Return a model that has learned in that precision: itself but in those in which nothing learns."""
    return quantize(model, precision) if precision in ("int8", "int4") else model


def world() -> Any:
    """Return MPI's communicator of all ranks; ImportError names the extra."""
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError("--mpi needs the extra mpi: pip install 'fastlstm[mpi]'") from error
    return MPI.COMM_WORLD
