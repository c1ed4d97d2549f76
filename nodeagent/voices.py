"""The node names that this agent speaks for: the machine's own, and one voice more for each further
slurmd on it.

A stream is bound to one node name, so each voice has a state, a stream and a sender of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote

from nodeagent.outbox import Outbox
from nodeagent.rounds import Rounds
from nodeagent.sender import Sender

__all__ = ["Voice", "Voices", "folder_name", "node_name"]

logger = logging.getLogger(__name__)

# More names on one machine are no slurmd's.
_MAX_GUESTS = 64
_SEPARATOR = "\n"


class Voice(NamedTuple):
    """One node name's rounds, and what they are kept in and sent by."""

    rounds: Rounds
    outbox: Outbox
    sender: Sender


class Voices:
    """Does for all names what `Rounds` does for one; `open_guest` makes the voice of a name, None
    where an administrator has given the one name to speak for."""

    def __init__(
        self, own: Voice, open_guest: Callable[[str], Voice] | None, known: Iterable[str] = ()
    ) -> None:
        self._voices: dict[str, Voice] = {"": own}
        self._open_guest = open_guest
        self._said: frozenset[str] = frozenset()
        if open_guest is not None:
            names = sorted(known)
            own.rounds.leave(names)
            for name in names:
                self._voices[name] = open_guest(name)

    def tick(self) -> None:
        """Look who came and went, everywhere."""
        for voice in list(self._voices.values()):
            voice.rounds.tick()
        self._meet()

    def round(self) -> None:
        """Read everything and commit a batch of each voice."""
        for voice in list(self._voices.values()):
            voice.rounds.round()
        self._meet()

    def handles(self) -> tuple[dict[int, str], dict[int, str]]:
        """Return descriptor → name for `glance` twice: files that report, and what becomes
        readable."""
        files: dict[int, str] = {}
        readable: dict[int, str] = {}
        for name, voice in self._voices.items():
            for target, found in zip((files, readable), voice.rounds.handles()):
                target.update((handle, f"{name}{_SEPARATOR}{key}") for handle, key in found.items())
        return files, readable

    def glance(self, names: Iterable[str]) -> None:
        """Look after what the kernel said that something happened to."""
        told: dict[str, set[str]] = {}
        for text in names:
            name, _, key = text.partition(_SEPARATOR)
            told.setdefault(name, set()).add(key)
        for name, keys in told.items():
            self._voices[name].rounds.glance(keys)

    def quick_s(self) -> float | None:
        """Return after how many seconds to look after jobs that may soon be gone, if any."""
        waits = [voice.rounds.quick_s() for voice in self._voices.values()]
        return min((wait for wait in waits if wait is not None), default=None)

    def look_quickly(self) -> None:
        """Look after the jobs that may soon be gone."""
        for voice in self._voices.values():
            voice.rounds.look_quickly()

    def start(self) -> None:
        """Let the senders of all voices there are begin."""
        for voice in self._voices.values():
            voice.sender.start()

    def drain(self, timeout_s: float) -> int:
        """Stop sending, at the latest after the timeout; return how many batches are left."""
        for voice in self._voices.values():
            voice.outbox.hasten()
        for voice in self._voices.values():
            voice.sender.drain(timeout_s / len(self._voices))
        return sum(len(voice.outbox) for voice in self._voices.values())

    def all(self) -> Mapping[str, Voice]:
        """Return the voices by name; the machine's own has the name ""."""
        return dict(self._voices)

    def close(self) -> None:
        """Close what is open."""
        for voice in self._voices.values():
            voice.rounds.close()

    def _meet(self) -> None:
        foreign = self._voices[""].rounds.foreign() - self._voices.keys()
        if not foreign:
            return
        if self._open_guest is None:
            if foreign != self._said:
                self._said = foreign
                logger.warning(
                    "jobs of %s are not read: this agent was told to speak for one name",
                    ", ".join(sorted(foreign)),
                )
            return
        names = sorted(foreign)[: _MAX_GUESTS + 1 - len(self._voices)]
        # All at once: of two names left over, one must not become the machine's own.
        self._voices[""].rounds.leave({*self._voices, *names} - {""})
        for name in names:
            try:
                voice = self._open_guest(name)
            except OSError as failure:
                logger.error("jobs of %s are not read: %s", name, failure)
                continue
            logger.info("another slurmd's node on this machine: %s", name)
            self._voices[name] = voice
            voice.sender.start()
            voice.rounds.tick()


def folder_name(node: str) -> str:
    """Return the name of a node's folder; `node_name` turns it back."""
    return quote(node, safe="")


def node_name(folder: str) -> str:
    """Return the node whose folder has this name."""
    return unquote(folder)
