"""`make bench-metrics`: a page of /metrics for 10,000 running jobs on 2,000 nodes with 8,000 GPUs.

Rendering is compared with prometheus_client's `generate_latest` of the same values, which are made
into its objects before its clock starts; both pages are parsed and must say the same. A scrape is
what Prometheus waits for: the query, the page, gzip, and the way over loopback. A probe in the
service's own event loop notes the longest time that nothing else got its turn.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from query.catalogue import CATALOGUE
from query.exposition import render
from query.jobcounts import JobCounter
from query.labeltext import LabelTexts
from query.metric import Metric, MetricType
from query.negotiation import TEXT
from query.snapshot import Snapshot, read_snapshot, relations
from query.table import Table
from tests.bench.metricsdata import fill_site
from tests.bench.process import cpu_seconds, resident_bytes
from tests.bench.server import Server, fresh_database, running_server
from tsobs.db import open_database
from tsobs.viewer import EVERYBODY

ACCEPT = {"Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1"}
ACCEPT |= {"Accept-Encoding": "gzip"}
# Enough of them for a 95th percentile that is not the slowest.
SCRAPES = 24


class Round(NamedTuple):
    """Seconds: each scrape one at a time, each of two at once, and the loop's longest wait."""

    alone_s: Sequence[float]
    together_s: Sequence[float]
    held_s: float
    held_busy_s: float


def main() -> int:
    """Prints the figures; always 0, for a figure is no verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000, help="running jobs (default 10000)")
    parser.add_argument("--scrapes", type=int, default=SCRAPES, help=f"a round (default {SCRAPES})")
    parser.add_argument("--rounds", type=int, default=3, help="best of so many (default 3)")
    args = parser.parse_args()
    size = {"jobs": args.jobs, "nodes": args.jobs // 5, "gpus": args.jobs * 4 // 5}
    with running_server() as server, fresh_database(server) as url:
        asyncio.run(fill_site(url, **size, ended=3 * args.jobs))
        snapshot = asyncio.run(_read(url))
        series = _render(snapshot, args.rounds)
        _say(f"{server.title}; {size}, {series:,} series")
        rounds = [_scrape(server, url, args.scrapes) for _ in range(args.rounds)]
        best = min(_p95(each.alone_s) for each in rounds)
        _say(f"scrape p95 {best:.2f} s (at most 1.50)")
        _say(f"two at once p95 {min(_p95(each.together_s) for each in rounds):.2f} s each")
        held_s, busy_s = min((each.held_s, each.held_busy_s) for each in rounds)
        _say(
            f"event loop held for {held_s * 1e3:.0f} ms (at most 50), of which its own thread "
            f"computed {busy_s * 1e3:.0f} ms"
        )
    return 0


async def _read(url: str) -> Snapshot:
    async with open_database(url, role="tsobs_query", size=1) as database:
        return await read_snapshot(database, JobCounter(), EVERYBODY)


def _render(snapshot: Snapshot, rounds: int) -> int:
    """Compares the renderers; the number of series."""
    known = LabelTexts()
    registry = CollectorRegistry()
    registry.register(_Families(relations(snapshot)))
    ours = theirs = first = float("inf")
    page, other = b"", b""
    for number in range(rounds):
        started = time.perf_counter()
        page = b"".join(render(CATALOGUE, relations(snapshot), known, TEXT))
        first = time.perf_counter() - started if number == 0 else first
        started = time.perf_counter()
        page = b"".join(render(CATALOGUE, relations(snapshot), known, TEXT))
        ours = min(ours, time.perf_counter() - started)
        started = time.perf_counter()
        other = generate_latest(registry)
        theirs = min(theirs, time.perf_counter() - started)
    found, expected = _parsed(page), _parsed(other)
    assert found == expected, "the two pages differ"
    n = len(found)
    _say(
        f"rendering {ours:.3f} s ({ours / n * 1e6:.2f} us a series, {first:.3f} s at first), "
        f"generate_latest {theirs:.3f} s ({theirs / n * 1e6:.2f} us): the same values, "
        f"{len(page) / 1e6:.1f} MB"
    )
    _say(f"rendering ratio {theirs / ours:.1f} (at least 8.0)")
    return n


class _Families:
    """The same values as prometheus_client's own objects, made once."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        made = [_family(metric, tables[metric.relation]) for metric in CATALOGUE]
        self._families = [family for family in made if family.samples]

    def collect(self) -> list[GaugeMetricFamily | CounterMetricFamily]:
        return self._families


def _family(metric: Metric, table: Table) -> GaugeMetricFamily | CounterMetricFamily:
    kind = CounterMetricFamily if metric.type is MetricType.COUNTER else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.label_names)
    rows = list(zip(*[table.texts[column] for _, column in metric.labels], strict=True))
    for column, scale, own, _ in metric.sources:
        values = table.numbers[column] * scale
        labels = rows if metric.labels else [()] * table.rows
        for at in np.flatnonzero(~np.isnan(values)):
            family.add_metric([*((own[1],) if own else ()), *labels[at]], float(values[at]))
    return family


def _parsed(page: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(page.decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def _scrape(server: Server, url: str, scrapes: int) -> Round:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "probe.json")
        with _service(url, report) as (process, address):
            _once(address)
            size = _once(address)[1]
            process.send_signal(signal.SIGUSR1)
            time.sleep(0.1)
            before = (cpu_seconds(process.pid), cpu_seconds(server.pid))
            alone = [_once(address)[0] for _ in range(scrapes)]
            used = (cpu_seconds(process.pid) - before[0], cpu_seconds(server.pid) - before[1])
            with ThreadPoolExecutor(2) as threads:
                together = [took for took, _ in threads.map(_once, [address] * scrapes)]
            memory = resident_bytes(process.pid)
        found = json.loads(report.read_text())
    result = Round(alone, together, found["delay_s"], found["busy_s"])
    _say(
        f"  p50 {np.median(alone):.2f} s, p95 {_p95(alone):.2f} s; two at once p95 "
        f"{_p95(together):.2f} s; CPU s a scrape: service {used[0] / scrapes:.2f}, PostgreSQL "
        f"{used[1] / scrapes:.2f}; {size / 1e6:.1f} MB gzip; RSS {memory >> 20} MiB; loop held "
        f"{result.held_s * 1e3:.0f} ms"
    )
    return result


@contextmanager
def _service(url: str, report: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A query process with a probe, and where it listens."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TSOBS_")}
    environ |= {"DATABASE_URL": url, "TSOBS_PORT": "0", "TSOBS_ROLE": "query"}
    command = [sys.executable, "-m", "tests.bench.probedservice", str(report)]
    with subprocess.Popen(
        command, env=environ | {"TSOBS_LOG_LEVEL": "warning"}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, urlsplit(process.stdout.readline().split()[-1]).netloc
        finally:
            process.terminate()
            process.wait(30)


def _once(address: str) -> tuple[float, int]:
    """Seconds from the request to its last byte, and how many those were."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request("GET", "/metrics", headers=ACCEPT)
    response = connection.getresponse()
    body = response.read()
    took_s = time.perf_counter() - started
    connection.close()
    assert response.status == 200
    return took_s, len(body)


def _p95(values_s: Sequence[float]) -> float:
    ordered = sorted(values_s)
    return ordered[min(int(0.95 * len(ordered)), len(ordered) - 1)]


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
