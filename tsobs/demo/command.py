"""The `tsobs demo` command."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from tsobs.demo.options import Options

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add_parser", "options_of"]

_DESCRIPTION = """\
Everything on this machine, until Ctrl-C: a database and the service, an agent that reads this
host, as root one small job in a real cgroup, and a simulated cluster with a day of history that
then lives on in real time. What is simulated is in the cluster named `simulated`.

It keeps its data in a folder of its own: a second start goes on from there. Nothing else on this
machine is touched."""

_EPILOG = """\
examples:
  tsobs demo
  tsobs demo --port 0                     on a free port
  tsobs demo --duration 60 --port 18080   ends by itself
  tsobs demo --fresh --nodes 5 --history-hours 2
"""
# Simulated samples older than raw samples are kept would be refused.
_MOST_HOURS = 160
_MOST_NODES = 200
_MOST_SEED = 2**31 - 1


def add_parser(subparsers: Subparsers) -> None:
    """Adds `demo`; it sets `run`, which takes the arguments and returns the exit status."""
    parser = subparsers.add_parser(
        "demo",
        help="everything on this machine, with simulated jobs",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    defaults = Options()
    parser.add_argument(
        "--host", default=defaults.host, help="the address to listen on [%(default)s]"
    )
    parser.add_argument(
        "--port",
        type=_whole(0, 65_535),
        default=defaults.port,
        metavar="PORT",
        help="the port to listen on; 0 takes a free one [%(default)s]",
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="listen beyond this machine although anybody may then do everything",
    )
    parser.add_argument(
        "--duration",
        type=_positive,
        metavar="SECONDS",
        help="end by itself so long after it is ready [until Ctrl-C]",
    )
    _add_simulation(parser)
    parser.add_argument(
        "--no-agent", action="store_true", help="do not read this host, and run no real job"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="begin anew: remove what an earlier demo kept"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where it keeps its data [the folder `demo` in TSOBS_DATA_DIR, "
        "which is ~/.local/state/tsobs, as root /var/lib/tsobs]",
    )
    parser.add_argument(
        "--bin-dir",
        type=Path,
        metavar="DIR",
        help="the programs of a PostgreSQL with TimescaleDB [the host's, else fetched]",
    )
    parser.set_defaults(run=_run)


def _add_simulation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("simulated cluster")
    group.add_argument(
        "--nodes", type=_whole(1, _MOST_NODES), metavar="N", help="how many nodes [20]"
    )
    group.add_argument(
        "--seed",
        type=_whole(0, _MOST_SEED),
        metavar="N",
        help="another seed is another cluster, the same one always the same [1]",
    )
    group.add_argument(
        "--history-hours",
        type=_hours,
        metavar="HOURS",
        help="how much of the past is simulated [24; after a pause 3]",
    )


def options_of(args: argparse.Namespace) -> Options:
    """The options that were given."""
    return Options(
        host=args.host,
        port=args.port,
        insecure=args.insecure,
        duration_s=args.duration,
        nodes=args.nodes,
        seed=args.seed,
        history_hours=args.history_hours,
        agent=not args.no_agent,
        fresh=args.fresh,
        data_dir=args.data_dir,
        bin_dir=args.bin_dir,
    )


def _run(args: argparse.Namespace) -> int:
    # Loaded here: `tsobs demo --help` needs none of it.
    from tsobs.demo.stack import run_demo

    return run_demo(options_of(args))


class _whole:
    """Parses a whole number within bounds."""

    def __init__(self, low: int, high: int) -> None:
        self._low = low
        self._high = high

    def __call__(self, text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = self._low - 1
        if not self._low <= value <= self._high:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {self._low} to {self._high}"
            )
        return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _positive(text: str) -> float:
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def _hours(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= _MOST_HOURS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {_MOST_HOURS}")
    return value
