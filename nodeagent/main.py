"""The command `tsobs-agent`: settings, parts, signals, exit status."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence

from nodeagent import __version__, batch, clock
from nodeagent.collector import Frame
from nodeagent.doctor.command import run_doctor
from nodeagent.event_sender import EventSender
from nodeagent.event_spool import EventSpool
from nodeagent.gpu.reader import GpuReader
from nodeagent.gpu.readings import GpuReadings
from nodeagent.job_dirs import FileBudget
from nodeagent.loop import Loop
from nodeagent.outbox import Outbox
from nodeagent.paths import Paths
from nodeagent.push import Client
from nodeagent.rounds import Rounds, Subject
from nodeagent.sender import Sender
from nodeagent.settings import Request, Settings, SettingsError, load
from nodeagent.spool import Spool
from nodeagent.state import StateFile, in_use
from nodeagent.users import Users
from nodeagent.voices import Voice, Voices, folder_name, node_name
from nodeagent.watch import Watch

__all__ = ["main"]

logger = logging.getLogger("nodeagent")

_EXIT_FAILED = 1
_EXIT_USAGE = 2
# Files that are no job's: state, sockets, /proc.
_FILES_KEPT_FREE = 64
_FILES_WANTED = 8192
_DRAIN_S = 1.0
# Below the state folder, one folder for each further node name on this machine.
_GUESTS = "nodes"
# Sending is spread over this share of the interval, at most this long.
_SPLAY_SHARE = 1 / 3
_SPLAY_MAX_S = 5.0
_LOOK_APART_S = 1.0
# One round alone waits for a driver's tools, which take seconds.
_PATIENCE_S = 10.0


class _OneLine(logging.Formatter):
    """One line a record, tracebacks folded in."""

    def format(self, record: logging.LogRecord) -> str:
        return " | ".join(super().format(record).splitlines())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent; return 0 after an orderly stop, 1 on failure, 2 on bad settings."""
    try:
        request = load(sys.argv[1:] if argv is None else argv, os.environ)
    except SettingsError as wrong:
        sys.stderr.write(f"tsobs-agent: {wrong}\n")
        return _EXIT_USAGE
    settings = request.settings
    _log_to_stderr(settings.log_level)
    if request.doctor:
        return run_doctor(settings, _client(settings), json=request.json)
    users = Users()
    try:
        if request.print:
            return _print_batch(settings, users)
        with in_use(settings.state_dir):
            return _run(request, users)
    except BlockingIOError:
        logger.error("another agent works with %s", settings.state_dir)
    except OSError as failure:
        logger.error("cannot start: %s", failure)
    finally:
        users.close()
    return _EXIT_FAILED


def _run(request: Request, users: Users) -> int:
    settings = request.settings
    if settings.token_file and settings.url.startswith("http://") and "//127." not in settings.url:
        logger.warning("the token travels unencrypted: use https")
    voices, is_new = _voices(settings, users, patient=request.once)
    if request.once:
        return _once(voices, settings.timeout_s)
    watch = Watch()
    loop = Loop(voices, settings.interval_s, watch)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: loop.stop())
    logger.info("tsobs-agent %s: %s every %g s", __version__, settings.url, settings.interval_s)
    voices.start()
    events = None
    if settings.event_dir is not None:
        events = EventSender(EventSpool(settings.event_dir), _client(settings))
        events.start()
    # Without a past the first round only finds out where the counters stand: the sooner the better.
    loop.run(round_first=is_new)
    if events is not None:
        events.stop()
    count = voices.drain(_DRAIN_S)
    left = f", {count} batches kept for the next start" if count else ""
    logger.info("stopped%s", left)
    voices.close()
    watch.close()
    return 0


def _voices(settings: Settings, users: Users, *, patient: bool) -> tuple[Voices, bool]:
    """Return the voices, and whether the machine's own has no past."""

    def open_voice(node: str | None) -> tuple[Voice, bool]:
        folder = settings.state_dir
        if node is not None:
            folder = folder / _GUESTS / folder_name(node)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        outbox = Outbox(StateFile(folder), Spool(folder), settings.spool_max_bytes)
        stored = outbox.open()
        rounds = _rounds(settings, users, outbox, node, patient=patient)
        rounds.restore(stored)
        splay_s = _splay_s(settings, node)
        sender = Sender(outbox, _client(settings), interval_s=settings.interval_s, splay_s=splay_s)
        return Voice(rounds, outbox, sender), stored is None

    own, is_new = open_voice(None)
    guests = settings.state_dir / _GUESTS
    known = [node_name(path.name) for path in guests.iterdir()] if guests.is_dir() else []
    if settings.node_name is not None:
        return Voices(own, None), is_new
    return Voices(own, lambda name: open_voice(name)[0], known), is_new


def _once(voices: Voices, timeout_s: float) -> int:
    voices.round()
    voices.close()
    deadline = time.monotonic() + timeout_s
    for voice in voices.all().values():
        while (item := voice.outbox.head()) is not None:
            wait_s = voice.sender.send_one(item)
            if wait_s and time.monotonic() + wait_s > deadline:
                logger.error("%s batches are kept for the next start", len(voice.outbox))
                return _EXIT_FAILED
            time.sleep(wait_s)
    return 0


def _print_batch(settings: Settings, users: Users) -> int:
    rounds = _rounds(settings, users, None, None, patient=True)
    rounds.look_first()
    time.sleep(min(_LOOK_APART_S, settings.interval_s))
    for content in rounds.read()[0]:
        document = json.loads(batch.number(content, "0" * 32, 1))
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    rounds.close()
    return 0


def _rounds(
    settings: Settings,
    users: Users,
    outbox: Outbox | None,
    guest: str | None,
    *,
    patient: bool = False,
) -> Rounds:
    paths = Paths(settings.cgroup_root, settings.proc_root, settings.sys_root, settings.etc_root)
    subject = Subject(
        settings.interval_s,
        guest or settings.node_name,
        () if guest else settings.node_alias,
        settings.cluster,
        is_guest=guest is not None,
    )
    frame = Frame(settings.disable)
    gpus = None
    if guest is None and frame.enabled("gpu"):
        # They are the machine's, as its memory and network are.
        gpus = GpuReadings(paths, GpuReader(paths, settings.nvml_library), settings.gpu_job_dirs)
        gpus.wait_s = _PATIENCE_S if patient else gpus.wait_s
    return Rounds(
        subject,
        paths,
        frame=frame,
        outbox=outbox,
        users=users,
        budget=FileBudget(_raise_file_limit() - _FILES_KEPT_FREE),
        now=clock.now,
        gpus=gpus,
    )


def _client(settings: Settings) -> Client:
    return Client(
        settings.url,
        token_file=settings.token_file,
        ca_file=settings.ca_file,
        timeout_s=settings.timeout_s,
        agent=f"tsobs-agent/{__version__}",
    )


def _splay_s(settings: Settings, node: str | None) -> float:
    # The same for each start of a node, another for each node.
    name = node or settings.node_name or os.uname().nodename
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
    return share * min(_SPLAY_MAX_S, settings.interval_s * _SPLAY_SHARE)


def _raise_file_limit() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, _FILES_WANTED)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return min(soft, _FILES_WANTED)


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
