"""`tsobs demo` as a newcomer meets it: real processes, a database of its own, a real cgroup."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.asking import get, is_refused, wait_until
from tests.fix_db import TestServer, quick_place
from tests.fix_process import ROOT, Process, StartProcess
from tests.peers import PEERS
from tsobs.demo.cgroups import remove_jobs, tops
from tsobs.demo.folder import Folder
from tsobs.demo.localjob import cgroup_label, why_not
from tsobs.embedded import Cluster

pytestmark = pytest.mark.timeout(240)

SMALL = ("--nodes", "5", "--history-hours", "2")
IS_REAL_JOB = why_not() is None


@pytest.fixture
def folder() -> Iterator[Folder]:
    """An empty folder that every account may enter; nothing of a demo outlives the test."""
    path = Path(tempfile.mkdtemp(prefix="tsobs-demo-", dir=quick_place()))
    path.chmod(0o755)
    found = Folder(path)
    yield found
    Cluster(path).stop()
    if IS_REAL_JOB:
        remove_jobs(tops(cgroup_label(found)))
    shutil.rmtree(path)


Start = Callable[..., Process]


@pytest.fixture
def start(tsobs_process: StartProcess, folder: Folder, server: TestServer) -> Start:
    """Starts a demo in the folder, on a free port unless told otherwise."""

    def start_one(*words: str) -> Process:
        programs = str(server.cluster.server.bin_dir)
        place = ("--data-dir", str(folder.path), "--bin-dir", programs)
        return tsobs_process("demo", "--port", "0", *place, *words)

    return start_one


def running_jobs(url: str) -> dict[str, dict[str, Any]]:
    status, answer = get(f"{url}/v1/jobs?state=running&limit=1000")
    assert status == 200
    return {job["exact_id"]: job for job in answer["jobs"]}


def processes_of(folder: Folder) -> dict[int, str]:
    """The processes whose command line names the folder or that stand in it, and the job's own."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            place = str((entry / "cwd").readlink())
        except OSError:
            continue
        if str(folder.path) in words or place.startswith(str(folder.path)):
            found[int(entry.name)] = words
    return found


def cgroups_of(folder: Folder) -> list[Path]:
    return [top for top in tops(cgroup_label(folder)).values() if top.exists()]


def pids_in(cgroups: list[Path]) -> list[int]:
    files = [path for top in cgroups for path in top.rglob("cgroup.procs")]
    return [int(pid) for path in files for pid in path.read_text().split()]


def check_nothing_is_left(folder: Folder) -> None:
    assert processes_of(folder) == {}
    assert cgroups_of(folder) == []
    assert not Cluster(folder.path).status().running


def promtool() -> str:
    return str(PEERS["promtool-2.42"].path())


def test_a_first_start_lives_and_leaves_nothing_and_a_second_goes_on(
    start: Start, folder: Folder
) -> None:
    demo = start(*SMALL)
    url = demo.ready()
    before = running_jobs(url)
    clusters = {job["cluster"] for job in before.values()}
    assert "simulated" in clusters
    if IS_REAL_JOB:
        assert cgroups_of(folder)
        assert pids_in(cgroups_of(folder))
    greeting = "".join(demo.out)
    assert 'SIMULATED  cluster "simulated": 5 nodes, 4 GPUs' in greeting
    assert greeting.count("  curl ") == 3
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        metrics = answer.read()
    assert b'cluster="simulated"' in metrics
    done = subprocess.run([promtool(), "check", "metrics"], input=metrics, capture_output=True)
    assert done.returncode == 0, done.stderr

    def have_advanced() -> bool:
        now = running_jobs(url)
        still = [job for job in before if job in now]
        return all(
            now[job].get("sample_count", 0) > before[job].get("sample_count", 0)
            and now[job]["last_sample_at"] > before[job].get("last_sample_at", "")
            for job in still
        )

    wait_until(have_advanced, 40)
    if IS_REAL_JOB:
        check_real_job(url)
    assert demo.stop(signal.SIGINT) == 0
    assert is_refused(url)
    assert "Traceback" not in "".join(demo.err)
    check_nothing_is_left(folder)
    check_second_start(start, before)
    check_nothing_is_left(folder)


def check_real_job(url: str) -> None:
    """The burner's share is 20 % of the one CPU that it has."""
    # The first row may be short: the next ones tell.
    wait_until(lambda: running_jobs(url)["local:1.r0.0"]["sample_count"] >= 2, 40)
    job = running_jobs(url)["local:1.r0.0"]
    assert job["name"] == "tsobs-demo-burner"
    assert job["cpu_usage"] == pytest.approx(20, abs=4)
    assert 64 <= job["memory_usage_mb"] <= 80
    _, answer = get(f"{url}/v1/nodes?cluster=local")
    [node] = answer["nodes"]
    assert node["alive"]


