"""The lab's daemons: each with a log and a file of its pid, so that another process may end it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.slurm_lab.leftovers import end, started_at

__all__ = ["is_running", "start", "stop", "tails"]

_TAIL_LINES = 15


def start(folder: Path, name: str, arguments: list[str], environment: Mapping[str, str]) -> None:
    """Start a daemon in the foreground, in a session of its own; it outlives its starter."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            arguments,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    # With its start (0: it has ended already), for a number may be another process's one day.
    _pid_file(folder, name).write_text(f"{process.pid} {started_at(process.pid) or 0}")
    # Ended by whoever comes last, by its pid: nothing is to be said when this object goes.
    process.returncode = 0


def stop(folder: Path, name: str) -> None:
    """End a daemon, by force if need be; may be called again, and for one that never ran."""
    if is_running(folder, name):
        end([_pid(folder, name)])
    _pid_file(folder, name).unlink(missing_ok=True)


def is_running(folder: Path, name: str) -> bool:
    """Whether it was started and is the same program still."""
    try:
        pid, started = _pid_file(folder, name).read_text().split()
    except OSError:
        return False
    return started_at(int(pid)) == int(started)


def tails(folder: Path) -> str:
    """The end of every log in the folder."""
    return "\n".join(
        f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
        for log in sorted(folder.glob("*.log"))
    )


def _pid_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.started"


def _pid(folder: Path, name: str) -> int:
    return int(_pid_file(folder, name).read_text().split()[0])
