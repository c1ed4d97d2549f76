from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tsobs.embedded import postmaster


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """The process id of a program that has nothing to do with any database."""
    with subprocess.Popen(["sleep", "60"], cwd="/") as process:
        yield process.pid
        process.kill()


def write_pid(pgdata: Path, pid: object, status: str = "ready") -> None:
    lines = [str(pid), str(pgdata), "1700000000", "15432", "/run", "127.0.0.1", "1 2", status]
    (pgdata / "postmaster.pid").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("content", [None, "", "\n", "not a number\n", "999999999\n"])
def test_no_process_no_server(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "postmaster.pid").write_text(content)
    assert postmaster.find(tmp_path) is None
    assert not postmaster.stop(tmp_path, deadline_s=1)


def test_another_programs_process_id_is_no_server(tmp_path: Path, elsewhere: int) -> None:
    write_pid(tmp_path, elsewhere)
    assert postmaster.find(tmp_path) is None
    assert not postmaster.stop(tmp_path, deadline_s=1)
    os.kill(elsewhere, 0)


def test_a_process_that_lives_in_the_folder_is_the_server(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path) as process:
        write_pid(tmp_path, process.pid)
        assert postmaster.find(tmp_path) == process.pid
        process.kill()
        # It is a zombie until we wait for it.
        assert postmaster.wait_until(lambda: postmaster.find(tmp_path) is None, 5)


@pytest.mark.parametrize(("status", "ready"), [("ready   ", True), ("starting", False)])
def test_it_says_when_it_is_ready(tmp_path: Path, status: str, ready: bool) -> None:
    assert not postmaster.is_ready(tmp_path)
    write_pid(tmp_path, 1, status)
    assert postmaster.is_ready(tmp_path) is ready


def test_stop_insists(tmp_path: Path) -> None:
    script = "trap '' INT; touch deaf; while :; do sleep 0.02; done"
    with subprocess.Popen(["sh", "-c", script], cwd=tmp_path) as process:
        write_pid(tmp_path, process.pid)
        assert postmaster.wait_until((tmp_path / "deaf").exists, 5)
        assert postmaster.stop(tmp_path, deadline_s=0.2)
        assert process.wait() == -signal.SIGQUIT


def test_only_database_processes_are_ended_as_orphans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postmaster, "ORPHAN_WAIT_S", 0.2)
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path) as process:
        assert not postmaster.end_orphans(tmp_path, lambda: False)
        assert process.poll() is None
        process.kill()
    assert postmaster.end_orphans(tmp_path, lambda: True)
