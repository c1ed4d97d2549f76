"""Several processes on one port: death, replacement, and one end for all."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.acceptance.asking import get, is_refused, wait_until
from tests.fix_process import Process, StartProcess


def start_two(tsobs_process: StartProcess, database_url: str, port: str = "0") -> Process:
    return tsobs_process("serve", "--port", port, "--workers", "2", DATABASE_URL=database_url)


def test_a_second_service_does_not_share_the_port(
    tsobs_process: StartProcess, database_url: str
) -> None:
    first = start_two(tsobs_process, database_url)
    port = first.ready().rpartition(":")[2]
    second = start_two(tsobs_process, database_url, port)
    assert second.wait() == 1
    assert "is taken" in "".join(second.err)
    assert first.stop() == 0


def test_the_dead_are_replaced_and_nothing_is_refused(
    tsobs_process: StartProcess, database_url: str
) -> None:
    process = start_two(tsobs_process, database_url)
    url = process.ready()
    before = process.children()
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    # Connections that the kernel gave to the dead one wait for its successor.
    for _ in range(20):
        assert get(f"{url}/v1/health", timeout_s=30)[0] == 200
    wait_until(lambda: len(process.children()) == 2 and before[0] not in process.children())
    for _ in range(20):
        assert get(f"{url}/v1/health", timeout_s=30)[0] == 200
    assert "worker 0 ended with -9" in "".join(process.err)
    assert process.stop() == 0
    assert is_refused(url)
    assert process.out == [f"tsobs is ready at {url}\n"]


def test_ctrl_c_reaches_all_and_drains_once(tsobs_process: StartProcess, database_url: str) -> None:
    process = start_two(tsobs_process, database_url)
    process.ready()
    # A terminal sends it to the whole group.
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 130
    assert "Traceback" not in "".join(process.err)


def test_none_outlives_the_parent(tsobs_process: StartProcess, database_url: str) -> None:
    process = start_two(tsobs_process, database_url)
    url = process.ready()
    children = process.children()
    process.stop(signal.SIGKILL)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    assert is_refused(url)


def test_what_cannot_start_the_first_time_ends_it_all(
    tsobs_process: StartProcess, database_url: str
) -> None:
    process = tsobs_process(
        "serve", "--port", "0", "--workers", "2", HOST="0.0.0.0", DATABASE_URL=database_url
    )
    assert process.wait() == 1
    assert "tsobs token create" in "".join(process.err)
    assert not process.out
