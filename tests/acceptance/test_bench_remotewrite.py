"""Acceptance 3 and 4 of remote-write: the benchmark measures all it must, and in full form its
figures are within the bounds."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.bench.remotewritebodies import Load, requests, rows, series_labels
from tests.bench.remotewritesender import deliver, fill_spool
from tests.bench.remotewritetargets import victoria_metrics
from tests.peerprocess import fetched

SHORT = (
    "--series=1000", "--samples=40000", "--rounds=1", "--new=5000", "--read=40000", "--live=500",
    "--dead=5000", "--scrapes=4", "--hosts=3",
)  # fmt: skip


def measured(path: Path, *arguments: str) -> list[dict[str, Any]]:
    """The figures of a run."""
    words = [sys.executable, "-m", "tests.bench.remotewrite", f"--json={path}", *arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout)
    assert done.returncode == 0, done.stderr[-3000:]
    figures: list[dict[str, Any]] = json.loads(path.read_text())
    return figures


def of_part(figures: list[dict[str, Any]], part: str) -> list[dict[str, Any]]:
    return [figure for figure in figures if figure["part"] == part]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("per_series", [1, 4])
def test_bodies_carry_what_their_rows_say(tmp_path: Path, per_series: int) -> None:
    """VictoriaMetrics reads the benchmark's requests as the rows that COPY is given."""
    load = Load(300, per_series, 20_000, 2, int(time.time() * 1000) - 60_000)
    spool = fill_spool(tmp_path / "spool", (requests(load, c) for c in range(load.connections)))
    sent: dict[int, dict[int, float]] = {}
    for connection in range(load.connections):
        for part in rows(load, connection):
            for series, time_ms, value in zip(*(column.tolist() for column in part), strict=True):
                sent.setdefault(series, {})[time_ms] = value
    with victoria_metrics() as target:
        deliver(spool, target.url)
        target.check_stored(load.sent)
        fetched(f"{target.url}/internal/force_flush")
        lines = fetched(f"{target.url}/api/v1/export?match[]={{job!=''}}").splitlines()
    found = {}
    for line in map(json.loads, lines):
        samples = zip(line["timestamps"], line["values"], strict=True)
        found[frozenset(line["metric"].items())] = dict(samples)
    assert found == {frozenset(series_labels(n)): samples for n, samples in sent.items()}


@pytest.mark.timeout(300)
def test_bench_remote_write(tmp_path: Path) -> None:
    """Everybody is measured with both bodies, counted afterwards; and each part has its figures."""
    figures = measured(tmp_path / "figures.json", *SHORT)
    best = of_part(figures, "best")
    assert [one["bodies"] for one in best] == ["2000x1", "500x4"]
    for one in best:
        rates = {name: rate for name, rate in one.items() if isinstance(rate, float)}
        assert rates.keys() == {
            "tsobs", "victoria-metrics", "prometheus", "COPY by 1", "COPY by 2",
        }  # fmt: skip
        assert all(rate > 0 for rate in rates.values())
    ours = next(one for one in of_part(figures, "speed") if one["who"] == "tsobs")
    assert ours["service_cpu_s"] > 0
    assert ours["postgresql_cpu_s"] > 0
    assert {one["who"] for one in of_part(figures, "series")} >= {"tsobs", "victoria-metrics"}
    assert of_part(figures, "reads")[0]["points"] > 0
    found = {one["matchers"]: one["series"] for one in of_part(figures, "matchers")}
    assert found['job="node-exporter"'] == 500
    assert found['__name__="node_load15"'] == 50
    assert found['instance="no such instance"'] == 0
    (size,) = of_part(figures, "size")
    assert min(size["bytes_each"].values()) > 0


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_speed_is_within_its_bounds(tmp_path: Path, edition: str) -> None:
    """Community as fast as VictoriaMetrics; Apache near raw COPY and far beyond Prometheus."""
    figures = measured(tmp_path / "figures.json", "--parts=speed")
    for one in of_part(figures, "best"):
        if edition == "community":
            assert one["tsobs"] >= one["victoria-metrics"], one
        else:
            assert one["tsobs"] >= 0.8 * one["COPY by 1"], one
            assert one["tsobs"] >= 1.5 * one["prometheus"], one


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_new_series_are_within_their_bounds(tmp_path: Path) -> None:
    """As fast as VictoriaMetrics takes them, and 600 MB for a million that are known."""
    figures = of_part(measured(tmp_path / "figures.json", "--parts=series"), "series")
    ours = [one for one in figures if one["who"] == "tsobs"]
    peer = [one for one in figures if one["who"] == "victoria-metrics"]
    assert max(one["new_per_s"] for one in ours) >= max(one["new_per_s"] for one in peer)
    assert max(one["resident_bytes"] for one in ours) <= 600e6


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_reads_are_within_their_bounds(tmp_path: Path) -> None:
    """10 ms for a series' last hour at once, 50 ms for matchers over 3 million dead series."""
    figures = measured(tmp_path / "figures.json", "--parts=reads,matchers")
    assert of_part(figures, "reads")[0]["median"] <= 10
    assert max(one["median"] for one in of_part(figures, "matchers")) <= 50


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_size_is_within_its_bounds(tmp_path: Path, edition: str) -> None:
    """In columns at most half as much again as VictoriaMetrics takes; in rows it is told."""
    (size,) = of_part(measured(tmp_path / "figures.json", "--parts=size"), "size")
    each = size["bytes_each"]
    assert edition == "apache" or each["tsobs"] <= 1.5 * each["victoria-metrics"]
