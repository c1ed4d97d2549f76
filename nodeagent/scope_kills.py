"""OOM kills of jobs whose directory was gone before it could be read (v2): the scope above them
still counts them.

A scope's count is the sum of those of its directories, and of all that were there before. What no
directory that is there now accounts for grows, when one goes, by the count that one had at its end.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from nodeagent.collector import NoData
from nodeagent.collectors.job_oom import parse_kills

__all__ = ["ScopeKills"]

logger = logging.getLogger(__name__)

# A kill while the counts are read makes them disagree: they are read again.
_ATTEMPTS = 3


class ScopeKills:
    """Follows the scopes' counts; says what directories that went had at their end."""

    def __init__(self) -> None:
        self._gone: dict[str, int] = {}

    def last_counts(self, scope: str, vanished: Mapping[str, int]) -> dict[str, int]:
        """Return key → kills at the end of the directories that vanished since the last call, given
        what was last read of them; only what is certain: of several, what was read stands."""
        before = self._gone.get(scope)
        now = _unaccounted(scope)
        if now is None:
            self._gone.pop(scope, None)
            return dict(vanished)
        self._gone[scope] = now
        missed = 0 if before is None else now - before - sum(vanished.values())
        if missed <= 0 or not vanished:
            return dict(vanished)
        if len(vanished) > 1:
            logger.warning(
                "%s OOM kills in %s, which ended together: not known in which",
                missed,
                ", ".join(sorted(vanished)),
            )
            return dict(vanished)
        return {key: count + missed for key, count in vanished.items()}

    def keep(self, scopes: Iterable[str]) -> None:
        """Begin with scopes that are new, and forget those that are gone."""
        there = set(scopes)
        self._gone = {scope: count for scope, count in self._gone.items() if scope in there}
        for scope in there - self._gone.keys():
            count = _unaccounted(scope)
            if count is not None:
                self._gone[scope] = count


def _unaccounted(scope: str) -> int | None:
    """Return the kills that no directory of the scope accounts for; None when that can't be
    said."""
    for _ in range(_ATTEMPTS):
        try:
            before = _kills(scope)
            with os.scandir(scope) as entries:
                folders = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
            total = sum(_kills(folder) for folder in folders)
            if _kills(scope) == before:
                return before - total
        except NoData:
            return None
        except OSError:
            # One went meanwhile.
            continue
    return None


def _kills(folder: str) -> int:
    return parse_kills(Path(folder, "memory.events").read_text("ascii"))
