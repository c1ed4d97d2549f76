from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fix_db import TestServer
from tsobs.embedded import Cluster, cluster, ensure_running, postmaster, state
from tsobs.embedded.locks import try_take
from tsobs.embedded.process import ToolFailed, run_tool
from tsobs.embedded.server import Server
from tsobs.errors import SetupError

MakeCluster = Callable[..., Cluster]


@pytest.fixture(scope="session")
def programs(server: TestServer) -> Server:
    """The programs that this run's tests are on."""
    return server.cluster.server


@pytest.fixture(scope="session")
def seed(programs: Server, data_folder: Path) -> Path:
    """The data of a stopped cluster, to be copied: initdb takes a second."""
    folder = data_folder / "seed"
    made = Cluster(folder, programs.bin_dir, durable=False)
    made.start()
    made.stop()
    return folder


@pytest.fixture
def place(seed: Path, data_path: Path) -> Path:
    """A folder with a copy of that data."""
    folder = data_path / "place"
    run_tool(["cp", "--archive", seed, folder])
    return folder


@pytest.fixture
def make_cluster(programs: Server) -> Iterator[MakeCluster]:
    """Make a `Cluster` object on a folder; what it started is stopped after the test."""
    folders: set[Path] = set()

    def make(folder: Path, progress: Callable[[str], None] = lambda line: None) -> Cluster:
        folders.add(folder)
        return Cluster(folder, programs.bin_dir, durable=False, progress=progress)

    yield make
    for folder in folders:
        Cluster(folder).stop()


def ask(server: Cluster, sql: str) -> str:
    """The answer of a database server, by its own psql."""
    return run_tool([server.server.bin_dir / "psql", server.url(), "-AtXqc", sql]).strip()


def test_it_is_made_started_asked_and_stopped(
    make_cluster: MakeCluster, data_path: Path, programs: Server
) -> None:
    lines: list[str] = []
    one = make_cluster(data_path / "new", lines.append)
    assert not one.status().running
    one.start()
    status = one.status()
    assert status.running
    assert lines == [f"making a database in {data_path}/new/postgres …"]
    assert ask(one, "SHOW server_version").startswith(programs.version)
    ask(one, "CREATE EXTENSION timescaledb")
    ask(one, "CREATE TABLE m (t timestamptz NOT NULL, v float)")
    ask(one, "SELECT create_hypertable('m', by_range('t'))")
    assert ask(one, "SELECT upper('grün')") == "GRÜN"
    expected = "timescale" if programs.edition == "community" else "apache"
    assert ask(one, "SHOW timescaledb.license") == expected
    one.start()
    assert one.status() == status
    assert one.stop()
    assert not one.stop()
    assert one.status() == cluster.Status(running=False, pid=None, port=None)
    one.start()
    assert one.status().port == status.port
    assert ask(one, "SELECT count(*) FROM m") == "0"


def test_ensure_running_gives_a_url_that_works(
    place: Path, make_cluster: MakeCluster, programs: Server
) -> None:
    url = ensure_running(place, bin_dir=programs.bin_dir)
    assert url == make_cluster(place).url() == ensure_running(place)
    assert run_tool([programs.bin_dir / "psql", url, "-AtXc", "SELECT 1"]) == "1\n"


def test_nobody_gets_in_without_the_password(place: Path, make_cluster: MakeCluster) -> None:
    one = make_cluster(place)
    one.start()
    psql = one.server.bin_dir / "psql"
    doors = ["127.0.0.1", str(one.folder / "run")]
    for host in doors:
        with pytest.raises(ToolFailed, match=r"(password|fe_sendauth)"):
            run_tool(
                [psql, "-w", "-h", host, "-U", "tsobs", "-d", "tsobs", "-c", "SELECT 1"],
                env={"PGPORT": str(one.status().port)},
            )
    assert one.folder.stat().st_mode & 0o777 == 0o700
    assert ask(one, "SHOW listen_addresses") == "127.0.0.1"


