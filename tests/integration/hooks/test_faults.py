"""The fault table: each hook exits 0 within 5 s, and what can be told later waits."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integration.hooks.receiving import Receiver
from tests.integration.hooks.running import HOOKS, MOST_S, Hooks, Ran

EVERY = ("prolog", "epilog", "prolog_slurmctld", "epilog_slurmctld")
KINDS = ["job-finished", "job-finished", "job-started", "job-started"]
# Commands in a mount namespace of their own, then the hook.
PRIVATE = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
OTHER_BINS = ("/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/slurm/bin")


def private(*commands: str) -> tuple[str, ...]:
    return (*PRIVATE, " && ".join((*commands, 'exec "$@"')), "sh")


def without(folder: Path, *names: str) -> tuple[str, ...]:
    """A machine that lacks these programs: links to all others in the place of /usr/bin."""
    real, links = folder / "real", folder / "links"
    real.mkdir()
    links.mkdir()
    for path in Path("/usr/bin").iterdir():
        if path.name not in names:
            (links / path.name).symlink_to(real / path.name)
    assert not any((Path(place) / name).exists() for place in OTHER_BINS for name in names)
    return private(f"mount --bind /usr/bin {real}", f"mount --bind {links} /usr/bin")


def run_all(hooks: Hooks, environment: Mapping[str, str], **options: Any) -> list[Ran]:
    """All four at once; each must be as every hook is."""
    settings = {"ASK_AGAIN": "no", **options}
    with ThreadPoolExecutor() as pool:
        every = list(pool.map(lambda hook: hooks.run(hook, environment, **settings), EVERY))
    for hook, ran in zip(EVERY, every, strict=True):
        assert ran.status == 0, (hook, ran)
        assert ran.took_s < MOST_S, (hook, ran)
    return every


def kinds(hooks: Hooks) -> list[str]:
    return sorted(path.name.split(".")[1] for path in hooks.waiting())


def delivered_later(hooks: Hooks, receiver: Receiver, job: Mapping[str, str]) -> None:
    """Another job's prolog finds all four events and sends them."""
    assert kinds(hooks) == KINDS
    assert hooks.run("prolog", {**job, "SLURM_JOB_ID": "78"}, URL=receiver.url).status == 0
    assert sorted(receiver.kinds()) == sorted([*KINDS, "job-started"])
    assert list(hooks.spool.glob("*.json*")) == []


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_server_down(hooks: Hooks, receiver: Receiver, job: dict[str, str]) -> None:
    run_all(hooks, job)
    delivered_later(hooks, receiver, job)


def test_server_hanging(hooks: Hooks, receiver: Receiver, job: dict[str, str], silent: str) -> None:
    run_all(hooks, job, URL=silent)
    assert "no answer in time" in hooks.logged() or "timed out" in hooks.logged()
    delivered_later(hooks, receiver, job)


def test_server_hanging_however_long_the_admin_would_wait(
    hooks: Hooks, job: dict[str, str], silent: str
) -> None:
    run_all(hooks, job, URL=silent, TIMEOUT="600")
    assert kinds(hooks) == KINDS


@pytest.mark.parametrize("status", [302, 401, 403, 404, 429, 500, 502, 503])
def test_server_refusing_for_now(
    hooks: Hooks, receiver: Receiver, job: dict[str, str], status: int
) -> None:
    receiver.answer = (status, '{"error":"x","message":"not now"}')
    run_all(hooks, job, URL=receiver.url)
    receiver.events.clear()
    receiver.answer = (200, '{"status":"created","job_id":"77","message":""}')
    delivered_later(hooks, receiver, job)


@pytest.mark.parametrize("status", [200, 400])
def test_an_answer_of_something_else(
    hooks: Hooks, receiver: Receiver, job: dict[str, str], status: int
) -> None:
    """A proxy's or portal's page is neither a yes nor a no."""
    receiver.answer = (status, "<html>Welcome</html>")
    run_all(hooks, job, URL=receiver.url)
    assert kinds(hooks) == KINDS


@pytest.mark.root
def test_no_curl(hooks: Hooks, receiver: Receiver, job: dict[str, str]) -> None:
    run_all(hooks, job, URL=receiver.url, prefix=without(hooks.folder, "curl"))
    assert receiver.events == []
    assert "curl: not found" in hooks.logged()
    delivered_later(hooks, receiver, job)


@pytest.mark.root
def test_no_scontrol(hooks: Hooks, receiver: Receiver, job: dict[str, str]) -> None:
    (hooks.programs / "scontrol").unlink()
    lacking = without(hooks.folder, "scontrol", "setsid", "nvidia-smi", "rocm-smi")
    run_all(hooks, job, URL=receiver.url, prefix=lacking, ASK_AGAIN="5")
    assert sorted(receiver.kinds()) == KINDS


