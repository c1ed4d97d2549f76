"""Label sets in their one canonical form, and the identity that comes of it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from ingest.remotewrite.decoded import Limits
from ingest.remotewrite.kernel import identity_text
from ingest.remotewrite.purelabels import Labels

__all__ = ["Labels", "Refused", "canonical", "identity", "shown"]

Pair = tuple[bytes, bytes]

_SHOWN_CHARACTERS = 200


class Refused(NamedTuple):
    """What will never be stored: the rule it breaks, one of few, and what of it to show."""

    rule: str
    shown: str


def canonical(pairs: Sequence[Pair], named: bool = True) -> Labels | Refused:
    """The canonical label set of these names and values; `named` ones need a `__name__`."""
    if len(pairs) > Limits.LABELS:
        return Refused("too many labels", shown(pairs[: Limits.LABELS]))
    found = sorted(pairs)
    rule = _broken(found, named)
    if rule:
        return Refused(rule, shown(found))
    try:
        return tuple([(name.decode(), value.decode()) for name, value in found if value])
    except UnicodeDecodeError:
        return Refused("label not UTF-8", shown(found))


def identity(labels: Labels) -> uuid.UUID:
    """128 bits of the canonical set: of each text its length (4 bytes) and its UTF-8 bytes."""
    return uuid.UUID(bytes=blake2b(identity_text(labels), digest_size=16).digest())


def shown(pairs: Sequence[Pair]) -> str:
    """Names and values as one short text, for a message."""
    listed = ",".join(
        f"{name[:_SHOWN_CHARACTERS].decode(errors='replace')}="
        f'"{value[:_SHOWN_CHARACTERS].decode(errors="replace")}"'
        for name, value in pairs[:_SHOWN_CHARACTERS]
    )
    return "{" + listed + "}" if len(listed) <= _SHOWN_CHARACTERS else "{" + listed[:197] + "..."


def _broken(found: Sequence[Pair], named: bool) -> str:
    """The first rule that a sorted set breaks, or nothing."""
    texts = dict(found)
    if len(texts) != len(found):
        return "label name twice"
    if named and not texts.get(b"__name__"):
        return "no metric name"
    if found and not found[0][0]:
        return "label name empty"
    if texts and max(map(len, texts)) > Limits.NAME_BYTES:
        return "label name too long"
    if texts and max(map(len, texts.values())) > Limits.VALUE_BYTES:
        return "label value too long"
    if any(0 in name or 0 in value for name, value in found):
        return "label with NUL"
    return ""
