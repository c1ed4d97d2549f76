"""The one real job: a small process in a cgroup of its own, announced as a hook would do it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import pwd
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tsobs.demo import burner
from tsobs.demo.agent import CLUSTER
from tsobs.demo.cgroups import JobCgroup, remove_jobs, tops
from tsobs.demo.client import Client
from tsobs.demo.folder import Folder
from tsobs.demo.leash import leashed
from tsobs.demo.notes import read_note, write_note
from tsobs.demo.part import PartFailed

__all__ = ["CPU_SHARE", "HELD_BYTES", "LocalJob", "cgroup_label", "open_local_job", "why_not"]

CPU_SHARE = 0.2
"""What it burns, of one CPU."""
HELD_BYTES = 64 << 20
"""What it holds on purpose; the interpreter's own few MiB come on top."""
_LIMIT_BYTES = 128 << 20
_MIB = 1 << 20
_SIGKILL, _SIGTERM = 9, 15
# How exactly the end of a job is known whose demo was killed.
_HEARTBEAT_S = 15.0
_ANNOUNCE_S = 3.0
# Joins the cgroups before the program starts, so that all it uses is counted.
_JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 125; shift; done; shift; '
_JOIN += 'exec "$@"'


class LocalJob:
    """The running job; `job_id` is its number on this host."""

    name = "local job"

    def __init__(self, job_id: int, process: asyncio.subprocess.Process, note: Path) -> None:
        self.job_id = job_id
        self._process = process
        self._note = note

    async def ended(self) -> str:
        """Returns when its process ended by itself."""
        while True:
            try:
                status = await asyncio.wait_for(self._process.wait(), _HEARTBEAT_S)
            except TimeoutError:
                await asyncio.to_thread(os.utime, self._note)
            else:
                return f"exit status {status} of its process"


def cgroup_label(folder: Folder) -> str:
    """The node name in the cgroups' names: one a folder, so that demos never touch each other's."""
    return f"tsobs-demo-{hashlib.sha256(bytes(folder.path)).hexdigest()[:8]}"


def why_not() -> str | None:
    """Why there cannot be a real job here, None when there can."""
    if os.geteuid() != 0:
        return "making a cgroup needs root"
    found = tops("any")
    if not found:
        return "no cgroups are mounted at /sys/fs/cgroup"
    if not all(os.access(_existing(top), os.W_OK) for top in found.values()):
        return "/sys/fs/cgroup is read-only here"
    return None


def _existing(path: Path) -> Path:
    return next(folder for folder in path.parents if folder.exists())


@asynccontextmanager
async def open_local_job(folder: Folder, client: Client, node: str) -> AsyncIterator[LocalJob]:
    """Starts the job on this node; at the end it is cancelled and its cgroups are removed."""
    places = tops(cgroup_label(folder))
    note = await asyncio.to_thread(read_note, folder.local_job) or {"last": 0, "running": None}
    await asyncio.to_thread(remove_jobs, places)
    if note["running"] is not None:
        # Its demo was killed, and it went with it at about the last sign of life.
        last_seen = (await asyncio.to_thread(folder.local_job.stat)).st_mtime
        await client.post_event("job-finished", _finished(note["running"], last_seen, _SIGKILL))
    job_id = note["last"] + 1
    started = _started(job_id, node)
    await asyncio.to_thread(write_note, folder.local_job, {"last": job_id, "running": started})
    try:
        process = await _start(JobCgroup(places, job_id, os.getuid()))
        await client.post_event("job-started", started)
        yield LocalJob(job_id, process, folder.local_job)
    except OSError as error:
        raise PartFailed(f"the local job cannot be started: {error}") from error
    finally:
        end = datetime.now(UTC).timestamp()
        await asyncio.to_thread(remove_jobs, places)
        # What cannot be announced now is announced at the next start.
        with suppress(PartFailed, TimeoutError):
            async with asyncio.timeout(_ANNOUNCE_S):
                await client.post_event("job-finished", _finished(started, end, _SIGTERM))
            ended = {"last": job_id, "running": None}
            await asyncio.to_thread(write_note, folder.local_job, ended)


async def _start(cgroup: JobCgroup) -> asyncio.subprocess.Process:
    await asyncio.to_thread(cgroup.make, memory_bytes=_LIMIT_BYTES)
    program = [sys.executable, "-I", "-S", burner.__file__, str(CPU_SHARE), str(HELD_BYTES)]
    folders = [str(path) for path in cgroup.folders]
    return await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        _JOIN,
        "sh",
        *folders,
        "--",
        *leashed(program),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


def _common(job_id: str, start_time: str) -> dict[str, Any]:
    # The agent takes every cgroup of Slurm's shape for one of Slurm's jobs.
    return {
        "job_id": job_id,
        "cluster": CLUSTER,
        "scheduler": "slurm",
        "source": "tsobs-demo",
        "start_time": start_time,
    }


def _started(job_id: int, node: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {
        **_common(str(job_id), now),
        "timestamp": now,
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "node_list": [node],
        "node": node,
        "name": "tsobs-demo-burner",
        "partition": "demo",
        "cpu_allocation": 1,
        "memory_allocation_mb": _LIMIT_BYTES // _MIB,
    }


def _finished(started: Mapping[str, Any], end: float, signal: int) -> dict[str, Any]:
    at = datetime.fromtimestamp(end, UTC).isoformat()
    return {
        **_common(started["job_id"], started["start_time"]),
        "timestamp": at,
        "end_time": at,
        "node": started["node"],
        "final_state": "cancelled",
        "raw_state": "CANCELLED",
        "exit_code": 0,
        "signal": signal,
    }
