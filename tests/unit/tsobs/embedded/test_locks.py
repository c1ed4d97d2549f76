from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tsobs.embedded.locks import exclusive, try_take
from tsobs.embedded.process import run_tool, silent
from tsobs.errors import SetupError


def test_a_second_taker_says_so_and_waits(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    order: list[str] = []
    holding = threading.Event()

    def first() -> None:
        with exclusive(lock, doing="working", progress=silent, wait_s=5):
            holding.set()
            while "another tsobs is working; waiting for it …" not in order:
                pass
            order.append("first is done")

    thread = threading.Thread(target=first)
    thread.start()
    holding.wait(5)
    with exclusive(lock, doing="working", progress=order.append, wait_s=5):
        order.append("second")
    thread.join()
    assert order == ["another tsobs is working; waiting for it …", "first is done", "second"]


def test_waiting_ends(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with (
        exclusive(lock, doing="working", progress=silent, wait_s=5),
        pytest.raises(SetupError, match="has been working for over 0 s"),
        exclusive(lock, doing="working", progress=silent, wait_s=0.1),
    ):
        pass


def test_a_lock_is_free_again_after_its_holder(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    for _ in range(2):
        fd = try_take(lock)
        assert fd is not None
        assert try_take(lock) is None
        os.close(fd)


def test_a_process_that_inherits_the_file_keeps_it_locked(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    fd = try_take(lock)
    assert fd is not None
    pid = int(run_tool(["sh", "-c", "sleep 30 >/dev/null 2>&1 & echo $!"], keep_fds=[fd]))
    os.close(fd)
    try:
        assert try_take(lock) is None
    finally:
        os.kill(pid, 9)


def test_a_tool_keeps_our_lock_when_we_are_gone(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with exclusive(lock, doing="working", progress=silent, wait_s=5):
        pid = int(run_tool(["sh", "-c", "sleep 30 >/dev/null 2>&1 & echo $!"]))
    try:
        assert try_take(lock) is None
    finally:
        os.kill(pid, 9)
