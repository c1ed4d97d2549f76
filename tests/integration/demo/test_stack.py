from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tsobs.demo.folder import Folder
from tsobs.demo.options import Options
from tsobs.demo.stack import run_demo
from tsobs.errors import SetupError


def test_a_taken_port_is_known_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=f"port {port} on 127.0.0.1 is taken.*--port 0"):
            run_demo(Options(port=port, data_dir=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["demo.lock"]


def test_two_demos_in_one_folder_are_one_too_many(tmp_path: Path) -> None:
    with Folder(tmp_path).held(), pytest.raises(SetupError, match="another tsobs demo"):
        run_demo(Options(port=0, data_dir=tmp_path))
