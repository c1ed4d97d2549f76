"""`make bench-remote-write`: tsobs beside VictoriaMetrics, Prometheus' receiver and raw COPY.

The same requests, made before the clock starts, over 8 connections to each on this machine in one
run; every sample is counted in the database (or by the peer) afterwards. All are durable as they
come: tsobs has committed what it answered. The figures are for people to judge.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.bench.remotewritereads import bench_matchers, bench_reads
from tests.bench.remotewriteseries import bench_series
from tests.bench.remotewritesize import bench_size
from tests.bench.remotewritespeed import CONNECTIONS, Plan, bench_speed
from tests.bench.remotewritetold import Told
from tests.bench.server import running_server

PARTS = ("speed", "series", "reads", "matchers", "size")
WHO = ("tsobs", "victoria-metrics", "prometheus", "copy")


def main() -> int:
    """Prints the figures; always 0, for a figure is no verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="of %(default)s")
    parser.add_argument("--who", default=",".join(WHO), help="of %(default)s")
    parser.add_argument("--series", default="10000,60000", help="known series (%(default)s)")
    parser.add_argument("--samples", type=int, default=6_000_000, help="a delivery (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="best of so many (%(default)s)")
    parser.add_argument("--new", type=int, default=1_000_000, help="new series (%(default)s)")
    parser.add_argument("--read", type=int, default=10_000_000, help="samples before reading")
    parser.add_argument("--dead", type=int, default=3_000_000, help="dead series for matchers")
    parser.add_argument("--live", type=int, default=100_000, help="live series for matchers")
    parser.add_argument("--scrapes", type=int, default=240, help="of a node_exporter, recorded")
    parser.add_argument("--hosts", type=int, default=40, help="that the record is replayed as")
    parser.add_argument(
        "--pg-bin", help="the server's programs (else TSOBS_TEST_PG_BIN, else ours)"
    )
    parser.add_argument("--set", action="append", default=[], help="a setting of tsobs, name=value")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    args = parser.parse_args()
    if args.pg_bin:
        os.environ["TSOBS_TEST_PG_BIN"] = args.pg_bin
    told = Told(args.json)
    parts = args.parts.split(",")
    with running_server() as server, tempfile.TemporaryDirectory(prefix="tsobs-bench-") as place:
        told.say(f"{server.title}; {CONNECTIONS} connections, {os.cpu_count()} CPUs")
        who, settings = args.who.split(","), dict(pair.split("=", 1) for pair in args.set)
        if "speed" in parts:
            for series in map(int, args.series.split(",")):
                plan = Plan(series, args.samples, args.rounds, who, settings)
                bench_speed(server, Path(place), plan, told)
        if "series" in parts:
            bench_series(server, Path(place), Plan(args.new, 0, args.rounds, who, settings), told)
        if "reads" in parts:
            bench_reads(server, Path(place), args.read, told)
        if "matchers" in parts:
            bench_matchers(server, args.live, args.dead, told)
        if "size" in parts:
            bench_size(server, Path(place), args.scrapes, args.hosts, told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
