"""The `tsobs` command: finds the subcommand, runs it, and turns errors into one message each."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from tsobs import __version__
from tsobs.errors import TsobsError
from tsobs.output import complain

__all__ = ["main"]

_EPILOG = """\
examples:
  tsobs demo                                   everything on this machine, with simulated jobs
  tsobs db start && tsobs serve --migrate      the service on a database of its own
  DATABASE_URL=postgresql://tsobs:secret@db/tsobs tsobs serve --migrate
  tsobs token create --name agents --scope agent
  tsobs settings                               what is in force, and where it came from

`tsobs COMMAND --help` tells more.
"""


class Command(NamedTuple):
    """One subcommand: where its `add_parser(commands)` lives, loaded only when it is called."""

    name: str
    help: str
    module: str
    function: str = "add_parser"


_COMMANDS = (
    Command("demo", "everything on this machine, with simulated jobs", "tsobs.demo.command"),
    Command("serve", "run the service until Ctrl-C", "tsobs.commands", "add_serve"),
    Command("migrate", "bring the schema to this version", "tsobs.commands", "add_migrate"),
    Command("maintain", "drop what is past its retention", "tsobs.commands", "add_maintain"),
    Command("token", "make, list and revoke access tokens", "tsobs.tokencommands"),
    Command("settings", "print the settings in force", "tsobs.commands", "add_settings"),
    Command("db", "the embedded database: start, stop, status, url", "tsobs.embedded.commands"),
    Command("version", "print the version", "tsobs.commands", "add_version"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; 0 done, 1 failed with a message, 2 wrong usage, 130 interrupted."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parser(given).parse_args(given)
        return int(args.run(args))
    except TsobsError as error:
        complain(f"tsobs: {error.message}")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; the flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tsobs",
        description="What every job on a cluster used, and why it ended.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tsobs {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        # The others need only their line of help, and loading them all would take a second.
        if given[:1] == [command.name]:
            getattr(importlib.import_module(command.module), command.function)(commands)
        else:
            commands.add_parser(command.name, help=command.help)
    return parser
