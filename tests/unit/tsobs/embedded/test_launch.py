from __future__ import annotations

import time
from pathlib import Path

import pytest

from tsobs.embedded.launch import Launch
from tsobs.embedded.process import ToolFailed, silent
from tsobs.embedded.server import Server

SERVER = Server(Path("/srv/bin"), 17, "17.5", "2.19.3", "apache")


def launch(folder: Path) -> Launch:
    return Launch(
        folder=folder,
        server=SERVER,
        account=None,
        durable=True,
        settings={"work_mem": "7MB", "listen_addresses": "*"},
        setting="TSOBS_X",
        progress=silent,
        remember=lambda known: None,
    )


@pytest.mark.parametrize(
    ("folder", "socket"),
    [("/srv/db", "/srv/db/run"), ("/" + "d" * 88, ""), ("/srv/a,b", ""), ("/srv/it's", "")],
)
def test_a_socket_is_offered_where_its_path_will_do(folder: str, socket: str) -> None:
    addresses = launch(Path(folder))._addresses(15432)
    assert addresses["unix_socket_directories"] == socket
    assert addresses["listen_addresses"] == "127.0.0.1"


def test_given_settings_win_but_not_over_where_it_listens(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    launch(tmp_path)._write_conf(15433)
    conf = tmp_path / "data/tsobs.conf"
    lines = conf.read_text().splitlines()
    assert "work_mem = '7MB'" in lines
    assert "listen_addresses = '127.0.0.1'" in lines
    assert "port = '15433'" in lines
    assert conf.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["tsobs.conf"]


def test_the_end_of_the_log_is_told(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    lines = "".join(f"line {number}\n" for number in range(50))
    (tmp_path / "log/start.log").write_text(lines)
    one = launch(tmp_path)
    tail = one._log_since(time.time())
    assert tail.splitlines() == [f"line {number}" for number in range(35, 50)]
    message = one._explained(ToolFailed(["pg_ctl"], 1, ""), tail).message
    assert message.endswith("    line 48\n    line 49")
    assert one._log_since(time.time() + 60) == ""


def test_a_full_disk_in_the_log_is_told_as_such(tmp_path: Path) -> None:
    said = "FATAL: could not write lock file: No space left on device"
    error = launch(tmp_path)._explained(ToolFailed(["pg_ctl"], 1, said), said)
    assert "is full" in error.message
    assert "TSOBS_X" in error.message
