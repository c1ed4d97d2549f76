from __future__ import annotations

import errno
import shutil
import signal
from pathlib import Path

import pytest

from tsobs.embedded.disk import disk_errors, require_free
from tsobs.embedded.process import ToolFailed
from tsobs.errors import SetupError

FULL = "is full.*TSOBS_X"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told(tmp_path: Path, number: int) -> None:
    with (
        pytest.raises(SetupError, match=FULL) as caught,
        disk_errors(tmp_path, setting="TSOBS_X"),
    ):
        raise OSError(number, "said the kernel")
    assert str(tmp_path) in caught.value.message


@pytest.mark.parametrize(
    "failed",
    [
        ToolFailed(["tar"], 2, "tar: usr/x: Cannot write: No space left on device"),
        ToolFailed(["initdb"], 1, "could not extend file: Disk quota exceeded"),
        ToolFailed(["apt-get"], 100, "E: You don't have enough free space in /tmp/."),
        ToolFailed(["dpkg"], -signal.SIGXFSZ, ""),
    ],
)
def test_a_tool_on_a_full_disk_is_told(tmp_path: Path, failed: ToolFailed) -> None:
    with pytest.raises(SetupError, match=FULL), disk_errors(tmp_path, setting="TSOBS_X"):
        raise failed


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_closed_folder_is_told_by_its_name(tmp_path: Path, number: int) -> None:
    with (
        pytest.raises(SetupError, match=r"Cannot write to /x/y: no.*TSOBS_X"),
        disk_errors(tmp_path, setting="TSOBS_X"),
    ):
        raise OSError(number, "no", "/x/y")


@pytest.mark.parametrize("error", [OSError(errno.EIO, "io"), ToolFailed(["x"], 1, "broken")])
def test_other_errors_pass(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, disk_errors(tmp_path, setting="TSOBS_X"):
        raise error
    assert caught.value is error


def test_room_is_asked_for_where_the_folder_will_be(tmp_path: Path) -> None:
    free_bytes = shutil.disk_usage(tmp_path).free
    require_free(tmp_path / "not/there/yet", 1, "It", setting="TSOBS_X")
    with pytest.raises(SetupError, match=r"It needs \d+ MB in .*TSOBS_X"):
        require_free(tmp_path / "not/there/yet", free_bytes * 2, "It", setting="TSOBS_X")
