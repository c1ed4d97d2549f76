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
from nodeagent.watch import Watch

__all__ = ["main"]

logger = logging.getLogger("nodeagent")

_EXIT_FAILED = 1
_EXIT_USAGE = 2
# Files that are no job's: state, sockets, /proc.
_FILES_KEPT_FREE = 64
_FILES_WANTED = 8192
_DRAIN_S = 1.0
# Sending is spread over this share of the interval, at most this long.
_SPLAY_SHARE = 1 / 3
_SPLAY_MAX_S = 5.0
_LOOK_APART_S = 1.0


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
    outbox = Outbox(
        StateFile(settings.state_dir), Spool(settings.state_dir), settings.spool_max_bytes
    )
    stored = outbox.open()
    rounds = _rounds(settings, users, outbox)
    rounds.restore(stored)
    sender = Sender(
        outbox, _client(settings), interval_s=settings.interval_s, splay_s=_splay_s(settings)
    )
    if request.once:
        return _once(rounds, outbox, sender, settings.timeout_s)
    watch = Watch()
    loop = Loop(rounds, settings.interval_s, watch)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: loop.stop())
    logger.info("tsobs-agent %s: %s every %g s", __version__, settings.url, settings.interval_s)
    sender.start()
    # Without a past the first round only finds out where the counters stand: the sooner the better.
    loop.run(round_first=stored is None)
    left = "" if sender.drain(_DRAIN_S) else f", {len(outbox)} batches kept for the next start"
    logger.info("stopped%s", left)
    rounds.close()
    watch.close()
    return 0


def _once(rounds: Rounds, outbox: Outbox, sender: Sender, timeout_s: float) -> int:
    rounds.round()
    rounds.close()
    deadline = time.monotonic() + timeout_s
    while True:
        item = outbox.head()
        if item is None:
            return 0
        wait_s = sender.send_one(item)
        if wait_s and time.monotonic() + wait_s > deadline:
            logger.error("%s batches are kept for the next start", len(outbox))
            return _EXIT_FAILED
        time.sleep(wait_s)


def _print_batch(settings: Settings, users: Users) -> int:
    rounds = _rounds(settings, users, None)
    rounds.look_first()
    time.sleep(min(_LOOK_APART_S, settings.interval_s))
    for content in rounds.read()[0]:
        document = json.loads(batch.number(content, "0" * 32, 1))
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    rounds.close()
    return 0


def _rounds(settings: Settings, users: Users, outbox: Outbox | None) -> Rounds:
    paths = Paths(settings.cgroup_root, settings.proc_root, settings.sys_root, settings.etc_root)
    subject = Subject(
        settings.interval_s, settings.node_name, settings.node_alias, settings.cluster
    )
    return Rounds(
        subject,
        paths,
        frame=Frame(settings.disable),
        outbox=outbox,
        users=users,
        budget=FileBudget(_raise_file_limit() - _FILES_KEPT_FREE),
        now=clock.now,
    )


def _client(settings: Settings) -> Client:
    if (
        settings.token_file is not None
        and settings.url.startswith("http://")
        and "//127." not in settings.url
    ):
        logger.warning("the token travels unencrypted: use https")
    return Client(
        settings.url,
        token_file=settings.token_file,
        ca_file=settings.ca_file,
        timeout_s=settings.timeout_s,
        agent=f"tsobs-agent/{__version__}",
    )


def _splay_s(settings: Settings) -> float:
    # The same for each start of a node, another for each node.
    name = settings.node_name or os.uname().nodename
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
