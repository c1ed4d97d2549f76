"""Remote-write requests made before the clock starts: labels once, then times and values in place.

A stream belongs to a connection and carries its own series in the order of time, as a sender's
shard does; so no receiver has reason to refuse what is out of order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tests.bench.remotewritetemplate import Template

__all__ = ["Load", "Rows", "requests", "rows", "series_labels"]

Ints: TypeAlias = npt.NDArray[np.int64]

BODY_SAMPLES = 2_000
HOST_SERIES = 500
# As long as receivers let a series lag behind the newest sample of all: Prometheus an hour.
SPAN_MS = 45 * 60_000
SCRAPE_MS = 15_000
ZERO_EACH = 5  # every fifth series is always 0, which takes 9 bytes less on the wire
METRICS = (
    "node_cpu_seconds_total", "node_disk_read_bytes_total", "node_disk_written_bytes_total",
    "node_filesystem_avail_bytes", "node_memory_MemAvailable_bytes", "node_load15",
    "node_network_receive_bytes_total", "node_network_transmit_packets_total",
    "container_cpu_usage_seconds_total", "container_memory_working_set_bytes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Load:
    """So many samples of known series, `per_series` (1 or 4) in each TimeSeries of a body, in
    streams of so many bodies; `rounds_before` were sent already."""

    series: int
    per_series: int
    samples: int
    connections: int
    end_ms: int
    rounds_before: int = 0

    @property
    def bodies(self) -> int:
        """Of each connection."""
        return -(-self.samples // (self.connections * BODY_SAMPLES))

    @property
    def sent(self) -> int:
        """Samples in all bodies."""
        return self.bodies * self.connections * BODY_SAMPLES

    @property
    def interval_ms(self) -> int:
        """Between two rounds."""
        return min(SCRAPE_MS, SPAN_MS // (self._rounds + 1))

    @property
    def _rounds(self) -> int:
        return self.rounds_before + -(-self.sent // self.series) + self.per_series

    @property
    def begin_ms(self) -> int:
        """The time of round 0."""
        return self.end_ms - self._rounds * self.interval_ms

    def part(self, connection: int) -> tuple[int, int]:
        """The first series of a connection, and the first that is not its own any more."""
        return (
            connection * self.series // self.connections,
            (connection + 1) * self.series // self.connections,
        )


class Rows(NamedTuple):
    """The samples of one body, column by column."""

    series: Ints
    time_ms: Ints
    values: npt.NDArray[np.float64]


def series_labels(number: int) -> list[tuple[str, str]]:
    """The ten labels of a series, sorted."""
    host, within = divmod(number, HOST_SERIES)
    metric, device = within % len(METRICS), within // len(METRICS)
    return [
        ("__name__", METRICS[metric]),
        ("availability_zone", f"eu-central-1{'abc'[host % 3]}"),
        ("cluster", f"hpc-production-{host // 2_000:02}"),
        ("datacenter", "fra-1"),
        ("device", f"nvme{device}n1"),
        ("environment", "production"),
        ("instance", f"cn{host:05}.cluster.example.org:9100"),
        ("job", "node-exporter"),
        ("mode", ("user", "system", "idle", "iowait")[device % 4]),
        ("rack", f"rack-{host // 40:03}"),
    ]


def requests(load: Load, connection: int) -> Iterator[bytes]:
    """A connection's HTTP requests, in order."""
    first, last = load.part(connection)
    for content in rows(load, connection):
        template = _template(first, last, int(content.series[0]) - first, load.per_series)
        yield template.request(content.time_ms, content.values)
    _template.cache_clear()


def rows(load: Load, connection: int) -> Iterator[Rows]:
    """The samples of a connection's bodies, in the order of the wire."""
    first, last = load.part(connection)
    own, groups = last - first, BODY_SAMPLES // load.per_series
    for body in range(load.bodies):
        position = np.arange(body * groups, (body + 1) * groups)
        series = np.repeat(first + position % own, load.per_series)
        turn = np.repeat(position // own * load.per_series, load.per_series)
        turn += load.rounds_before + np.tile(np.arange(load.per_series), groups)
        # Targets are scraped at moments of their own.
        moment = series // HOST_SERIES * 7919 % load.interval_ms
        time_ms = load.begin_ms + turn * load.interval_ms + moment
        yield Rows(series, time_ms, _values(series, turn))


def _values(series: Ints, turn: Ints) -> npt.NDArray[np.float64]:
    """Counters of whole numbers, gauges of two digits, and zeros."""
    noise = (series * 2_654_435_761 + turn * 40_503) % 1_009
    counter = (series % 1_000) * 1e6 + turn * (series % 97 * 100.0 + 1) + noise
    gauge = np.round(series % 50 + noise / 100.0 + 0.01, 2)
    values = np.where(series % 2 == 0, counter + 1, gauge)
    return np.where(series % ZERO_EACH == 0, 0.0, values)


@lru_cache(maxsize=64)
def _template(first: int, last: int, start: int, per_series: int) -> Template:
    """The body whose first series is the `start`th of the connection."""
    series = [
        first + (start + number) % (last - first) for number in range(BODY_SAMPLES // per_series)
    ]
    labels = [series_labels(number) for number in series]
    return Template(labels, [number % ZERO_EACH == 0 for number in series], per_series)
