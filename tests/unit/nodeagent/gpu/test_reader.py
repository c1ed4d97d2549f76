"""The process that asks drivers: it answers, hangs, dies, comes back; no round waits for it."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodeagent.gpu.device import Survey
from nodeagent.gpu.reader import GpuReader
from nodeagent.paths import Paths
from tests.fix_gpu import Standin, gpu, uuid_of

NOWHERE = Paths(*(Path("/nonexistent"),) * 4)


class Clock:
    """A clock that is moved on."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.offset_s


@pytest.fixture
def now() -> Clock:
    return Clock()


@pytest.fixture
def reader(standin: Standin, now: Clock) -> Iterator[GpuReader]:
    reader = GpuReader(NOWHERE, standin.library, limit_s=30, monotonic=now)
    yield reader
    reader.close()


def look(reader: GpuReader) -> Survey:
    deadline = time.monotonic() + 5
    # One that was just killed takes a moment to go.
    while not reader.is_pending() and time.monotonic() < deadline:
        reader.ask()
        time.sleep(0.001)
    survey = reader.answer(20)
    assert survey is not None
    return survey


def test_it_reads_through_a_process_of_its_own(standin: Standin, reader: GpuReader) -> None:
    standin.write("driver 1.2", gpu(0, power=1000), gpu(1))
    survey = look(reader)
    assert [device.uuid for device in survey.devices] == [uuid_of(0), uuid_of(1)]
    assert survey.sources == ("NVML (driver 1.2)",)
    assert not reader.is_pending()
    assert reader.answer(0) is None
    pid = reader._child.pid if reader._child else 0
    look(reader)
    assert reader._child is not None
    assert reader._child.pid == pid


def test_where_no_driver_is_nothing_is_started(now: Clock, tmp_path: Path) -> None:
    roots = Paths(tmp_path, tmp_path, tmp_path, tmp_path)
    reader = GpuReader(roots, None, monotonic=now)
    assert not reader.has_driver()
    reader.ask()
    assert not reader.is_pending()
    (tmp_path / "module/amdgpu").mkdir(parents=True)
    assert reader.has_driver()


def test_a_driver_that_hangs_holds_no_round(
    standin: Standin, reader: GpuReader, now: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    standin.write(gpu(0))
    look(reader)
    standin.write("hang_ms 600000", gpu(0))
    reader.ask()
    assert reader._child is not None
    pid = reader._child.pid
    start = time.monotonic()
    for _ in range(3):
        reader.ask()
        assert reader.answer(0.05) is None
    assert time.monotonic() - start < 1
    assert reader.hangs == 0
    now.offset_s += 31
    assert reader.answer(0.05) is None
    assert reader.hangs == 1
    assert "the driver hangs since 31 s; again in 60 s" in caplog.text
    # Not at once, and then anew.
    standin.write(gpu(0))
    reader.ask()
    assert not reader.is_pending()
    now.offset_s += 61
    assert wait_for_end(pid)
    assert [device.uuid for device in look(reader).devices] == [uuid_of(0)]


def wait_for_end(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if " Z " in Path(f"/proc/{pid}/stat").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_while_the_kernel_holds_a_hung_one_no_other_is_started(
    standin: Standin, reader: GpuReader, now: Clock
) -> None:
    standin.write(gpu(0))
    look(reader)

    class Held:
        over = False

        def is_over(self) -> bool:
            return self.over

    held = Held()
    reader._left_behind.append(held)  # type: ignore[arg-type]
    reader.ask()
    assert not reader.is_pending()
    held.over = True
    look(reader)


def test_a_process_that_was_killed_comes_back(
    standin: Standin, reader: GpuReader, now: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    standin.write(gpu(0))
    look(reader)
    assert reader._child is not None
    pid = reader._child.pid
    os.kill(pid, signal.SIGKILL)
    assert wait_for_end(pid)
    reader.ask()
    assert reader.answer(5) is None
    assert "GPUs are not read" in caplog.text
    now.offset_s += 61
    assert len(look(reader).devices) == 1


def test_a_library_that_fails_is_told_once_and_tried_seldom(
    standin: Standin, reader: GpuReader, now: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    standin.write("init 18")
    with caplog.at_level(logging.WARNING):
        assert look(reader).devices == ()
        reader.ask()
        assert not reader.is_pending()
        now.offset_s += 601
        assert look(reader).devices == ()
    assert caplog.text.count("Driver/library version mismatch") == 2
    standin.write(gpu(0))
    now.offset_s += 601
    assert len(look(reader).devices) == 1


def test_nothing_is_left_when_it_is_closed(standin: Standin, reader: GpuReader) -> None:
    standin.write(gpu(0))
    look(reader)
    assert reader._child is not None
    pid = reader._child.pid
    reader.close()
    assert wait_for_end(pid)
    reader.close()
