"""The command `fastlstm`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from .demos import NAMES

INTERRUPTED = 130  # what a shell reports for Ctrl-C


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastlstm", description="The fastest LSTM on CPUs.")
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(dest="command")
    # What follows the demo's name is for the demo's own parser.
    commands.add_parser("demo", help="an experiment: " + ", ".join(NAMES), add_help=False)
    commands.add_parser("info", help="print what this installation runs on")
    return parser


def _demo(argv: Sequence[str]) -> None:
    """Run the demo that is named first, or `language` if none is."""
    name, rest = (argv[0], argv[1:]) if argv and not argv[0].startswith("-") else ("language", argv)
    parser = argparse.ArgumentParser(
        prog=f"fastlstm demo {name}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="demos:\n" + "\n".join(f"  {name:10}{shows}" for name, shows in NAMES.items()),
    )
    if name not in NAMES:
        parser.error(f"expected one of {', '.join(NAMES)}, got {name!r}")
    demo = import_module(f".demos.{name}", __package__)
    parser.description = demo.run.__doc__.splitlines()[0]
    demo.arguments(parser)
    parser.set_defaults(**vars(demo.Settings()))
    demo.run(demo.Settings(**vars(parser.parse_args(rest))))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, or with the program's arguments; return its exit status."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command != "demo":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if arguments.version:
        from . import __version__

        print(f"fastlstm {__version__}")
    elif arguments.command == "info":
        from .config import show_config

        show_config()
    elif arguments.command == "demo":
        try:
            _demo(rest)
        except (ImportError, OSError, UnicodeDecodeError, ValueError, FloatingPointError) as error:
            print(f"fastlstm demo: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("\nfastlstm demo: stopped", file=sys.stderr)
            return INTERRUPTED
    else:
        parser.print_help()
    return 0
