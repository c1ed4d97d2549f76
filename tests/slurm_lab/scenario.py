"""All jobs of the lab at once, beside a tsobs service and an agent for each node: what Slurm knows
of each at the end, what it burned, and what tsobs answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.acceptance.asking import get, wait_until
from tests.processes import AgentProcess, ServiceProcess
from tests.slurm_lab.conf import CLUSTER
from tests.slurm_lab.jobs import JOBS, Job
from tests.slurm_lab.lab import SlurmLab

__all__ = ["UNTOLD", "Record", "play"]

Record = dict[str, Any]
"""Of one job: `job_id`; `slurm`, what `scontrol show job` said at the end, and `before` the test
did something to it (or None); `nodes`; `told`, the API's answer; and by restart count `runs`, the
API's answers, and `burned_s`, CPU seconds by the job's own account."""

# By the hook that is missing: the jobs of which nothing tells.
UNTOLD = {"JobCompLoc": ("pending",)}

_PRELUDE = "export LAB_OUT={out}\n. {out}/../job.sh\n"
# The jobs are nice to whatever else runs: on a busy machine they take their time.
_READY_WITHIN_S = 150.0
_ENDED_WITHIN_S = 150.0
_TOLD_WITHIN_S = 30.0


def play(
    lab: SlurmLab, database_url: str, *, without: str = "", settle_s: float = 0.0
) -> dict[str, Record]:
    """Run the jobs; the record of each by its name, an array's tasks by name and task id.

    `without` names a hook that does nothing; `settle_s` is how long what is told later is waited
    for.
    """
    with ExitStack() as stack:
        service = stack.enter_context(ServiceProcess(database_url))
        lab.tell_hooks(service.url, without=without)
        for node in lab.nodes:
            state = lab.folder / f"agent.{node}"
            # As on a real site, where each has a machine of its own: the interval is the default.
            agent = AgentProcess(
                service.url,
                state,
                node_name=node,
                cluster=CLUSTER,
                event_dir=lab.hooks_spool,
            )
            stack.enter_context(agent)
            wait_until((state / "state").exists)
        submitted = {name: _submit(lab, name, job) for name, job in JOBS.items()}
        before = _decide_fates(lab, submitted)
        ids = _with_tasks(lab, submitted)
        told = {name: ids[name] for name in ids if name not in UNTOLD.get(without, ())}
        _wait_for(ids, lambda job_id: _is_over(lab.show(job_id)), _ENDED_WITHIN_S, lab)
        _wait_for(told, lambda job_id: _is_told(service.url, job_id), _TOLD_WITHIN_S, lab)
        time.sleep(settle_s)
        return {
            name: {**_record(lab, service.url, job_id), "before": before.get(job_id)}
            for name, job_id in ids.items()
        }


def _submit(lab: SlurmLab, name: str, job: Job) -> str:
    options = ("--mem=100", f"--job-name={name}", *job.options)
    return lab.submit(*options, script=_PRELUDE.format(out=lab.out) + job.script)


def _decide_fates(lab: SlurmLab, submitted: dict[str, str]) -> dict[str, dict[str, str]]:
    """Cancels, expires and requeues; what Slurm said of each just before."""
    waiting = {submitted[name]: job.fate for name, job in JOBS.items() if job.fate}
    before = {}
    deadline = time.monotonic() + _READY_WITHIN_S
    while waiting:
        assert time.monotonic() < deadline, f"{waiting} are not ready\n{lab.logs()}"
        for job_id, fate in list(waiting.items()):
            slurm = lab.show(job_id)
            if slurm["Reason"] == "BeginTime" or (lab.out / f"{job_id}.0.ready").exists():
                before[job_id] = slurm
                _seal(lab, job_id, fate)
                del waiting[job_id]
        time.sleep(0.2)
    return before


def _seal(lab: SlurmLab, job_id: str, fate: str) -> None:
    if fate == "cancel":
        lab.run("scancel", job_id)
    elif fate == "requeue":
        lab.run("scontrol", "requeue", job_id)
    else:
        # A time limit is whole minutes; the moment of its end may be set to the second.
        end = datetime.now(UTC) + timedelta(seconds=3)
        lab.run("scontrol", "update", f"JobId={job_id}", f"EndTime={end:%Y-%m-%dT%H:%M:%S}")


def _with_tasks(lab: SlurmLab, submitted: dict[str, str]) -> dict[str, str]:
    ids = {}
    for name, job_id in submitted.items():
        for job in lab.show_all(job_id):
            task = job.get("ArrayTaskId")
            ids[f"{name}_{task}" if task else name] = job["JobId"]
    return ids


def _wait_for(
    ids: dict[str, str], condition: Callable[[str], bool], within_s: float, lab: SlurmLab
) -> None:
    left = dict(ids)
    deadline = time.monotonic() + within_s
    while left := {name: job_id for name, job_id in left.items() if not condition(job_id)}:
        assert time.monotonic() < deadline, f"not over, or not told: {left}\n{lab.logs()}"
        time.sleep(0.2)


def _is_over(job: dict[str, str]) -> bool:
    return job["JobState"] not in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING")


def _is_told(url: str, job_id: str) -> bool:
    status, job = get(f"{url}/v1/jobs/{job_id}")
    nodes = job.get("per_node", [])
    return status == 200 and "end_time" in job and all("gone_at" in node for node in nodes)


def _record(lab: SlurmLab, url: str, job_id: str) -> Record:
    slurm = lab.show(job_id)
    runs = range(int(slurm["Restarts"]) + 1)
    nodes = slurm["NodeList"].replace("(null)", "")
    return {
        "job_id": job_id,
        "slurm": slurm,
        "nodes": lab.run("scontrol", "show", "hostnames", nodes).split() if nodes else [],
        "told": get(f"{url}/v1/jobs/{job_id}")[1],
        "runs": [get(f"{url}/v1/jobs/{CLUSTER}:{job_id}.r{run}")[1] for run in runs],
        "burned_s": [_burned_s(lab.out, job_id, run) for run in runs],
    }


def _burned_s(out: Path, job_id: str, run: int) -> float:
    reports = out.glob(f"{job_id}.{run}.*.cpu")
    return sum(_seconds(word) for report in reports for word in report.read_text().split())


def _seconds(text: str) -> float:
    """1m2.345s → 62.345"""
    minutes, _, seconds = text.rstrip("s").partition("m")
    return int(minutes) * 60 + float(seconds)
