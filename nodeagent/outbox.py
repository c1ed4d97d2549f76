"""Batches on their way: numbered, kept with the counters in one write, handed out in order,
forgotten when acknowledged.

The rounds commit, the sender takes and settles; a lock keeps the two apart. The newest batches are
in the state file itself; older ones move to the spool, each synced there before the state file lets
go of it.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from nodeagent.batch import number, numbers_of, renumber
from nodeagent.spool import Spool
from nodeagent.state import StateFile

__all__ = ["Outbox", "Pending"]

logger = logging.getLogger(__name__)

# What the state file carries itself: written every round, so it must stay small.
_TAIL_BATCHES = 8
_TAIL_BYTES = 262_144


class Pending(NamedTuple):
    """An unacknowledged batch by its numbers as made; its bytes, or None when they are in the
    spool."""

    stream: str
    seq: int
    body: bytes | None
    spool_bytes: int


class Outbox:
    """The one holder of stream, sequence and unacknowledged batches."""

    def __init__(self, state: StateFile, spool: Spool, spool_max_bytes: int) -> None:
        self._state = state
        self._spool = spool
        self._spool_max_bytes = spool_max_bytes
        self._changed = threading.Condition()
        self._closed = False
        self._urgent = threading.Event()
        self._stream = secrets.token_hex(16)
        self._next_seq = 1
        self._speaks_as: list[str] = []
        # Stream of batches as made → (stream, offset of seq) under which they are sent, after a
        # conflict.
        self._renumbered: dict[str, tuple[str, int]] = {}
        self._pending: dict[tuple[str, int], Pending] = {}
        self._document: dict[str, Any] = {}
        self.refused = 0
        self.clock_offset_s: float | None = None
        """Service's clock minus ours at the last answer, seconds."""

    def open(self) -> dict[str, Any] | None:
        """Take up what an earlier run left; return what was committed with it, None when there is
        nothing."""
        stored = self._state.load()
        pending = [Pending(f.stream, f.seq, None, f.size_bytes) for f in self._spool.files()]
        if stored is not None:
            document = stored.document
            self._stream = str(document["stream"])
            self._next_seq = int(document["next_seq"])
            self._speaks_as = list(document["speaks_as"])
            self._renumbered = {old: (new, by) for old, (new, by) in document["renumbered"].items()}
            self._document = dict(document["agent"])
            spooled = {(item.stream, item.seq) for item in pending}
            for body in stored.batches:
                numbers = numbers_of(body)
                if numbers not in spooled:
                    pending.append(Pending(*numbers, body, 0))
        pending.sort(key=self._order)
        self._pending = {(item.stream, item.seq): item for item in pending}
        return self._document if stored is not None else None

    def commit(
        self, document: dict[str, Any], contents: Sequence[bytes], speaks_as: Sequence[str]
    ) -> bool:
        """Write counters and new batches as one; False when it could not be done, then nothing has
        changed.

        `speaks_as` is what a stream is bound to (machine and node name): another one begins a new
        stream.
        """
        with self._changed:
            if contents and self.is_full():
                return False
            stream, seq = self._stream, self._next_seq
            if self._speaks_as and self._speaks_as != list(speaks_as):
                stream, seq = secrets.token_hex(16), 1
            added = []
            for content in contents:
                added.append(Pending(stream, seq, number(content, stream, seq), 0))
                seq += 1
            try:
                self._make_room(added)
                self._save(document, added, stream, seq, list(speaks_as), self._renumbered)
            except OSError as failure:
                logger.error(
                    "cannot write the state: %s; use is added up until it can be written", failure
                )
                return False
            if added:
                self._changed.notify_all()
            return True

    def is_full(self) -> bool:
        """Tell whether the spool has reached its bound: then use must be added up, not written."""
        return self.spool_bytes() >= self._spool_max_bytes

    def spool_bytes(self) -> int:
        """Return the disk space of the spooled batches."""
        with self._changed:
            return sum(item.spool_bytes for item in self._pending.values())

    def __len__(self) -> int:
        return len(self._pending)

    def head(self, timeout_s: float = 0.0) -> Pending | None:
        """Return the oldest batch, after waiting for one; None when there is none or the outbox
        closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._closed, timeout_s)
            return next(iter(self._pending.values()), None)

    def body(self, item: Pending) -> bytes:
        """Return the bytes to send; the same each time. ValueError when the spool's copy is
        damaged."""
        with self._changed:
            stored = item.body
            if stored is None:
                stored = self._spool.read(item.stream, item.seq)
            stream, seq = self._sent_as(item)
            return stored if stream == item.stream else renumber(stored, stream, seq)

    def acknowledge(self, item: Pending) -> None:
        """Forget a batch that the service has; the state file learns of it with the next round."""
        with self._changed:
            self._remove(item)

    def refuse(self, item: Pending, reason: str) -> None:
        """Put a batch aside that the service will never take."""
        with self._changed:
            self.refused += 1
            try:
                path = self._spool.keep_refused(
                    item.stream,
                    item.seq,
                    item.body or self._spool.read(item.stream, item.seq),
                    reason,
                )
                logger.error("batch %s refused: %s; kept as %s", item.seq, reason, path)
            except (OSError, ValueError) as failure:
                logger.error("batch %s refused: %s; not kept: %s", item.seq, reason, failure)
            self._remove(item)

    def conflict(self, item: Pending) -> bool:
        """Begin a new stream for the batches of one that is not ours alone; False when it could not
        be written."""
        with self._changed:
            taken = self._sent_as(item)[0]
            if not self._is_ours(item):
                self.refuse(item, "its stream is in use, and it speaks for another machine or node")
                return True
            stream, seq = self._stream, self._next_seq
            if stream == taken:
                stream, seq = secrets.token_hex(16), 1
            renumbered = dict(self._renumbered)
            for made, seqs in self._seqs_sent_as(taken).items():
                renumbered[made] = (stream, seq - seqs[0])
                seq += seqs[-1] - seqs[0] + 1
            try:
                self._save(self._document, [], stream, seq, self._speaks_as, renumbered)
            except OSError as failure:
                logger.error("cannot write the state: %s; the new stream has to wait", failure)
                return False
            logger.warning("stream %s is in use elsewhere: going on as %s", taken, stream)
            return True

    def hasten(self) -> None:
        """Let nothing that waits now wait for its moment any longer."""
        self._urgent.set()

    def wait_for_moment(self, seconds: float) -> None:
        """Wait, unless something is urgent."""
        self._urgent.wait(max(0.0, seconds))

    def close(self) -> None:
        """Wake who waits; may be called again."""
        with self._changed:
            self._closed = True
            self._urgent.set()
            self._changed.notify_all()

    def _save(
        self,
        document: dict[str, Any],
        added: list[Pending],
        stream: str,
        seq: int,
        speaks_as: list[str],
        renumbered: dict[str, tuple[str, int]],
    ) -> None:
        made = {item.stream for item in self._pending.values()}
        renumbered = {old: new for old, new in renumbered.items() if old in made}
        tail = [item.body for item in (*self._pending.values(), *added) if item.body is not None]
        self._state.save(
            {
                "stream": stream,
                "next_seq": seq,
                "speaks_as": speaks_as,
                "renumbered": renumbered,
                "agent": document,
            },
            tail,
        )
        self._stream, self._next_seq, self._speaks_as = stream, seq, speaks_as
        self._renumbered, self._document = renumbered, document
        self._pending.update(((item.stream, item.seq), item) for item in added)

    def _make_room(self, added: list[Pending]) -> None:
        tail = [item for item in self._pending.values() if item.body is not None]
        count = len(tail) + len(added)
        size = sum(len(item.body or b"") for item in (*tail, *added))
        for item in tail:
            if count <= _TAIL_BATCHES and size <= _TAIL_BYTES:
                return
            body = item.body or b""
            written = self._spool.write(item.stream, item.seq, body)
            self._pending[item.stream, item.seq] = item._replace(
                body=None, spool_bytes=written.size_bytes
            )
            count -= 1
            size -= len(body)

    def _remove(self, item: Pending) -> None:
        kept = self._pending.pop((item.stream, item.seq), None)
        if not self._pending and not self._closed:
            self._urgent.clear()
        if kept is not None and kept.body is None:
            try:
                self._spool.remove(item.stream, item.seq)
            except OSError as failure:
                logger.warning("cannot remove a spooled batch: %s", failure)

    def _sent_as(self, item: Pending) -> tuple[str, int]:
        stream, by = self._renumbered.get(item.stream, (item.stream, 0))
        return stream, item.seq + by

    def _order(self, item: Pending) -> tuple[bool, str, int]:
        stream, seq = self._sent_as(item)
        return stream == self._stream, stream, seq

    def _seqs_sent_as(self, stream: str) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for item in self._pending.values():
            if self._sent_as(item)[0] == stream:
                found.setdefault(item.stream, []).append(item.seq)
        return found

    def _is_ours(self, item: Pending) -> bool:
        # A cloned disk brings the batches of the machine it was cloned from; those are that one's
        # to send.
        try:
            document = json.loads(self.body(item))
        except (OSError, ValueError):
            return False
        return [document["machine_id"], document["node"]["name"]] == self._speaks_as
