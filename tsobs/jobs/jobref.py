"""What a client may mean by a job's id in a path, and the one exact way to write it."""

from __future__ import annotations

import re
from typing import NamedTuple

from tsobs.errors import InvalidRequest

__all__ = ["MAX_LENGTH", "JobRef", "exact_id", "parse_job_id"]

# The longest exact id: a cluster of 64 characters, a scheduler's id of 255, and both counts.
MAX_LENGTH = 64 + len(":") + 255 + len(".r2147483647.2147483647")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_COUNT = 2**31 - 1

_IN_CLUSTER = re.compile(r"(?P<cluster>[^:]+):(?P<rest>.+)")
_RUN = re.compile(r"(?P<rest>.+)\.r(?P<restart>\d{1,10})(?:\.(?P<run>\d{1,10}))?")
_PREFIXED = re.compile(r"(?P<scheduler>slurm|pbs|lsf|local|mock)-(?P<job_id>.+)")
_ARRAY = re.compile(r"(?P<array>\d+)_(?P<task>\d+)")
_HET = re.compile(r"(?P<het>\d+)\+(?P<offset>\d{1,9})")


class JobRef(NamedTuple):
    """The readings of an id: as written, and what its form may mean besides; None is not said."""

    job_id: str
    cluster: str | None = None
    scheduler: str | None = None
    prefixed_job_id: str | None = None
    array_job_id: str | None = None
    array_task_id: str | None = None
    het_job_id: str | None = None
    het_offset: int | None = None
    restart_count: int | None = None
    run: int | None = None


def parse_job_id(text: str) -> JobRef:
    """Reads `123`, `slurm-123`, `123_4`, `123+1`, `cluster:<any of these>`, and the exact
    `cluster:123.r<restart>[.<run>]`; raises InvalidRequest."""
    if not 1 <= len(text) <= MAX_LENGTH or _CONTROL.search(text):
        rule = f"must be 1 to {MAX_LENGTH} printable characters"
        raise InvalidRequest(f"a job id {rule}", parameter="id", rule=rule)
    cluster = restart = run = None
    if match := _IN_CLUSTER.fullmatch(text):
        cluster, text = match["cluster"], match["rest"]
        # Only behind a cluster: the job ids of PBS have dots of their own.
        if match := _RUN.fullmatch(text):
            text, restart, run = match["rest"], int(match["restart"]), _count(match["run"])
            if restart > _MAX_COUNT or (run or 0) > _MAX_COUNT:
                rule = f"must have counts up to {_MAX_COUNT}"
                raise InvalidRequest(f"a job id {rule}", parameter="id", rule=rule)
    prefixed, array, het = _PREFIXED.fullmatch(text), _ARRAY.fullmatch(text), _HET.fullmatch(text)
    return JobRef(
        job_id=text,
        cluster=cluster,
        scheduler=prefixed["scheduler"] if prefixed else None,
        prefixed_job_id=prefixed["job_id"] if prefixed else None,
        array_job_id=array["array"] if array else None,
        array_task_id=array["task"] if array else None,
        het_job_id=het["het"] if het else None,
        het_offset=int(het["offset"]) if het else None,
        restart_count=restart,
        run=run,
    )


def exact_id(cluster: str, job_id: str, restart_count: int | None, run: int) -> str:
    """The id of one run; a restart count that nobody told yet is written, and read, as 0."""
    return f"{cluster}:{job_id}.r{restart_count or 0}.{run}"


def _count(text: str | None) -> int | None:
    return None if text is None else int(text)
