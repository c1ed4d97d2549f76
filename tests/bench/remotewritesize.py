"""Bytes a sample on disk: a real node_exporter, recorded, and replayed as many hosts."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import asyncpg
import numpy as np
import numpy.typing as npt
from prometheus_client.parser import text_string_to_metric_families

from tests.bench.remotewritesender import deliver, fill_spool
from tests.bench.remotewritespeed import CONNECTIONS
from tests.bench.remotewritetargets import Target, tsobs, victoria_metrics
from tests.bench.remotewritetemplate import Template
from tests.bench.remotewritetold import Told
from tests.bench.server import Server
from tests.peerprocess import PeerProcess, fetched, metric_sum
from tests.peers import PEERS

__all__ = ["bench_size"]

Labels: TypeAlias = tuple[tuple[str, str], ...]

RECORD_EVERY_S = 1.0
SCRAPE_MS = 15_000
# Old enough that what is put in order once a chunk is closed can be put in order now.
AGO_MS = 26 * 3_600_000
MERGE_WITHIN_S = 300

SIZES = """
select hypertable_size('tsobs_store.sample') as samples,
    pg_total_relation_size('tsobs_store.series') + pg_total_relation_size('tsobs_store.label')
        as series
"""
IN_COLUMNS = "select exists (select from tsobs_store.setting where name = 'sample_storage')"
FORGET = "delete from tsobs_store.sample_compaction"
UNORDERED = "select count(*) from tsobs_store.sample_chunks() where is_unordered"


class Recording(NamedTuple):
    """The series that all scrapes have, and their values by scrape and series."""

    series: list[Labels]
    values: npt.NDArray[np.float64]


def bench_size(server: Server, place: Path, scrapes: int, hosts: int, told: Told) -> None:
    """Disk used by the samples alone, when tsobs and VictoriaMetrics have put them in order."""
    told.doing(f"scraping a node_exporter {scrapes} times")
    recording = _record(scrapes)
    turns = max(2, scrapes - hosts)
    samples = turns * hosts * len(recording.series)
    told.doing(f"making {samples:,} samples of {hosts} hosts")
    streams = (_stream(recording, range(c, hosts, CONNECTIONS), turns) for c in range(CONNECTIONS))
    spool = fill_spool(place / "size", streams)
    told.doing("size: victoria-metrics")
    with victoria_metrics() as target:
        deliver(spool, target.url)
        target.check_stored(samples)
        peer = _victoria_bytes(target)
    told.doing("size: tsobs")
    with tsobs(server) as target:
        deliver(spool, target.url)
        target.check_stored(samples)
        ours = asyncio.run(_our_bytes(target.database_url))
    spool.path.unlink()
    each = {"tsobs": ours[0] / samples, "victoria-metrics": peer[0] / samples}
    told.say(
        f"bytes a sample, {samples:,} samples of {len(recording.series):,} node_exporter series x "
        f"{hosts} hosts: tsobs {each['tsobs']:.2f}, victoria-metrics "
        f"{each['victoria-metrics']:.2f}; ratio {each['tsobs'] / each['victoria-metrics']:.2f} "
        f"(at most 1.50 in columns)"
    )
    told.say(f"  beside them series and labels: {ours[1] >> 10:,} KiB, {peer[1] >> 10:,} KiB")
    told.keep(part="size", samples=samples, bytes_each=each, series_bytes=[ours[1], peer[1]])


def _record(scrapes: int) -> Recording:
    words = ["--web.listen-address=127.0.0.1:{port}"]
    pages: list[dict[Labels, float]] = []
    with tempfile.TemporaryDirectory(prefix="tsobs-bench-") as folder:
        program = PEERS["node-exporter"].path()
        with PeerProcess(program, words, Path(folder)) as exporter:
            due = time.monotonic()
            for _ in range(scrapes):
                pages.append(dict(_parsed(fetched(f"{exporter.url}/metrics"))))
                due += RECORD_EVERY_S if scrapes > 10 else 0.1
                time.sleep(max(0.0, due - time.monotonic()))
    series = sorted(set.intersection(*(set(page) for page in pages)))
    return Recording(series, np.array([[page[labels] for labels in series] for page in pages]))


def _parsed(page: bytes) -> Iterator[tuple[Labels, float]]:
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            yield tuple(sorted({**sample.labels, "__name__": sample.name}.items())), sample.value


def _stream(recording: Recording, hosts: range, turns: int) -> Iterator[bytes]:
    """The scrapes of some hosts in order; each host is in a part of the record of its own."""
    begin_ms = int(time.time() * 1000) - AGO_MS
    templates = {host: _of_host(recording.series, host) for host in hosts}
    for turn in range(turns):
        for host, template in templates.items():
            values = recording.values[(turn + host) % len(recording.values)]
            moment = begin_ms + turn * SCRAPE_MS + host * 7919 % SCRAPE_MS
            yield template.request(np.full(len(values), moment), values)


def _of_host(series: list[Labels], host: int) -> Template:
    own = {"instance": f"cn{host:05}.cluster.example.org:9100", "job": "node"}
    named = [sorted({**dict(labels), **own}.items()) for labels in series]
    return Template(named, [False] * len(named), 1)


def _victoria_bytes(target: Target) -> tuple[int, int]:
    """(samples, index) when all is on disk and merged to one part."""
    fetched(f"{target.url}/internal/force_flush")
    _wait_for_none(target.url, r"vm_rows\{type=\"(storage|indexdb)/inmemory\"\}")
    fetched(f"{target.url}/internal/force_merge")
    _wait_for_none(target.url, r"vm_active_(force_)?merges\S*")
    data = target.folder / "data"
    return _disk_bytes(data / "data"), _disk_bytes(data / "indexdb")


def _wait_for_none(url: str, metric: str) -> None:
    deadline = time.monotonic() + MERGE_WITHIN_S
    while True:
        # Its metrics may be a second old, and a merge takes a moment to begin.
        time.sleep(1.5)
        if metric_sum(fetched(f"{url}/metrics"), metric) == 0:
            return
        assert time.monotonic() < deadline, f"{metric} never came to 0"


def _disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def _compact(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """What the database's own job leaves of closed chunks in the end."""
    deadline = time.monotonic() + MERGE_WITHIN_S
    while await connection.fetchval(UNORDERED):
        assert time.monotonic() < deadline, "chunks were not put in order"
        # It may have rewritten a chunk amid the replay, and would do so again a day later.
        await connection.execute(FORGET)
        await connection.execute("call tsobs_store.compact_samples()")
        await asyncio.sleep(0.2)


async def _our_bytes(url: str) -> tuple[int, int]:
    """(samples with their indexes, series and labels) after the database's own compaction."""
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval(IN_COLUMNS):
            await _compact(connection)
        row = await connection.fetchrow(SIZES)
        assert row is not None
        return row["samples"], row["series"]
    finally:
        await connection.close()
