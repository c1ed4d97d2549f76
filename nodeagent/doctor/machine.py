"""What the agent may do on this machine: read processes, be woken, keep its state, send events."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from nodeagent.doctor.finding import Finding, Status
from nodeagent.event_spool import EventSpool
from nodeagent.inotify import Inotify
from nodeagent.paths import Paths
from nodeagent.state import in_use

__all__ = ["examine_machine"]

_SECTION = "this machine"
_OLD_EVENT_S = 600.0


def examine_machine(paths: Paths, state_dir: Path, event_dir: Path | None) -> Iterator[Finding]:
    """Yield what is found; nothing stays behind."""
    yield _environment(paths)
    yield _news()
    yield _state(state_dir)
    yield from _events(event_dir)


def _environment(paths: Paths) -> Finding:
    subject = "process environment"
    foreign = [entry for entry in _processes(paths) if _uid(entry) not in (None, os.geteuid())]
    for process in foreign[:20]:
        try:
            (process / "environ").read_bytes()
        except PermissionError:
            continue
        except OSError:
            continue
        return Finding(_SECTION, subject, Status.OK, "readable: names, accounts, restart counts")
    if not foreign and os.geteuid() == 0:
        return Finding(_SECTION, subject, Status.OK, "readable: the agent is root")
    return Finding(
        _SECTION,
        subject,
        Status.WARNING,
        "not readable: restart counts, names and accounts come from hooks only",
        "run the agent as root, or with CAP_SYS_PTRACE",
    )


def _processes(paths: Paths) -> Iterator[Path]:
    try:
        with os.scandir(paths.proc) as entries:
            names = [entry.name for entry in entries if entry.name.isdigit()]
    except OSError:
        return
    yield from (paths.proc / name for name in names)


def _uid(process: Path) -> int | None:
    try:
        return process.stat().st_uid
    except OSError:
        return None


def _news() -> Finding:
    watch = Inotify()
    has_inotify = watch.handle >= 0
    watch.close()
    news = {
        "new jobs (inotify)": has_inotify,
        "ends of processes (pidfd)": _has_pidfd(),
        "memory running out (v1: root)": os.geteuid() == 0,
    }
    told = [name for name, is_there in news.items() if is_there]
    text = f"told at once: {', '.join(told) or 'nothing'}"
    missing = [name for name, is_there in news.items() if not is_there]
    if missing:
        text += f"; by the look of each second: {', '.join(missing)}"
    return Finding(_SECTION, "kernel's news", Status.WARNING if missing else Status.OK, text)


def _has_pidfd() -> bool:
    if not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _state(folder: Path) -> Finding:
    advice = "give --state-dir a folder that root may write, on a disk that lasts"
    try:
        with in_use(folder):
            pass
        text = str(folder)
    except BlockingIOError:
        text = f"{folder}, an agent is at work"
    except OSError as failure:
        text = f"{folder}: {failure.strerror}"
        return Finding(_SECTION, "state folder", Status.FAULT, text, advice)
    try:
        start = time.monotonic()
        with tempfile.NamedTemporaryFile(dir=folder, prefix="doctor-") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        synced_ms = (time.monotonic() - start) * 1e3
    except OSError as failure:
        text = f"{folder}: {failure.strerror}"
        return Finding(_SECTION, "state folder", Status.FAULT, text, advice)
    unsent = len(list((folder / "spool").glob("*.json.gz")))
    refused = len(list((folder / "refused").glob("*.json")))
    text += f", synced in {synced_ms:.0f} ms, {unsent} batches in the spool"
    if refused:
        text += f", {refused} refused"
        look = f"the reasons are in {folder / 'refused'}"
        return Finding(_SECTION, "state folder", Status.WARNING, text, look)
    return Finding(_SECTION, "state folder", Status.OK, text)


def _events(folder: Path | None) -> Iterator[Finding]:
    subject = "hooks' events"
    if folder is None:
        yield Finding(_SECTION, subject, Status.ABSENT, "left alone: --event-dir none")
        return
    try:
        waiting = EventSpool(folder).waiting()
    except FileNotFoundError:
        text = f"no {folder}: no hook has left an event"
        yield Finding(_SECTION, subject, Status.ABSENT, text)
        return
    except OSError as failure:
        text = f"{folder}: {failure.strerror}"
        yield Finding(_SECTION, subject, Status.FAULT, text, "run the agent as root")
        return
    old = [path for path in waiting if _age_s(path) > _OLD_EVENT_S]
    refused = len(list((folder / "refused").glob("*.json")))
    text = f"{folder}: {len(waiting)} wait" + (f", {refused} were refused" if refused else "")
    if not os.access(folder, os.W_OK):
        yield Finding(_SECTION, subject, Status.FAULT, text + ", not writable", "run it as root")
    elif old or refused:
        advice = f"see {folder / 'refused'}" if refused else "is the agent running and let in?"
        yield Finding(_SECTION, subject, Status.WARNING, text, advice)
    else:
        yield Finding(_SECTION, subject, Status.OK, text)


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
