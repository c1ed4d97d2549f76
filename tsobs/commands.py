"""`tsobs serve|migrate|maintain|settings|version`."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from tsobs import __version__
from tsobs.flags import add_setting_flags, load_settings, settings_with_database
from tsobs.output import complain, say

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add_maintain", "add_migrate", "add_serve", "add_settings", "add_version"]

_SERVE = """\
Runs the service until Ctrl-C or SIGTERM; requests in progress may finish. It listens on this
machine only unless told otherwise, and then needs tokens (tsobs token create)."""

_SERVE_EPILOG = """\
examples:
  tsobs serve --migrate
  tsobs serve --host 0.0.0.0 --workers 4
  tsobs serve --role query --read-database-url postgresql://tsobs@replica/tsobs
  tsobs serve --config /etc/tsobs.toml
"""


def _add(commands: Commands, name: str, text: str, epilog: str = "") -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        description=text,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_serve(commands: Commands) -> None:
    """Adds `tsobs serve`."""
    parser = _add(commands, "serve", _SERVE, _SERVE_EPILOG)
    add_setting_flags(parser)
    parser.set_defaults(run=_serve)


def _serve(args: argparse.Namespace) -> int:
    from tsobs.log import set_up_logging
    from tsobs.serve import serve

    settings = settings_with_database(args)
    set_up_logging(settings.log_level, settings.log_format)
    return serve(settings, ready=lambda url: say(f"tsobs is ready at {url}"))


def add_migrate(commands: Commands) -> None:
    """Adds `tsobs migrate`."""
    parser = _add(
        commands,
        "migrate",
        "Brings the database's schema to this version. Safe to run again, and by several at once.",
    )
    add_setting_flags(parser, ["database_url"])
    parser.set_defaults(run=_migrate)


def _migrate(args: argparse.Namespace) -> int:
    from tsobs.migrate import migrate

    applied = asyncio.run(migrate(settings_with_database(args).database_url or ""))
    for name in applied:
        say(name)
    complain(f"{len(applied)} applied" if applied else "nothing to do: the schema is up to date")
    return 0


def add_maintain(commands: Commands) -> None:
    """Adds `tsobs maintain`."""
    parser = _add(
        commands,
        "maintain",
        "Does once what a running service does every few minutes: ends jobs that no agent sees\n"
        "any more, and drops samples past their retention, on a server without policies of its\n"
        "own. For cron or a systemd timer.",
    )
    parser.add_argument("--once", action="store_true", required=True, help="do it and end")
    add_setting_flags(parser, ["database_url"])
    parser.set_defaults(run=_maintain)


def _maintain(args: argparse.Namespace) -> int:
    from tsobs.lostjobs import lose_jobs_once
    from tsobs.retention import maintain_once

    url = settings_with_database(args).database_url or ""
    lost = asyncio.run(lose_jobs_once(url))
    complain("another process looks for lost jobs" if lost is None else f"{lost} jobs lost")
    dropped = asyncio.run(maintain_once(url))
    complain("another process is at it" if dropped is None else f"{dropped} chunks dropped")
    return 0


def add_settings(commands: Commands) -> None:
    """Adds `tsobs settings`."""
    parser = _add(
        commands,
        "settings",
        "Prints the settings in force, each with its origin, as a file that --config reads.\n"
        "Passwords are masked.",
    )
    parser.add_argument(
        "--markdown", action="store_true", help="print the table of docs/configuration.md instead"
    )
    add_setting_flags(parser)
    parser.set_defaults(run=_settings)


def _settings(args: argparse.Namespace) -> int:
    from tsobs.settingsdoc import render_markdown, render_values

    text = render_markdown() if args.markdown else render_values(load_settings(args))
    say(text.rstrip("\n"))
    return 0


def add_version(commands: Commands) -> None:
    """Adds `tsobs version`."""
    parser = _add(commands, "version", "Prints the version.")
    parser.set_defaults(run=_version)


def _version(args: argparse.Namespace) -> int:
    say(f"tsobs {__version__}")
    return 0
