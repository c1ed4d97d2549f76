"""Which job holds which GPUs: from the allocation, never from processes that happen to run on them.

In the order of who knows best: the kernel's device list of the job's cgroup (v1), files that root
wrote at the job's start, the environment of the job's processes, which is the user's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from nodeagent.gpu.directory import Directory

__all__ = ["Claim", "Rank", "claim_of_environ", "claims_of_files", "open_files", "settle"]

_DEVICE_LINE = re.compile(r"([acb]) (\d+|\*):(\d+|\*) ([rwm]+)\Z")
_NUMBERS = re.compile(r"\d{1,3}(?:,\d{1,3})*\Z")
_JOB_LINE = re.compile(r"(\d{1,18})(?:[ \t]+\d+)?\Z")
_MOST_FILES, _MOST_FILE_BYTES = 4096, 4096


class Rank:
    """Who says it; the higher is right."""

    ENVIRON = 1
    FILE = 2
    KERNEL = 3


class Claim(NamedTuple):
    """What one job holds, who says so, and the weight stated for it: percent of each device, or
    shards of it; None where nothing was stated."""

    rank: int
    uuids: frozenset[str]
    percent: float | None = None
    shards: float | None = None


def open_files(devices_list: str) -> list[tuple[int, int]] | None:
    """Return (major, minor) of the character devices that a devices.list opens; None when it opens
    all, and so says nothing."""
    found = []
    for line in devices_list.splitlines():
        match = _DEVICE_LINE.match(line)
        # Making a file of it (m) is not using it.
        if match is None or match[1] == "b" or not {"r", "w"} & set(match[4]):
            continue
        if match[1] == "a" or "*" in (match[2], match[3]):
            if match[1] == "a" or match[2] in ("*", "195", "226"):
                return None
            continue
        found.append((int(match[2]), int(match[3])))
    return found


def claim_of_environ(variables: Mapping[str, str], directory: Directory) -> Claim | None:
    """Return what a process's environment says that its job holds; None when it says nothing.

    Numbers of CUDA_VISIBLE_DEVICES are counted anew inside a job and name no device; UUIDs do.
    """
    uuids: list[str | None] = []
    numbers = variables.get("SLURM_JOB_GPUS", "")
    if _NUMBERS.match(numbers):
        uuids = [directory.numbered(int(text)) for text in numbers.split(",")]
    if not uuids or None in uuids:
        for name in ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
            texts = variables.get(name, "").split(",")
            if all(text.startswith(("GPU-", "MIG-")) for text in texts):
                uuids = [directory.named(text) for text in texts]
    found = frozenset(uuid for uuid in uuids if uuid is not None)
    if not found:
        return None
    percent = _positive(variables.get("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"), 100)
    shards = _positive(variables.get("SLURM_SHARDS_ON_NODE"), 10_000)
    return Claim(Rank.ENVIRON, found, percent, shards / len(found) if shards else None)


def claims_of_files(folders: Iterable[Path], directory: Directory) -> dict[str, frozenset[str]]:
    """Return job id → devices that files of the prolog's name: `<UUID or PCI address>` with
    `<job id> <uid>` (/run/gpustat), or NVIDIA's index with job ids (DCGM's mapping)."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        for path in _files(folder):
            by_name = directory.named(path.name)
            by_index = directory.indexed(path.name) if by_name is None else None
            if by_name is None and by_index is None:
                continue
            for line in _lines(path):
                job = _JOB_LINE.match(line)
                # Beside a uid the number is Slurm's or CUDA's count, which names no device.
                uuid = by_name or (by_index if line.strip().isdigit() else None)
                if job and uuid:
                    found.setdefault(job[1], set()).add(uuid)
    return {job_id: frozenset(uuids) for job_id, uuids in found.items()}


def settle(claims: Mapping[str, Claim]) -> dict[str, dict[str, Claim]]:
    """Return device → job → its claim: on each device only those of the highest rank hold it."""
    held: dict[str, dict[str, Claim]] = {}
    for job, claim in claims.items():
        for uuid in claim.uuids:
            held.setdefault(uuid, {})[job] = claim
    return {
        uuid: {
            job: claim
            for job, claim in jobs.items()
            if claim.rank == max(other.rank for other in jobs.values())
        }
        for uuid, jobs in held.items()
    }


def _positive(text: str | None, most: float) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value <= most else None


def _files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                Path(entry.path)
                for n, entry in enumerate(entries)
                if n < _MOST_FILES and entry.is_file(follow_symlinks=False)
            )
    except OSError:
        return []


def _lines(path: Path) -> list[str]:
    """Return a file's lines; none of one that an ordinary user wrote."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_uid not in (0, os.geteuid()):
                return []
            return file.read(_MOST_FILE_BYTES).decode("ascii", "replace").splitlines()
    except OSError:
        return []
