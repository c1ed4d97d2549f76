"""`python -m tests.bench.schema`: the measurements behind chunk intervals, indexes and fillfactors.

Every figure is the best of some rounds, taken in turn, on a durable server of its own
(TSOBS_TEST_PG_BIN, else the embedded one). The CPU is that of the server's processes, and says
more than the rate does on a machine that others use. sql/README.md quotes the result.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.bench.schemacopy import INTERVALS, READS, VARIANTS, Copied, Variant, copy_variant
from tests.bench.schemadata import Shape
from tests.bench.schemaquery import Read, read_variant
from tests.bench.schemaupdate import Updated, update_totals
from tests.bench.server import Server, fresh_database, running_server

JOBS = 40_000  # 5,000 nodes with 8 jobs each
ROWS_A_DAY = JOBS * 86_400 // 15
# Two days, in which 5,000 jobs send often enough that chunks of an hour get 20,000 rows.
TWO_DAYS = Shape(5_000, 192, 900.0, 1_700_006_400.0)
FILLFACTORS = (100, 90, 80, 60)
FLUSH_ROWS = (1_333, 10_000)  # half a second of 40,000 jobs, and the largest flush


def main() -> int:
    """Prints the tables; always 0, for a figure is no verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="best of so many (default 3)")
    parser.add_argument("--ticks", type=int, default=12, help="rows a job in COPY (default 12)")
    parser.add_argument("--only", choices=("copy", "chunks", "reads", "updates"), action="append")
    args = parser.parse_args()
    wanted = args.only or ["copy", "chunks", "reads", "updates"]
    one_chunk = Shape(JOBS, args.ticks, 15.0, TWO_DAYS.start_s)
    with running_server() as server, fresh_database(server) as url:
        _say(f"{server.title}; best of {args.rounds}")
        if "copy" in wanted:
            _say(f"\nbinary COPY of {one_chunk.rows:,} rows into one chunk, {JOBS:,} jobs in turn")
            _copies(server, url, VARIANTS, one_chunk, args.rounds)
        if "chunks" in wanted:
            _say(f"\nbinary COPY of {TWO_DAYS.rows:,} rows over two days")
            _copies(server, url, INTERVALS, TWO_DAYS, args.rounds)
        if "reads" in wanted:
            _reads(url, args.rounds)
        if "updates" in wanted:
            _updates(server, url, args.rounds)
    return 0


def _copies(
    server: Server, url: str, variants: Sequence[Variant], shape: Shape, rounds: int
) -> None:
    found: dict[str, list[Copied]] = {variant.title: [] for variant in variants}
    for _ in range(rounds):
        for variant in variants:
            found[variant.title].append(asyncio.run(copy_variant(url, server.pid, variant, shape)))
    _say(f"{'':34} rows/s  CPU µs/row  heap B/row  index B/row  index/day  chunks")
    for title, results in found.items():
        size = results[0]
        _say(
            f"{title:34}{_best(results, 'rows_per_s', max):7,.0f}{_best(results, 'cpu_us'):12.2f}"
            f"{size.heap_bytes:12.0f}{size.index_bytes:13.1f}"
            f"{size.index_bytes * ROWS_A_DAY / 1e9:8.1f} GB{size.chunks:8}"
        )


def _reads(url: str, rounds: int) -> None:
    _say("\nreading seven days of chunks, milliseconds")
    _say(f"{'':34}chunks  one job's 24 h: plan    run  all jobs' minute  drop a day's")
    for variant in READS:
        results: list[Read] = [asyncio.run(read_variant(url, variant)) for _ in range(rounds)]
        _say(
            f"{variant.title:34}{results[0].chunks:6}{_best(results, 'one_job_plan'):22.2f}"
            f"{_best(results, 'one_job_run'):7.2f}{_best(results, 'minute_run'):18.2f}"
            f"{_best(results, 'drop'):14.1f}"
        )


def _updates(server: Server, url: str, rounds: int) -> None:
    _say(f"\nadding flushes to the totals of {JOBS:,} rows of job_node")
    _say(f"{'':34}HOT %  CPU µs/row  WAL B/row  table B/row")
    for flush_rows in FLUSH_ROWS:
        for fillfactor in FILLFACTORS:
            results: list[Updated] = [
                asyncio.run(
                    update_totals(url, server.pid, fillfactor=fillfactor, flush_rows=flush_rows)
                )
                for _ in range(rounds)
            ]
            title = f"flushes of {flush_rows:,}, fillfactor {fillfactor}"
            _say(
                f"{title:34}{_best(results, 'hot_ratio', max) * 100:6.2f}"
                f"{_best(results, 'cpu_us'):11.1f}{_best(results, 'wal_bytes'):11.0f}"
                f"{_best(results, 'row_bytes'):13.0f}"
            )


def _best(
    results: Iterable[Any], name: str, pick: Callable[[Iterable[float]], float] = min
) -> float:
    return pick(getattr(result, name) for result in results)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
