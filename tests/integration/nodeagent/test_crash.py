"""Killed at every step of writing, sending and forgetting: each use is counted once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.nodeagent.conftest import ROOT, Receiver

# Kills its own process before the n-th system call that changes a file, or the n-th request.
_RUNNER = """
import os, signal, sys, http.client
left = int(sys.argv.pop(1))
def killing(call):
    def wrapped(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return wrapped
for name in ("write", "fsync", "replace", "rename", "unlink"):
    setattr(os, name, killing(getattr(os, name)))
connection = http.client.HTTPConnection
connection.request = killing(connection.request)
connection.getresponse = killing(connection.getresponse)
from nodeagent.main import main
sys.exit(main())
"""
SCOPE = "cgroup/system.slice/n1_slurmstepd.scope"


class Node:
    """A node with one job whose counter we turn by hand."""

    def __init__(self, root: Path, receiver: Receiver) -> None:
        self.root = root
        self.receiver = receiver
        self.used_usec = 0
        for name in ("cgroup", "proc", "sys", "etc"):
            (root / name).mkdir(parents=True)
        (root / "etc/machine-id").write_text("0" * 31 + "1\n")
        (root / "cgroup/cgroup.controllers").write_text("")
        boot_id = root / "proc/sys/kernel/random/boot_id"
        boot_id.parent.mkdir(parents=True)
        boot_id.write_text("boot-1\n")
        self.folder = root / SCOPE / "job_5"

    def use(self, usec: int) -> None:
        """Let the job use some CPU."""
        self.used_usec += usec
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "cgroup.events").write_text("populated 1\n")
        (self.folder / "cpu.stat").write_text(f"user_usec {self.used_usec}\nsystem_usec 0\n")

    def run(self, kill_at: int = 0, url: str | None = None) -> int:
        """Run one round; kill_at 0 never kills. Return the exit status."""
        timeout_s = 0.1 if url else 5
        arguments = ["--once", "--node-name=n1", f"--timeout={timeout_s}", "--log-level=error"]
        arguments += [f"--url={url or self.receiver.url}", f"--state-dir={self.root / 'state'}"]
        arguments += [f"--{n}-root={self.root / n}" for n in ("cgroup", "proc", "sys", "etc")]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", _RUNNER, str(kill_at), *arguments]
        return subprocess.run(command, env=environ, timeout=30, check=False).returncode


@pytest.fixture
def node(tmp_path: Path, receiver: Receiver) -> Node:
    node = Node(tmp_path / "node", receiver)
    assert node.run() == 0
    return node


def test_killed_at_every_step(node: Node, receiver: Receiver) -> None:
    killed = 0
    for step in range(1, 60):
        node.use(1_000_000)
        status = node.run(step)
        if status == 0:
            break
        assert status == -9
        killed += 1
    assert killed >= 6
    node.use(1_000_000)
    assert node.run() == 0
    assert receiver.cpu_s("5") == pytest.approx(node.used_usec / 1e6)
    seqs = [seq for _, seq in receiver.order]
    assert seqs == list(range(1, len(seqs) + 1))


def test_killed_at_every_step_of_a_long_outage(node: Node, receiver: Receiver) -> None:
    """With batches moving from the state file to the spool, and then a conflict that renumbers
    them."""
    nobody = "http://127.0.0.1:1"
    killed = 0
    for step in range(30):
        node.use(1_000_000)
        killed += node.run(step // 2 % 10 + 1 if step % 2 else 0, url=nobody) == -9
    assert killed >= 8
    assert list((node.root / "state/spool").glob("*.json.gz"))
    stream = receiver.order[0][0]
    receiver.taken_streams.add(stream)
    for step in range(2, 60, 3):
        node.use(1_000_000)
        if node.run(step) == 0:
            break
    node.use(1_000_000)
    assert node.run() == 0
    assert receiver.cpu_s("5") == pytest.approx(node.used_usec / 1e6)
    # One batch before the stream was taken, the others under the new one, without a gap.
    streams = {name for name, _ in receiver.order}
    assert len(streams) == 2
    seqs = sorted(seq for name, seq in receiver.order if name != stream)
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def test_answers_lost_on_the_way_back(node: Node, receiver: Receiver) -> None:
    receiver.lose_every = 2
    for _ in range(10):
        node.use(1_000_000)
        node.run()
    receiver.lose_every = 0
    assert node.run() == 0
    assert receiver.cpu_s("5") == pytest.approx(node.used_usec / 1e6)


def test_a_damaged_state_file_counts_nothing_twice(node: Node, receiver: Receiver) -> None:
    node.use(1_000_000)
    assert node.run() == 0
    state = node.root / "state/state"
    state.write_bytes(state.read_bytes()[:-20])
    node.use(2_000_000)
    assert node.run() == 0
    node.use(4_000_000)
    assert node.run() == 0
    # What was used between the damage and the first reading after it is unknown.
    assert receiver.cpu_s("5") == pytest.approx(5.0)
    assert len({stream for stream, _ in receiver.order}) == 2
    assert list((node.root / "state").glob("state.damaged-*"))


def test_a_full_disk_loses_nothing(node: Node, receiver: Receiver) -> None:
    small = node.root / "state"
    node.use(1_000_000)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("may not mount a small file system")
    try:
        assert node.run() == 0
        (small / "filler").write_bytes(b"")
        with (small / "filler").open("ab", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)) == 4096:
                    continue
            except OSError:
                pass
        before = len(receiver.order)
        node.use(2_000_000)
        assert node.run() == 0
        assert len(receiver.order) == before
        (small / "filler").unlink()
        node.use(4_000_000)
        assert node.run() == 0
    finally:
        subprocess.run(["umount", str(small)], check=True)
    last: dict[str, Any] = receiver.rows("5")[-1]
    assert last["cpu_user_s"] == 6.0
    assert json.dumps(last)
