"""The command `fastlstm`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

INTERRUPTED = 130  # what a shell reports for Ctrl-C


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text}")
    return number


_positive.__name__ = "integer"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastlstm", description="The fastest LSTM on CPUs.")
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(dest="command")
    demo = commands.add_parser(
        "demo", help="train a character model on real text and let it write", description=_demo.__doc__
    )
    demo.add_argument("--steps", type=_positive, default=700, help="training steps (default: %(default)s)")
    demo.add_argument(
        "--hidden", type=_positive, default=256, help="units of the LSTM (default: %(default)s)"
    )
    demo.add_argument(
        "--text", type=Path, metavar="FILE", help="UTF-8 text to learn (default: Python's manual)"
    )
    demo.add_argument("--seed", type=int, default=0, help="for weights and writing (default: %(default)s)")
    commands.add_parser("info", help="print what this installation runs on")
    return parser


def _demo(arguments: argparse.Namespace) -> None:
    """Train a character model, print its held-out bits per character beside two baselines, and write."""
    from .demos.language import Settings, run

    run(Settings(arguments.steps, arguments.hidden, arguments.text, arguments.seed))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, or with the program's arguments; return its exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.version:
        from . import __version__

        print(f"fastlstm {__version__}")
    elif arguments.command == "info":
        from .config import show_config

        show_config()
    elif arguments.command == "demo":
        try:
            _demo(arguments)
        except (OSError, UnicodeDecodeError, ValueError, FloatingPointError) as error:
            print(f"fastlstm demo: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("\nfastlstm demo: stopped", file=sys.stderr)
            return INTERRUPTED
    else:
        parser.print_help()
    return 0
