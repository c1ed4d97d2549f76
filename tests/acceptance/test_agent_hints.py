"""What an agent learns of a job's processes, and what hooks could not send, reach the record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.asking import get, wait_until
from tests.fix_cgroup import SlurmJobs
from tests.processes import AgentProcess, ServiceProcess

ROOT = Path(__file__).parents[2]


def event(job_id: str) -> str:
    now = datetime.fromtimestamp(time.time() - 60, UTC).isoformat()
    told = {"job_id": job_id, "user": "alice", "node_list": ["n1"], "timestamp": now}
    return json.dumps(told | {"name": "spooled", "restart_count": 0})


@pytest.mark.root
def test_hints_and_spooled_events(
    database_url: str, slurm_v1_job: SlurmJobs, tmp_path: Path
) -> None:
    events = tmp_path / "events"
    events.mkdir()
    (events / "1-880003-x.job-started.json").write_text(event("880003"))
    (events / "2-880004-x.job-started.json").write_text("{}")
    (events / "3-880005-x.job-started.json.tmp").write_text("{")
    job = slurm_v1_job(job_id="880002", uid=0)
    job.add_part("step_batch/task_0")
    told = {"SLURM_JOB_ID": "880002", "SLURM_JOB_NAME": "burn", "SLURM_JOB_ACCOUNT": "physics"}
    told |= {"SLURM_JOB_PARTITION": "debug", "SLURM_SUBMIT_HOST": "login1"}
    with ServiceProcess(database_url) as service:
        agent = AgentProcess(
            service.url, tmp_path / "state", node_name=job.node, interval=1, event_dir=events
        )
        with agent:
            job.run(["sleep", "60"], "step_batch/task_0", env={**os.environ, **told})
            wait_until(lambda: get(f"{service.url}/v1/jobs/880003")[0] == 200, 20)
            wait_until(lambda: _known(service.url, "880002").get("account") == "physics", 20)
            wait_until(lambda: _left(events) == 1, 20)
        known = _known(service.url, "880002")
        assert (known["name"], known["partition"], known["user"]) == ("burn", "debug", "root")
        assert _known(service.url, "880003")["name"] == "spooled"
        doctor = _doctor(service.url, tmp_path)
    assert doctor["reachable"] == "ok"
    assert doctor["samples"] == "ok"
    assert [path.name for path in (events / "refused").glob("*.json")] == [
        "2-880004-x.job-started.json"
    ]
    assert (events / "3-880005-x.job-started.json.tmp").exists()


def _known(url: str, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = get(f"{url}/v1/jobs/{job_id}")[1]
    return found


def _left(events: Path) -> int:
    return len([path for path in events.iterdir() if path.is_file()])


def _doctor(url: str, state: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "nodeagent", "doctor", "--json", f"--url={url}"]
    done = subprocess.run(
        [*command, f"--state-dir={state / 'doctor'}", "--event-dir=none"],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return {each["subject"]: each["status"] for each in json.loads(done.stdout)["findings"]}
