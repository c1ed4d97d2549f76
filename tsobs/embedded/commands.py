"""The `tsobs db` commands."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tsobs.embedded.cluster import Cluster
from tsobs.output import complain, say

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["NOT_RUNNING", "add_parser"]

NOT_RUNNING = 3  # what `status` exits with, as service managers expect it
DESCRIPTION = """\
A private PostgreSQL with TimescaleDB, for trying tsobs out, for small sites and for tests. It
needs no Docker, no root and no change to the system: a PostgreSQL with TimescaleDB that the host
has is used, else both are fetched from the host's own package archive into a cache folder.
It listens on 127.0.0.1 alone, with a password of its own."""


def add_parser(subparsers: Subparsers) -> None:
    """Add `db` and its commands; each sets `run`, which takes the arguments and returns the exit
    status.
    """
    formatter = argparse.RawDescriptionHelpFormatter
    db = subparsers.add_parser(
        "db",
        help="the embedded database: start, stop, status, url, psql",
        description=DESCRIPTION,
        formatter_class=formatter,
    )
    commands = db.add_subparsers(dest="db_command", required=True, metavar="COMMAND")
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where the data are (env: TSOBS_DATA_DIR; default: ~/.local/state/tsobs, "
        "as root /var/lib/tsobs)",
    )
    place.add_argument(
        "--bin-dir",
        type=Path,
        metavar="DIR",
        help="the folder with the programs of a PostgreSQL that has TimescaleDB "
        "(default: the host's, else fetched)",
    )
    for name, run, text in (
        ("start", _start, "start it; fetches and makes what is not there yet"),
        ("stop", _stop, "stop it; open connections are ended"),
        ("status", _status, f"say whether it runs; exit status 0, or {NOT_RUNNING} when not"),
        ("url", _url, "print its DATABASE_URL, password included"),
        ("psql", _psql, "open psql on it; what follows goes to psql: tsobs db psql -- -c '\\dx'"),
    ):
        command = commands.add_parser(name, parents=[place], help=text, description=text)
        command.set_defaults(run=run)
        if name == "psql":
            command.add_argument("psql_args", nargs="*", metavar="ARG", help="for psql itself")


def _cluster(args: argparse.Namespace) -> Cluster:
    return Cluster(args.data_dir, args.bin_dir, progress=complain)


def _start(args: argparse.Namespace) -> int:
    cluster = _cluster(args)
    cluster.start()
    status = cluster.status()
    say(f"{cluster.server} runs on 127.0.0.1:{status.port} (process {status.pid})")
    say(f"data: {cluster.folder}")
    say("next: tsobs db psql, or DATABASE_URL=$(tsobs db url)")
    return 0


def _stop(args: argparse.Namespace) -> int:
    say("stopped" if _cluster(args).stop() else "it was not running")
    return 0


def _status(args: argparse.Namespace) -> int:
    cluster = _cluster(args)
    status = cluster.status()
    if not status.running:
        say(f"not running (data: {cluster.folder})")
        return NOT_RUNNING
    say(f"running on 127.0.0.1:{status.port} (process {status.pid}, data: {cluster.folder})")
    return 0


def _url(args: argparse.Namespace) -> int:
    cluster = _cluster(args)
    say(cluster.url())
    if not cluster.status().running:
        complain("(it is not running: tsobs db start)")
    return 0


def _psql(args: argparse.Namespace) -> int:
    _cluster(args).psql(args.psql_args)
