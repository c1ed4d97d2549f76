"""Waiting: for the time, for a wake-up, and never for a plain file."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from nodeagent.watch import Watch


def test_a_wait_takes_its_time() -> None:
    watch = Watch()
    start = time.monotonic()
    assert watch.wait(0.05, {}) == set()
    assert time.monotonic() - start >= 0.05
    watch.close()


def test_a_wake_up_ends_the_current_or_the_next_wait() -> None:
    watch = Watch()
    watch.wake()
    start = time.monotonic()
    watch.wait(10, {})
    assert time.monotonic() - start < 5
    watch.close()
    watch = Watch()
    timer = threading.Timer(0.05, watch.wake)
    timer.start()
    watch.wait(10, {})
    timer.join()
    for _ in range(100_000):  # more than a pipe holds
        watch.wake()
    watch.close()


def test_a_plain_file_never_reports(tmp_path: Path) -> None:
    watch = Watch()
    with (tmp_path / "file").open("w+") as file:
        assert watch.wait(0.01, {file.fileno(): "1"}) == set()
    watch.close()
