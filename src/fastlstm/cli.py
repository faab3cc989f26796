"""The command `fastlstm`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from .demos import NAMES

INTERRUPTED = 130  # what a shell reports for Ctrl-C
TOLD: dict[str, tuple[type[Exception], ...]] = {
    "convert": (ImportError, OSError, TypeError, ValueError),
    "demo": (ImportError, OSError, ValueError, FloatingPointError),
}
"""What ends a command with a sentence."""
UNREAD = 141  # and for a program whose output nobody reads any more


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastlstm", description="The fastest LSTM on CPUs.")
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(dest="command")
    # What follows the demo's name is for the demo's own parser.
    commands.add_parser("demo", help="an experiment: " + ", ".join(NAMES), add_help=False)
    converting = commands.add_parser("convert", help="a file of another framework becomes one of ours")
    if list(argv[:1]) == ["convert"]:  # whose import the other commands need not wait for
        import_module(".interop.convert", __package__).arguments(converting)
    commands.add_parser("info", help="print what this installation runs on")
    return parser


def _demo(argv: Sequence[str]) -> None:
    """Run the demo that is named first, or `language` if none is."""
    named = bool(argv) and not argv[0].startswith("-")
    name, rest = (argv[0], argv[1:]) if named else (next(iter(NAMES)), argv)
    parser = argparse.ArgumentParser(
        prog=f"fastlstm demo {name}" if named else "fastlstm demo",
        usage=None if named else "fastlstm demo [NAME] [OPTIONS]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if name not in NAMES:
        parser.error(f"expected one of {', '.join(NAMES)}, got {name!r}")
    demo = import_module(f".demos.{name}", __package__)
    parser.description = demo.run.__doc__.splitlines()[0]
    if not named:
        demos = "\n".join(f"  {each:10}{shows}" for each, shows in NAMES.items())
        parser.description = (
            f"demos:\n{demos}\n\n`fastlstm demo NAME --help` tells what one takes. Without a name it is "
            f"{name}, which takes:"
        )
    demo.arguments(parser)
    parser.set_defaults(**vars(demo.Settings()))
    demo.run(demo.Settings(**vars(parser.parse_args(rest))))


def _convert(arguments: argparse.Namespace) -> int:
    status: int = import_module(".interop.convert", __package__).run(arguments)
    return status


def _run(argv: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    parser = _parser(argv)
    arguments, rest = parser.parse_known_args(argv)
    command = arguments.command
    if rest and command != "demo":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        if arguments.version:
            from . import __version__

            print(f"fastlstm {__version__}")
        elif command == "info":
            from .config import show_config

            show_config()
        elif command == "convert":
            return _convert(arguments)
        elif command == "demo":
            _demo(rest)
        else:
            parser.print_help()
    except BrokenPipeError:
        raise
    except TOLD.get(command, ()) as error:
        print(f"fastlstm {command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nfastlstm {command}: stopped", file=sys.stderr)
        return INTERRUPTED
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, or with the program's arguments; return its exit status."""
    try:
        status = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who read has gone, as `head` does: nothing more is written, nor at the interpreter's end.
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())
        return UNREAD
    return status
