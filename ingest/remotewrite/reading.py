"""What the fast path left of a body, read in small parts: others get their turn between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar
from uuid import UUID

from ingest.remotewrite.decoded import Decoded
from ingest.remotewrite.labels import Labels, Refused, identity
from ingest.remotewrite.slowpath import Metadata, OddSeries, SlowPath

__all__ = ["Leftovers", "read_leftovers"]

# So many at once take less than a millisecond; then it is asked whether others wait for long.
PART = 32
TURN_S = 0.002

Thing = TypeVar("Thing")
Read = TypeVar("Read")


class Leftovers(NamedTuple):
    """By position in the lists of a Decoded: label sets, odd messages, and the meanings told. An
    identity stands beside each label set, None where it is refused."""

    unknown: Sequence[Labels | Refused]
    unknown_ids: Sequence[UUID | None]
    odd: Sequence[OddSeries]
    odd_ids: Sequence[UUID | None]
    metadata: Sequence[Metadata | Refused]

    @property
    def series(self) -> Mapping[UUID, Labels]:
        """The label sets that the fast path did not know, by identity."""
        return {
            key: labels
            for key, labels in zip(self.unknown_ids, self.unknown, strict=True)
            if key is not None and not isinstance(labels, Refused)
        }

    @property
    def odd_series(self) -> Mapping[UUID, Labels]:
        """The label sets of odd messages, by identity."""
        return {
            key: one.labels
            for key, one in zip(self.odd_ids, self.odd, strict=True)
            if key is not None and not isinstance(one.labels, Refused)
        }


async def read_leftovers(slow: SlowPath, decoded: Decoded) -> Leftovers:
    """All of it; raises Malformed, and then nothing of the body counts."""
    turn = _Turn()
    unknown = await turn.take(slow.labels, decoded.unknown)
    odd = await turn.take(slow.odd, decoded.odd)
    metadata = await turn.take(slow.metadata, decoded.metadata)
    metadata += await turn.take(slow.news, decoded.news)
    metadata += [one.metadata for one in odd if one.metadata is not None]
    return Leftovers(
        unknown,
        await turn.take(_identities, unknown),
        odd,
        await turn.take(_identities, [one.labels for one in odd]),
        metadata,
    )


def _identities(labels: Sequence[Labels | Refused]) -> list[UUID | None]:
    return [None if isinstance(one, Refused) else identity(one) for one in labels]


class _Turn:
    """Runs work in parts, and gives way to the loop when it has been at it for TURN_S."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def take(
        self, work: Callable[[Sequence[Thing]], Sequence[Read]], things: Sequence[Thing]
    ) -> list[Read]:
        """What `work` makes of all things, in order."""
        found: list[Read] = []
        for start in range(0, len(things), PART):
            found += work(things[start : start + PART])
            if time.perf_counter() - self._since > TURN_S:
                await asyncio.sleep(0)
                self._since = time.perf_counter()
        return found
