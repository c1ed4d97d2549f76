"""schemathesis against a real service: no request, valid or not, gets an answer that is not in the
OpenAPI document."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.fix_process import ROOT, StartProcess
from tsobs.routes import ROUTES

FOLDER = Path(__file__).parent / "openapi"
SCOPES = ("agent", "events", "read", "remote_write", "admin")
STARTED = "2026-01-02T03:04:05Z"


def served(tsobs_process: StartProcess, database_url: str) -> tuple[str, str]:
    """A service with tokens and a few jobs, and a token that may do everything."""
    scopes = [word for scope in SCOPES for word in ("--scope", scope)]
    made = tsobs_process("token", "create", "--name", "all", *scopes, DATABASE_URL=database_url)
    assert made.wait() == 0
    match = re.search(r"tsobs_\S+", "".join(made.out))
    assert match is not None
    process = tsobs_process("serve", "--port", "0", DATABASE_URL=database_url)
    url, token = process.ready(), match[0]
    for job_id in ("1", "2", "3", "4_1"):
        post(url, token, job_id)
    return url, token


def post(url: str, token: str, job_id: str) -> None:
    body: dict[str, object] = {
        "job_id": job_id,
        "user": "alice",
        "node_list": ["n1"],
        "timestamp": STARTED,
    }
    array, _, task = job_id.partition("_")
    body |= {"restart_count": 0} | ({"array_job_id": array, "array_task_id": task} if task else {})
    request = urllib.request.Request(
        f"{url}/v1/events/job-started",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def run_schemathesis(url: str, token: str, *more: str, timeout_s: float) -> str:
    """What it printed; fails when it found anything."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"]
    command += ["run", f"{url}/openapi.json", "--header", f"Authorization: Bearer {token}"]
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environ |= {"SCHEMATHESIS_HOOKS": "apihooks", "PYTHONPATH": f"{FOLDER}:{ROOT}"}
    done = subprocess.run(
        [*command, *more], cwd=FOLDER, env=environ, capture_output=True, text=True,
        timeout=timeout_s,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    return done.stdout


@pytest.mark.timeout(300)  # half a minute where nothing else runs
def test_whatever_is_sent_the_answer_is_as_documented(
    tsobs_process: StartProcess, database_url: str
) -> None:
    url, token = served(tsobs_process, database_url)
    said = run_schemathesis(
        url, token, "--phases", "examples,coverage,fuzzing", "--max-examples", "6", "--no-shrink",
        timeout_s=280,
    )  # fmt: skip
    # All but the document itself, which it leaves out.
    assert f"{len(ROUTES) - 1} selected / {len(ROUTES) - 1} total" in said


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_the_same_for_long(tsobs_process: StartProcess, database_url: str) -> None:
    url, token = served(tsobs_process, database_url)
    run_schemathesis(url, token, "--max-examples", "300", timeout_s=1400)
