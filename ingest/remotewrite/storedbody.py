"""One body as it goes to the tables: columns of samples under ids, exemplars and histograms."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt

__all__ = ["StoredBody", "body_hash"]

Ints = npt.NDArray[np.int64]


class StoredBody(NamedTuple):
    """`epoch` is the one at which its ids were looked up; `exemplars` and `histograms` are rows of
    their tables, each with its time (aware) first and its series id second."""

    hash: UUID
    epoch: int
    series_id: Ints
    time_ms: Ints
    bits: npt.NDArray[np.uint64]
    exemplars: Sequence[tuple[Any, ...]] = ()
    histograms: Sequence[tuple[Any, ...]] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to store."""
        return not (len(self.series_id) or self.exemplars or self.histograms)

    @property
    def ids(self) -> Ints:
        """Every series id in it."""
        others = [row[1] for rows in (self.exemplars, self.histograms) for row in rows]
        return np.concatenate([self.series_id, others]).astype(np.int64) if others else (
            self.series_id
        )  # fmt: skip


def body_hash(body: bytes, version: int) -> UUID:
    """128 bits of SHA-256 over a body as it was sent, and the version it is to be read as."""
    hashing = hashlib.sha256(b"%d" % version)
    hashing.update(body)
    return UUID(bytes=hashing.digest()[:16])