def test_a_killed_server_is_followed_by_a_new_one(place: Path, make_cluster: MakeCluster) -> None:
    lines: list[str] = []
    one = make_cluster(place, lines.append)
    one.start()
    ask(one, "CREATE TABLE kept AS SELECT 1 AS x")
    endless = "SELECT sum(g) FROM generate_series(1, 1e10) g"
    busy = subprocess.Popen(
        [one.server.bin_dir / "psql", one.url(), "-qXc", endless], stderr=subprocess.DEVNULL
    )
    with busy:
        running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT sum(g)%'"
        assert postmaster.wait_until(lambda: ask(one, running) == "1", 5)
        pid = one.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert postmaster.wait_until(lambda: not one.status().running, 5)
        one.start()
        assert busy.wait(10) != 0
    assert "the former server was killed; ending what it left running …" in lines
    assert one.status().pid != pid
    assert ask(one, "SELECT x FROM kept") == "1"


def test_everything_killed_at_once_as_by_a_power_cut(
    place: Path, make_cluster: MakeCluster
) -> None:
    one = make_cluster(place)
    one.start()
    ask(one, "CREATE TABLE kept AS SELECT 1 AS x")
    port = one.status().port
    for pid in [one.status().pid, *postmaster._workers(one.pgdata)]:
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    assert postmaster.wait_until(lambda: not one.status().running, 5)
    # After a reboot the number may be that of any process, even one of the same user.
    with subprocess.Popen(["sleep", "60"], cwd="/") as other:
        for name in ("data/postmaster.pid", f"run/.s.PGSQL.{port}.lock"):
            path = one.folder / name
            lines = path.read_text().splitlines()
            path.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        assert not one.status().running
        assert not one.stop()
        one.start()
        assert other.poll() is None
        other.kill()
    assert ask(one, "SELECT x FROM kept") == "1"


def test_many_starts_at_once_make_one_server(data_path: Path, make_cluster: MakeCluster) -> None:
    found: list[object] = []
    gate = threading.Barrier(4)

    def start() -> None:
        one = make_cluster(data_path / "new")
        gate.wait()
        try:
            one.start()
            found.append(one.status())
        except BaseException as error:
            found.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert isinstance(found[0], cluster.Status)


def test_clusters_side_by_side_get_ports_of_their_own(
    seed: Path, data_path: Path, make_cluster: MakeCluster
) -> None:
    clusters = []
    for number in range(3):
        run_tool(["cp", "--archive", seed, data_path / f"place{number}"])
        clusters.append(make_cluster(data_path / f"place{number}"))
    threads = [threading.Thread(target=one.start) for one in clusters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.status().port for one in clusters} - {None}) == 3


def test_a_taken_port_is_left_for_another(place: Path, make_cluster: MakeCluster) -> None:
    lines: list[str] = []
    one = make_cluster(place, lines.append)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        known = state.load(one.folder / "state.json")
        assert known is not None
        known.port = taken
        state.save(one.folder / "state.json", known)
        one.start()
        port = one.status().port
        assert port != taken
        assert lines == [f"port {taken} is taken; using {port}"]
        assert ask(one, "SELECT 1") == "1"


def test_half_an_initdb_is_made_good(data_path: Path, make_cluster: MakeCluster) -> None:
    one = make_cluster(data_path / "new")
    half = one.folder / "data.new-abc/base"
    half.mkdir(parents=True)
    one.start()
    assert ask(one, "SELECT 1") == "1"
    assert not half.parent.exists()


def test_a_start_killed_half_way_is_made_good(
    data_path: Path, make_cluster: MakeCluster, programs: Server
) -> None:
    code = (
        "import sys, pathlib\nfrom tsobs.embedded import Cluster\n"
        "Cluster(*map(pathlib.Path, sys.argv[1:]), durable=False).start()\n"
    )
    words = [sys.executable, "-c", code, str(data_path / "new"), str(programs.bin_dir)]
    one = make_cluster(data_path / "new")
    for step in ("data.new-*/base/1", "data", "data/postmaster.pid"):
        with subprocess.Popen(words) as process:
            postmaster.wait_until(lambda: bool(list(one.folder.glob(step))), 10)  # noqa: B023
            process.kill()
    one.start()
    assert ask(one, "SELECT 1") == "1"