def check_second_start(start: Start, before: dict[str, dict[str, Any]]) -> None:
    begun = time.monotonic()
    demo = start("--duration", "1")
    url = demo.ready()
    took_s = time.monotonic() - begun
    jobs = {j["exact_id"]: j for j in get(f"{url}/v1/jobs?limit=1000")[1]["jobs"]}
    assert set(before) <= set(jobs)
    if IS_REAL_JOB:
        assert jobs["local:1.r0.0"]["state"] == "cancelled"
        assert jobs["local:1.r0.0"]["signal"] == signal.SIGTERM
        assert jobs["local:2.r0.0"]["state"] == "running"
    assert demo.wait() == 0
    assert "Traceback" not in "".join(demo.err)
    assert took_s < 10


def test_a_taken_port_says_so(start: Start, folder: Folder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        demo = start("--port", str(port))
        assert demo.wait() == 1
    [line] = demo.err
    assert f"port {port} on 127.0.0.1 is taken" in line
    assert "--port 0" in line
    check_nothing_is_left(folder)


def test_a_killed_demo_takes_its_processes_along_and_the_next_cleans_up(
    start: Start, folder: Folder
) -> None:
    demo = start(*SMALL)
    demo.ready()
    children = demo.children()
    job_pids = pids_in(cgroups_of(folder))
    demo.popen.kill()
    demo.wait()
    gone = [*children, *job_pids]
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in gone), 10)
    again = start("--duration", "1")
    url = again.ready()
    if IS_REAL_JOB:
        _, job = get(f"{url}/v1/jobs/local:1")
        assert job["state"] == "cancelled"
        assert job["signal"] == signal.SIGKILL
        assert get(f"{url}/v1/jobs/local:2")[1]["state"] == "running"
    assert again.wait() == 0
    check_nothing_is_left(folder)


@pytest.mark.parametrize("part", ["agent", "database", "local job"])
def test_a_part_that_dies_is_named_and_all_ends(start: Start, folder: Folder, part: str) -> None:
    if part == "local job" and not IS_REAL_JOB:
        pytest.skip(str(why_not()))
    demo = start("--nodes", "2", "--history-hours", "0")
    demo.ready()
    match part:
        case "agent":
            victims = [pid for pid, words in processes_of(folder).items() if "nodeagent" in words]
        case "database":
            victims = [pid for pid in [Cluster(folder.path).status().pid] if pid]
        case _:
            victims = list(set(pids_in(cgroups_of(folder))))
    [victim] = victims
    os.kill(victim, signal.SIGKILL)
    assert demo.wait() == 1
    assert f"tsobs: the {part} ended: " in "".join(demo.err)
    check_nothing_is_left(folder)


def test_ctrl_c_while_it_starts_leaves_nothing_and_loses_nothing(
    start: Start, folder: Folder
) -> None:
    demo = start("--nodes", "20", "--history-hours", "24")
    demo.wait_for_error("simulated cluster: 20 nodes")
    assert demo.stop(signal.SIGINT) == 130
    assert "Traceback" not in "".join(demo.err)
    check_nothing_is_left(folder)
    again = start("--duration", "1", "--fresh", "--nodes", "2", "--history-hours", "0")
    again.ready()
    assert again.wait() == 0


@pytest.mark.root
def test_an_ordinary_user_has_everything_but_the_real_job(
    folder: Folder, server: TestServer
) -> None:
    own = folder.path / "own"
    own.mkdir()
    os.chown(own, 65534, 65534)
    libraries = Path(pytest.__file__).parents[1]
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", open_python()]
    words += ["-m", "tsobs", "demo", "--port", "0", "--duration", "3"]
    words += ["--nodes", "3", "--history-hours", "1", "--data-dir", str(own / "demo")]
    words += ["--bin-dir", str(server.cluster.server.bin_dir)]
    done = subprocess.run(
        words,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{libraries}"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert "no job of its own: making a cgroup needs root" in done.stdout
    assert 'SIMULATED  cluster "simulated": 3 nodes' in done.stdout
    assert "Traceback" not in done.stderr
    check_nothing_is_left(Folder(own / "demo"))


def open_python() -> str:
    """A Python that `nobody` may run; ours may be in root's home."""
    for python in (Path(sys.executable).resolve(), Path("/usr/bin/python3")):
        reachable = python.exists() and all(f.stat().st_mode & 0o001 for f in python.parents)
        code = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
        if reachable and subprocess.run([str(python), "-c", code]).returncode == 0:
            return str(python)
    pytest.skip("no Python of this version that an ordinary user may run")
