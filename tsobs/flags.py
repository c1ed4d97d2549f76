"""Settings as command-line flags, made from the declared table."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from tsobs.errors import SetupError
from tsobs.settings import Loaded, Setting, Settings, declared, load

__all__ = ["add_setting_flags", "load_settings", "settings_with_database"]

_PREFIX = "setting_"


def add_setting_flags(parser: argparse.ArgumentParser, names: Sequence[str] | None = None) -> None:
    """Adds `--config` and a flag for each setting in `names`, or for every one."""
    group = parser.add_argument_group(
        "settings",
        "Each is also a variable and a key of the settings file (docs/configuration.md).",
    )
    group.add_argument("--config", metavar="FILE", type=Path, help="settings file in TOML")
    for setting in declared():
        if names is None or setting.name in names:
            _add(group, setting)


def _add(group: argparse._ArgumentGroup, setting: Setting) -> None:
    default = "not set" if setting.default is None else str(setting.default).lower()
    help_text = f"{setting.help} [{setting.variable}; {default}]".replace("%", "%%")
    dest = _PREFIX + setting.name
    # Only what was given must be there, or a default would beat a variable.
    if isinstance(setting.default, bool):
        group.add_argument(
            setting.flag,
            dest=dest,
            action=argparse.BooleanOptionalAction,
            default=argparse.SUPPRESS,
            help=help_text,
        )
    else:
        group.add_argument(
            setting.flag,
            dest=dest,
            metavar=_metavar(setting.kind.name),
            default=argparse.SUPPRESS,
            help=help_text,
        )


def _metavar(kind: str) -> str:
    return kind if "|" in kind else kind.upper()


def load_settings(args: argparse.Namespace) -> Loaded:
    """The settings of a command whose parser has the flags; raises SetupError."""
    given = {
        name.removeprefix(_PREFIX): value
        for name, value in vars(args).items()
        if name.startswith(_PREFIX)
    }
    return load(given, os.environ, getattr(args, "config", None))


def settings_with_database(args: argparse.Namespace) -> Settings:
    """The settings with a database: the one given, else the embedded one if it runs."""
    settings = load_settings(args).settings
    if settings.database_url is not None:
        return settings
    from tsobs.embedded import Cluster

    cluster = Cluster()
    if not cluster.status().running:
        raise SetupError(
            "there is no database: set DATABASE_URL, or start the embedded one (tsobs db start)"
        )
    return dataclasses.replace(settings, database_url=cluster.url())