def test_slow_programs(hooks: Hooks, receiver: Receiver, job: dict[str, str]) -> None:
    for name in ("scontrol", "nvidia-smi", "rocm-smi"):
        hooks.program(name, "#!/bin/bash\ntrap '' TERM\nread -r -t 20 _ <>/dev/ptmx\n")
    run_all(hooks, job | {"SLURM_JOB_GPUS": "0"}, URL=receiver.url)
    assert sorted(receiver.kinds()) == KINDS


def test_programs_that_never_stop_talking(
    hooks: Hooks, receiver: Receiver, job: dict[str, str]
) -> None:
    for name in ("scontrol", "nvidia-smi", "rocm-smi"):
        hooks.program(name, "#!/bin/bash\nexec timeout 10 yes '{\"jobs\":[{'\n")
    run_all(hooks, job | {"SLURM_JOB_GPUS": "0"}, URL=receiver.url)
    assert sorted(receiver.kinds()) == KINDS


@pytest.mark.root
def test_dns_dead(hooks: Hooks, receiver: Receiver, job: dict[str, str]) -> None:
    """A name server that takes questions and never answers."""
    resolv = hooks.folder / "resolv.conf"
    resolv.write_text("nameserver 127.77.0.1\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as names:
        names.bind(("127.77.0.1", 53))
        run_all(
            hooks,
            job,
            URL="http://tsobs.example.org:8080",
            prefix=private(f"mount --bind {resolv} /etc/resolv.conf"),
        )
        assert names.recv(512)
    delivered_later(hooks, receiver, job)


def test_log_unwritable(hooks: Hooks, receiver: Receiver, job: dict[str, str]) -> None:
    (hooks.folder / "file").touch()
    every = run_all(hooks, job, URL=receiver.url, LOG=str(hooks.folder / "file/hooks.log"))
    assert sorted(receiver.kinds()) == KINDS
    assert all("sent: updated" in ran.printed for ran in every)


def test_log_hanging(hooks: Hooks, receiver: Receiver, job: dict[str, str]) -> None:
    """As on a dead network file system: the hook leaves its worker behind."""
    os.mkfifo(hooks.folder / "fifo")
    run_all(hooks, job, URL=receiver.url, LOG=str(hooks.folder / "fifo"))
    assert sorted(receiver.kinds()) == KINDS


def test_spool_and_state_unwritable(hooks: Hooks, receiver: Receiver, job: dict[str, str]) -> None:
    (hooks.folder / "file").touch()
    nowhere = str(hooks.folder / "file/sub")
    run_all(hooks, job, URL=receiver.url, SPOOL=nowhere, STATE=nowhere)
    assert sorted(receiver.kinds()) == KINDS
    run_all(hooks, job, SPOOL=nowhere, STATE=nowhere)
    assert hooks.logged().count("LOST") == 4


@pytest.mark.root
def test_disk_full(hooks: Hooks, receiver: Receiver, job: dict[str, str]) -> None:
    disk = hooks.folder / "disk"
    disk.mkdir()
    full = private(
        f"mount -t tmpfs -o size=8k,nr_inodes=8 none {disk}",
        f"mkdir {disk}/spool {disk}/state",
        f"(cat /dev/zero >{disk}/filler 2>/dev/null || :)",
    )
    places = {"SPOOL": f"{disk}/spool", "STATE": f"{disk}/state", "LOG": f"{disk}/hooks.log"}
    run_all(hooks, job, URL=receiver.url, prefix=full, **places)
    assert sorted(receiver.kinds()) == KINDS
    every = run_all(hooks, job, prefix=full, **places)
    assert all("LOST" in ran.printed for ran in every)


def test_files_cut_short(hooks: Hooks, job: dict[str, str]) -> None:
    """No file may have a byte: no half event is left for anybody to send."""
    run_all(hooks, job, prefix=("bash", "-c", 'ulimit -f 0; exec "$@"', "bash"))
    assert [path for path in hooks.spool.iterdir() if path.is_file()] == []


@pytest.mark.parametrize("hook", EVERY)
def test_no_job_in_the_environment(hooks: Hooks, hook: str) -> None:
    assert hooks.run(hook, {}).status == 0
    assert "SLURM_JOB_ID is not set" in hooks.logged()
    assert hooks.waiting() == []


@pytest.mark.root
@pytest.mark.parametrize("hook", EVERY)
def test_empty_environment(hook: str) -> None:
    """Not even our settings; the log is then where it is by default."""
    unshare = shutil.which("unshare")
    assert unshare
    show = "cat /var/log/tsobs/*.log; exit $status"
    script = f'mount -t tmpfs none /var/log && "$1"; status=$?; {show}'
    done = subprocess.run(
        [unshare, *PRIVATE[1:-2], "/bin/sh", "-c", script, "sh", HOOKS / f"{hook}.sh"],
        env={},
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )
    assert done.returncode == 0
    assert "SLURM_JOB_ID is not set" in done.stdout


@pytest.mark.parametrize("job_id", ["../../x", "a b", "-1", "x" * 200, "1\n2", '"'])
def test_an_odd_job_id(hooks: Hooks, job: dict[str, str], job_id: str) -> None:
    run_all(hooks, job | {"SLURM_JOB_ID": job_id})
    assert hooks.waiting() == []


def test_ten_thousand_nodes_and_a_hanging_server(
    hooks: Hooks, job: dict[str, str], silent: str
) -> None:
    listed = {"SLURM_NODELIST": "c[00001-10000]", "SLURM_JOB_CPUS_PER_NODE": "128(x10000)"}
    run_all(hooks, job | listed | {"SLURMD_NODENAME": "c00001"}, URL=silent)
    assert kinds(hooks) == KINDS


@pytest.mark.parametrize("hook", EVERY)
@pytest.mark.parametrize("text", [None, "if then ((", "return 3\n"])
def test_the_shared_file_missing_or_damaged(
    hooks: Hooks, job: dict[str, str], hook: str, text: str | None
) -> None:
    alone = hooks.folder / "alone"
    alone.mkdir()
    shutil.copy(HOOKS / f"{hook}.sh", alone)
    if text is not None:
        (alone / "tsobs_hooks.bash").write_text(text)
    ran = hooks.run(hook, job, path=alone)
    assert ran.status == 0
    assert "tsobs_hooks.bash is missing or damaged" in hooks.logged()


def test_the_shared_file_run_as_a_hook_does_nothing(hooks: Hooks, job: dict[str, str]) -> None:
    """As `Prolog=/etc/slurm/prolog.d/*` would run it; one that cannot be run drains the node."""
    done = subprocess.run(
        [HOOKS / "tsobs_hooks.bash"], env=job, capture_output=True, check=False, timeout=10
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert hooks.waiting() == []


def test_a_link_finds_what_is_beside_its_target(hooks: Hooks, job: dict[str, str]) -> None:
    links = hooks.folder / "prolog.d"
    links.mkdir()
    (links / "prolog.sh").symlink_to(HOOKS / "prolog.sh")
    assert hooks.run("prolog", job, path=links).status == 0
    assert len(hooks.waiting()) == 1


@pytest.mark.parametrize(
    "text", ["exit 7\n", "if then\n", "set -e; false\n", "kill -9 $BASHPID\n", "unset IFS PATH\n"]
)
def test_a_broken_settings_file(hooks: Hooks, job: dict[str, str], text: str) -> None:
    (hooks.folder / "hooks.conf").write_text(text)
    run_all(hooks, job)


def test_interrupted_by_slurm(hooks: Hooks, job: dict[str, str], silent: str) -> None:
    settings = {f"OBSERVABILITY_{name}": value for name, value in hooks.settings.items()}
    process = subprocess.Popen(
        [HOOKS / "prolog.sh"], env={**settings, **job, "OBSERVABILITY_URL": silent}
    )
    deadline = time.monotonic() + 10
    while not list(hooks.spool.glob("*.sending")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(MOST_S) == 0
    # A claim that nobody holds any more is taken up later (test_spool).
    assert list(hooks.spool.glob("*.job-started.json*"))


def test_nobody_reads_what_it_prints(hooks: Hooks, job: dict[str, str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    (hooks.folder / "file").touch()
    settings = {f"OBSERVABILITY_{name}": value for name, value in hooks.settings.items()}
    for output, closed in ((writing, ""), (None, ">&- 2>&-")):
        done = subprocess.run(
            ["bash", "-c", f'exec "$@" {closed}', "bash", str(HOOKS / "prolog.sh")],
            env={**settings, **job, "OBSERVABILITY_LOG": str(hooks.folder / "file/x")},
            stdout=output,
            stderr=output,
            check=False,
            timeout=10,
        )
        assert done.returncode == 0
    os.close(writing)
    assert len(hooks.waiting()) == 2


@pytest.mark.root
def test_as_slurm_user(job: dict[str, str], receiver: Receiver) -> None:
    """Another user than root, with folders of its own; and with none that it may write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(HOOKS, folder / "hooks")
        (folder / "own").mkdir()
        os.chown(folder / "own", 65534, 65534)
        hooks = Hooks(folder / "own")
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        run_all(hooks, job, prefix=nobody, path=folder / "hooks")
        assert kinds(hooks) == KINDS
        assert {path.stat().st_uid for path in hooks.waiting()} == {65534}
        nowhere = {name: str(folder / name) for name in ("SPOOL", "STATE", "LOG")}
        options = {"prefix": nobody, "path": folder / "hooks", "URL": receiver.url}
        run_all(hooks, job, **options, **nowhere)
        assert sorted(receiver.kinds()) == KINDS
