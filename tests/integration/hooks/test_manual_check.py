"""Hooks and a real service: the check that a person makes by hand, and recorded jobs told to it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from tests.integration.hooks.recordings import recorded
from tests.integration.hooks.running import HOOKS, Hooks


async def get_job(url: str, name: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--fail", f"{url}/v1/jobs/{name}", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    answer: dict[str, Any] = json.loads(out)
    return answer


async def run(hooks: Hooks, hook: str, environment: Mapping[str, str | bytes], url: str) -> None:
    ran = await asyncio.to_thread(hooks.run, hook, environment, URL=url, ASK_AGAIN="no")
    assert ran.status == 0
    assert hooks.waiting() == [], hooks.logged()


@pytest.mark.parametrize("address", ["OBSERVABILITY_URL", "OBSERVABILITY_API_URL"])
async def test_the_manual_check(hooks: Hooks, service_url: str, address: str) -> None:
    """As the page says, in a shell of a person's own, which has many more variables; and again."""
    settings = {f"OBSERVABILITY_{k}": v for k, v in hooks.settings.items() if k != "URL"}
    environment = {**os.environ, "USER": "alice", **settings, address: service_url}

    async def shell(text: str, set_node_id: str) -> None:
        script = (
            "export SLURM_JOB_ID=99999 SLURM_JOB_USER=$USER SLURM_NODELIST=$(hostname) "
            f"SLURM_JOB_NUM_NODES=1 {set_node_id}\n{text}\n"
        )
        done = await asyncio.to_thread(
            subprocess.run, ["bash", "-ec", script], env=environment, check=False, cwd=HOOKS
        )
        assert done.returncode == 0

    for set_node_id in ("SLURM_NODEID=0", "", "SLURM_NODEID=0"):
        await shell("./prolog.sh", set_node_id)
        job = await get_job(service_url, "slurm-99999")
        assert (job["state"], job["user"]) == ("running", "alice")
        assert job["nodes"] == [socket.gethostname()]
        await shell("export SLURM_JOB_EXIT_CODE=0; bash ./epilog.sh", set_node_id)
        job = await get_job(service_url, "slurm-99999")
        assert job["state"] == "completed"
        assert job["end_time"] >= job["start_time"]
        # Who does it by hand is not back within a second.
        await asyncio.sleep(1.1)


@pytest.mark.parametrize("version", ["24.11.5", "26.05.5"])
@pytest.mark.parametrize(
    ("case", "state", "reason"),
    [
        ("end-success", "completed", None),
        ("end-exit3", "failed", "exit_code"),
        ("end-oom", "failed", "out_of_memory"),
        ("end-cancelled", "cancelled", None),
        ("end-timeout", "failed", "timeout"),
    ],
)
async def test_a_recorded_job_ends_right(
    hooks: Hooks, service_url: str, version: str, case: str, state: str, reason: str | None
) -> None:
    job_id = ""
    for hook in ("prolog_slurmctld", "prolog_slurmd", "epilog_slurmctld", "epilog_slurmd"):
        given = recorded(version, case, hook)
        job_id = given.environment["SLURM_JOB_ID"]
        hooks.answer(given.as_json)
        await run(hooks, hook.removesuffix("_slurmd"), given.environment, service_url)
    job = await get_job(service_url, f"lab:{job_id}.r0")
    assert (job["state"], job["scheduler"].get("state_reason")) == (state, reason)
    assert (job["user"], job["nodes"][0][0]) == ("alice", "n")


async def test_any_name_is_taken(hooks: Hooks, service_url: str, job: dict[str, str]) -> None:
    name = b'q"\\\n\t\x01\x7f \xff\xed\xa0\x80 \xf0\x9f\x9a\x80 ' + "ü".encode() * 2000
    environment: dict[str, str | bytes] = {**job, "SLURM_JOB_NAME": name}
    environment["SLURM_JOB_ACCOUNT"] = name
    await run(hooks, "prolog_slurmctld", environment, service_url)
    assert (await get_job(service_url, "slurm-77"))["state"] == "running"
    assert "created" in hooks.logged()


async def test_ten_thousand_nodes_are_taken(
    hooks: Hooks, service_url: str, job: dict[str, str]
) -> None:
    listed = {"SLURM_NODELIST": "c[00001-10000]", "SLURM_JOB_CPUS_PER_NODE": "128(x10000)"}
    await run(hooks, "prolog", job | listed | {"SLURMD_NODENAME": "c00001"}, service_url)
    told = await get_job(service_url, "slurm-77")
    assert (len(told["nodes"]), told["allocated_cpus"]) == (10_000, 1_280_000)


async def test_events_wait_until_there_is_a_token(
    hooks: Hooks, service_url: str, job: dict[str, str], database_url: str
) -> None:
    token = hooks.folder / "token"
    made = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tsobs", "token", "create", "--name", "n1"),
        *("--scope", "events", "--node", "n1"),
        env={**os.environ, "DATABASE_URL": database_url},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await made.communicate()
    assert made.returncode == 0
    await asyncio.to_thread(hooks.run, "prolog", job, URL=service_url)
    assert "401" in hooks.logged()
    assert len(hooks.waiting()) == 1
    token.write_bytes(out.split()[-1])
    await asyncio.to_thread(hooks.run, "epilog", job, URL=service_url, TOKEN_FILE=str(token))
    assert hooks.waiting() == []
    assert "1 earlier events sent from the spool" in hooks.logged()
