"""The agent as a process: stopping, a service that hangs, one agent a folder, the oldest Python."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.nodeagent.conftest import ROOT, Receiver, StartAgent, until


def test_it_sends_rounds_and_stops_at_once(receiver: Receiver, start_process: StartAgent) -> None:
    agent = start_process("--interval=0.5", "--node-name=n1")
    until(lambda: len(receiver.order) >= 3)
    assert agent.stop() < 2
    times = [d["tables"]["node_sample"]["time"][0] for d in receiver.batches.values()]
    # The first at once, the last at the stop, all others on the grid.
    assert all(time * 2 == int(time * 2) for time in times[1:-1])
    assert times == sorted(times)
    # Jobs of others on this host, which another program may have made meanwhile, are named once.
    log = [line for line in agent.log.read_text().splitlines() if " are not read: " not in line]
    assert log[-1].endswith("stopped")
    assert len(log) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_time_when_nobody_answers(start_process: StartAgent, number: int) -> None:
    """A service that takes the connection and says nothing must delay neither rounds nor the
    stop."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        agent = start_process("--interval=0.2", "--timeout=60", "--node-name=n1", url=url)
        until(lambda: agent.log.exists() and "every" in agent.log.read_text())
        time.sleep(2.0)
        start = time.monotonic()
        agent.process.send_signal(number)
        assert agent.process.wait(10) == 0
        assert time.monotonic() - start < 2
    kept = agent.log.read_text().splitlines()[-1]
    assert int(kept.split("stopped, ")[1].split()[0]) >= 8


def test_what_was_kept_goes_out_in_order_after_an_outage(
    receiver: Receiver, start_process: StartAgent
) -> None:
    agent = start_process("--interval=0.2", "--node-name=n1", url="http://127.0.0.1:1")
    time.sleep(4.0)
    agent.stop()
    receiver.status = 503
    agent = start_process("--interval=0.2", "--node-name=n1")
    until(lambda: receiver.requests > 0)
    receiver.status = 200
    until(lambda: len(receiver.order) >= 15)
    agent.stop()
    seqs = [seq for _, seq in receiver.order]
    assert seqs == list(range(1, len(seqs) + 1))
    rows = [receiver.batches[numbers]["tables"]["node_sample"] for numbers in receiver.order]
    times = [row["time"][0] for row in rows]
    assert times == sorted(times)
    covered = sum(row["interval_s"][0] for row in rows[1:])
    assert covered == pytest.approx(times[-1] - times[0], abs=0.3)


def test_a_slow_service_does_not_slow_the_rounds(
    receiver: Receiver, start_process: StartAgent
) -> None:
    receiver.delay_s = 1.0
    agent = start_process("--interval=0.5", "--node-name=n1")
    until(lambda: len(receiver.order) >= 3)
    receiver.delay_s = 0.0
    until(lambda: len(receiver.order) >= 8)
    agent.stop()
    for numbers in receiver.order[1:6]:
        (interval_s,) = receiver.batches[numbers]["tables"]["node_sample"]["interval_s"]
        assert interval_s < 0.8


def test_two_agents_cannot_share_a_folder(receiver: Receiver, start_process: StartAgent) -> None:
    start_process("--interval=0.5")
    until(lambda: len(receiver.order) >= 1)
    second = start_process("--interval=0.5")
    assert second.process.wait(10) == 1
    assert "another agent works with" in second.log.read_text()


def pythons() -> list[str]:
    found = [path for path in Path.home().glob(".pyenv/versions/3.9.*/bin/python3.9")]
    return [*map(str, found), "/usr/bin/python3.9"]


def test_it_needs_no_more_than_python_3_9_and_its_library(tmp_path: Path) -> None:
    """Of an older Python where there is one, else of this one."""
    python = next((path for path in pythons() if os.access(path, os.X_OK)), sys.executable)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from nodeagent.main import main;"
        f"sys.exit(main(['--once', '--print', '--state-dir', {str(tmp_path)!r}]))"
    )
    command = [python, "-I", "-S", "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert b"node_sample" in done.stdout
    assert done.stderr == b""
