"""The samples of GPUs: who holds each, and what it used since its last sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nodeagent.clock import Instant, stamp
from nodeagent.collector import NoData
from nodeagent.gpu.allocation import (
    Claim,
    Rank,
    claim_of_environ,
    claims_of_files,
    open_files,
    settle,
)
from nodeagent.gpu.device import Device, Survey
from nodeagent.gpu.directory import Directory
from nodeagent.gpu.reader import ROUND_WAIT_S, GpuReader
from nodeagent.gpu.shares import shares_of
from nodeagent.live_job import UNKNOWN_PAST_S, LiveJob, Row
from nodeagent.paths import Paths

__all__ = ["GpuBatch", "GpuReadings", "claims_of"]

_SHORTEST_S = 0.001
# Counted in thousandths, so that nothing is rounded while it adds up.
_SCALES = {"energy_j": 1000}


class _Base(NamedTuple):
    """What a device's next sample counts from."""

    counters: Mapping[str, int]
    boot: float


class GpuBatch(NamedTuple):
    """One look's part of a batch: the devices, their rows (`gpu` is an index, `job` a job's key or
    None), the entries of the jobs named, and what to take as base once it is kept."""

    gpus: list[Row]
    rows: list[Row]
    jobs: dict[str, Row]
    bases: dict[str, Any]
    holders: dict[str, dict[str | None, float]]


class GpuReadings:
    """Turns looks at the devices into rows."""

    def __init__(self, paths: Paths, reader: GpuReader, folders: Iterable[Path]) -> None:
        self._paths = paths
        self._folders = tuple(folders)
        self.reader = reader
        self.wait_s = ROUND_WAIT_S
        """How long a round waits for the driver, seconds."""
        self._bases: dict[str, _Base] = {}
        self._holders: dict[str, dict[str | None, float]] = {}
        self._entries: dict[str, Row] = {}

    def restore(self, stored: Mapping[str, Any] | None) -> None:
        """Take up stored bases of this boot."""
        for uuid, base in (stored or {}).items():
            self._bases[uuid] = _Base(base["counters"], base["boot"])

    def holds(self, key: str) -> bool:
        """Tell whether a job held a device at the last look."""
        return any(key in jobs for jobs in self._holders.values())

    def take(self, survey: Survey, jobs: Mapping[str, LiveJob], interval_s: float) -> GpuBatch:
        """Return the rows of a look: an interval is its holders' of the look before, if there were
        any then, else those of now."""
        now = self._shares(survey, jobs)
        at = Instant(survey.wall, survey.boot)
        time = stamp(at, interval_s)
        gpus, rows = [], []
        for n, device in enumerate(survey.devices):
            gpus.append(_entry(device))
            base = self._bases.get(device.uuid)
            row = {"time": time, "gpu": n, **_used(device, base, survey.boot), **device.gauges}
            then = {
                job: share
                for job, share in self._holders.get(device.uuid, {}).items()
                if job is None or job in jobs or job in self._entries
            }
            shares = then if any(job is not None for job in then) else now[device.uuid]
            rows += [{**row, "job": job, "share": share} for job, share in shares.items()]
        entries = {
            job: jobs[job].entry() if job in jobs else self._entries[job]
            for row in rows
            if (job := row["job"]) is not None
        }
        bases = {
            device.uuid: _Base(
                {**_kept(self._bases.get(device.uuid)), **device.counters}, survey.boot
            )
            for device in survey.devices
        }
        return GpuBatch(gpus, rows, entries, bases, now)

    def keep(self, batch: GpuBatch, jobs: Mapping[str, LiveJob]) -> None:
        """Take the bases of a batch that is safely written. A device that did not answer keeps its
        own, so that its use is counted when it does."""
        self._bases.update(batch.bases)
        self._holders = batch.holders
        named = {job for shares in batch.holders.values() for job in shares if job is not None}
        self._entries = {job: jobs[job].entry() for job in named if job in jobs}

    def document(self, batch: GpuBatch | None = None) -> dict[str, Any]:
        """Return the bases as they are stored, with a batch's in place of their own."""
        bases = {**self._bases, **(batch.bases if batch is not None else {})}
        return {
            uuid: {"counters": dict(base.counters), "boot": base.boot}
            for uuid, base in bases.items()
        }

    def _shares(
        self, survey: Survey, jobs: Mapping[str, LiveJob]
    ) -> dict[str, dict[str | None, float]]:
        directory = Directory(self._paths, survey.devices)
        held = settle(claims_of(jobs, directory, self._folders))
        return {device.uuid: shares_of(held.get(device.uuid, {})) for device in survey.devices}


def claims_of(
    jobs: Mapping[str, LiveJob], directory: Directory, folders: Iterable[Path]
) -> dict[str, Claim]:
    """Return key → what each of the jobs holds by the best source it has; jobs that none speaks of
    are left out."""
    files = claims_of_files(folders, directory)
    found = {}
    for key, job in jobs.items():
        if job.parked or job.job_id is None:
            continue
        stated = claim_of_environ(job.gpu_variables, directory)
        claim = stated
        told = files.get(job.job_id)
        allowed = _allowed(job)
        if allowed is not None:
            claim = Claim(Rank.KERNEL, directory.allowed(allowed))
        elif told is not None:
            claim = Claim(Rank.FILE, told)
        if claim is None:
            continue
        if stated is not None and claim is not stated:
            claim = claim._replace(percent=stated.percent, shards=stated.shards)
        found[key] = claim
    return found


def _allowed(job: LiveJob) -> list[tuple[int, int]] | None:
    if not job.dirs.has("devices"):
        return None
    try:
        return open_files(job.dirs.read("devices", "devices.list"))
    except (NoData, OSError):
        return None


def _entry(device: Device) -> Row:
    return {
        "uuid": device.uuid,
        "vendor": device.vendor,
        "model": device.model,
        "parent_uuid": device.parent_uuid,
        "memory_total_bytes": device.memory_total_bytes,
    }


def _used(device: Device, base: _Base | None, boot: float) -> Row:
    if base is None:
        return {"interval_s": UNKNOWN_PAST_S}
    used: dict[str, float | None] = {}
    for key, value in device.counters.items():
        column = key.partition("|")[0]
        old = base.counters.get(key)
        delta = value - old if old is not None and value >= old else None
        before = used.get(column, 0)
        used[column] = None if before is None or delta is None else before + delta
    row: Row = {"interval_s": round(max(_SHORTEST_S, boot - base.boot), 6)}
    for column, total in used.items():
        if total is not None:
            scale = 1e9 if column.endswith("_s") else _SCALES.get(column, 1)
            row[column] = total / scale if scale != 1 else total
    return row


def _kept(base: _Base | None) -> Mapping[str, int]:
    """What one look could not read keeps its old value; what another process counted is over."""
    if base is None:
        return {}
    return {key: value for key, value in base.counters.items() if "|" not in key}