def test_data_of_another_version_are_told(place: Path, make_cluster: MakeCluster) -> None:
    one = make_cluster(place)
    (one.pgdata / "PG_VERSION").write_text("13\n")
    with pytest.raises(SetupError, match=r"PostgreSQL 13, .* --bin-dir"):
        one.start()


def test_a_failed_start_shows_the_log(place: Path, make_cluster: MakeCluster) -> None:
    one = make_cluster(place)
    (one.pgdata / "local.conf").write_text("no_such_setting = 1\n")
    (one.pgdata / "local.conf").chmod(0o644)
    with pytest.raises(SetupError, match=r"did not start(.|\n)*no_such_setting"):
        one.start()
    (one.pgdata / "local.conf").write_text("work_mem = '7MB'\n")
    one.start()
    assert ask(one, "SHOW work_mem") == "7MB"


def test_data_in_use_out_of_sight_are_left_alone(
    place: Path, make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postmaster, "ORPHAN_WAIT_S", 0.2)
    one = make_cluster(place)
    # As the processes of a server in another container would hold it.
    held = try_take(one.folder / "server.lock")
    assert held is not None
    with pytest.raises(SetupError, match="in use by a server that cannot be seen"):
        one.start()
    os.close(held)
    one.start()


def test_ctrl_c_in_the_terminal_leaves_the_server_alone(
    place: Path, make_cluster: MakeCluster, programs: Server
) -> None:
    code = (
        "import sys, pathlib, time\nfrom tsobs.embedded import ensure_running\n"
        "ensure_running(pathlib.Path(sys.argv[1]), bin_dir=pathlib.Path(sys.argv[2]))\n"
        "print('up', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(place), str(programs.bin_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        os.killpg(process.pid, signal.SIGINT)
        process.wait(10)
    assert ask(make_cluster(place), "SELECT 1") == "1"


def test_a_deep_folder_is_served_over_loopback_alone(
    seed: Path, data_path: Path, make_cluster: MakeCluster
) -> None:
    deep = data_path / ("d" * 60) / ("e" * 60)
    deep.parent.mkdir()
    run_tool(["cp", "--archive", seed, deep])
    one = make_cluster(deep)
    one.start()
    assert ask(one, "SHOW unix_socket_directories") == ""


@pytest.mark.root
def test_a_small_disk_is_told_beforehand(
    small_disk: Callable[..., Path], make_cluster: MakeCluster
) -> None:
    with pytest.raises(SetupError, match=r"needs 150 MB in .*--data-dir"):
        make_cluster(small_disk("5m") / "new").start()


@pytest.mark.root
def test_a_disk_too_full_for_initdb_is_told(
    small_disk: Callable[..., Path], make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if another program took the room after we looked.
    monkeypatch.setattr(cluster, "MINIMUM_FREE_BYTES", 0)
    disk = small_disk("20m")
    one = make_cluster(disk / "new")
    with pytest.raises(SetupError, match=r"The disk of .* is full"):
        one.start()
    run_tool(["mount", "-o", "remount,size=300m", disk])
    one.start()
    assert ask(one, "SELECT 1") == "1"
    one.stop()


@pytest.mark.root
def test_a_disk_that_ran_full_is_told(
    seed: Path, small_disk: Callable[..., Path], make_cluster: MakeCluster
) -> None:
    disk = small_disk("100m")
    run_tool(["cp", "--archive", seed, disk / "place"])
    one = make_cluster(disk / "place")
    with pytest.raises(ToolFailed, match="No space left"):
        run_tool(["dd", "if=/dev/zero", f"of={disk}/filler", "bs=64k"])
    with pytest.raises(SetupError, match=r"The disk of .* is full"):
        one.start()
    (disk / "filler").unlink()
    one.start()
    assert ask(one, "SELECT 1") == "1"
    one.stop()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_is_told_of_a_folder_that_the_servers_account_cannot_enter(
    data_path: Path, make_cluster: MakeCluster
) -> None:
    (data_path / "closed").mkdir(mode=0o700)
    with pytest.raises(SetupError, match=r"may not enter .*closed .*--data-dir"):
        make_cluster(data_path / "closed").start()
