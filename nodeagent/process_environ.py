"""The environment of a job's process, as far as it can be believed: what Slurm set in it.

Whoever owns a job can put anything there: every value is checked for shape, the process must be the
job's before and after it was read, and what comes out is a hint that any event outranks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["GPU_VARIABLES", "Facts", "facts_of", "parse_environ"]

MAX_TEXT = 255
_MAX_COUNT = 2**31 - 1
_DIGITS = re.compile(r"[0-9]{1,18}\Z")
_SERIES = re.compile(r"\d+")
GPU_VARIABLES = (
    "SLURM_JOB_GPUS",
    "SLURM_SHARDS_ON_NODE",
    "CUDA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE",
)
"""What a process knows of the GPUs that its job holds, and of the weight it has on them."""
_NAMES = frozenset(name.encode("ascii") for name in GPU_VARIABLES)


class Facts(NamedTuple):
    """What a job's processes tell of it; None where they do not."""

    restart_count: int | None = None
    name: str | None = None
    account: str | None = None
    partition: str | None = None
    array_job_id: str | None = None
    array_task_id: str | None = None
    user_name: str | None = None


def parse_environ(data: bytes) -> dict[str, str]:
    """Return Slurm's variables and those of GPUs of a /proc/PID/environ; text that is no UTF-8 is
    left out."""
    found = {}
    for entry in data.split(b"\0"):
        name, equals, value = entry.partition(b"=")
        if not equals or not (name.startswith(b"SLURM_") or name in _NAMES):
            continue
        try:
            found[name.decode("ascii")] = value.decode("utf-8")
        except UnicodeDecodeError:
            continue
    return found


def facts_of(variables: Mapping[str, str], *, here: str, uid: int | None) -> Facts:
    """Return what a process's variables tell; `here` is this host's name, `uid` the job's owner.

    A job that was submitted from inside another inherits what Slurm (up to 26.05) does not set
    anew: a restart count above 0, array ids. Such a job comes from a host of this node's kind:
    there these are not believed.
    """
    count = _restart_count(variables)
    inherited = _kind(variables.get("SLURM_SUBMIT_HOST", here)) == _kind(here)
    if inherited and count:
        count = None
    array_job_id = array_task_id = None
    if not inherited:
        array_job_id = _digits(variables.get("SLURM_ARRAY_JOB_ID"))
        array_task_id = _digits(variables.get("SLURM_ARRAY_TASK_ID"))
    owns = uid is not None and variables.get("SLURM_JOB_UID") == str(uid)
    return Facts(
        restart_count=count,
        name=_text(variables.get("SLURM_JOB_NAME")),
        account=_text(variables.get("SLURM_JOB_ACCOUNT")),
        partition=_text(variables.get("SLURM_JOB_PARTITION")),
        array_job_id=array_job_id if array_task_id else None,
        array_task_id=array_task_id if array_job_id else None,
        user_name=_text(variables.get("SLURM_JOB_USER")) if owns else None,
    )


def _restart_count(variables: Mapping[str, str]) -> int | None:
    # Slurm up to 26.05 sets it from the first restart on, later ones always.
    text = variables.get("SLURM_RESTART_COUNT", "0")
    if not _DIGITS.match(text) or int(text) > _MAX_COUNT:
        return None
    return int(text)


def _kind(host: str) -> str:
    """Return the short name without its number: node17 and node3 are of one kind, login1 is not."""
    return _SERIES.sub("#", host.partition(".")[0].lower())


def _digits(text: str | None) -> str | None:
    return text if text is not None and _DIGITS.match(text) else None


def _text(text: str | None) -> str | None:
    if not text or len(text) > MAX_TEXT or not text.isprintable() or text == "(null)":
        return None
    return text
