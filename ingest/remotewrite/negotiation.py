"""Which remote-write message a request carries: Content-Type decides, never the version header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tsobs.errors import UnsupportedMedia

__all__ = ["V1", "V2", "negotiated_version"]

V1: Final = 1
V2: Final = 2

_MEDIA = "application/x-protobuf"
_VERSIONS = {"prometheus.WriteRequest": V1, "io.prometheus.write.v2.Request": V2}
_TYPE_RULE = f"{_MEDIA}, with proto={' or proto='.join(_VERSIONS)}"


def negotiated_version(headers: Mapping[str, str]) -> int:
    """1 or 2; raises UnsupportedMedia for another type, or for any packing but snappy's."""
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "snappy"):
        raise UnsupportedMedia(
            "Content-Encoding must be snappy", field="Content-Encoding", rule="snappy"
        )
    media, *parameters = headers.get("Content-Type", "").split(";")
    if not media.strip() and not parameters:
        return V1
    if media.strip().lower() != _MEDIA:
        raise _wrong_type(f"Content-Type must be {_MEDIA}")
    version: int = V1
    for parameter in parameters:
        name, equals, value = parameter.strip().partition("=")
        if not equals:
            raise _wrong_type("each parameter of Content-Type must be name=value")
        if name.strip().lower() == "proto":
            version = _known(value.strip().strip('"'))
    return version


def _known(message: str) -> int:
    if message not in _VERSIONS:
        raise _wrong_type(f"proto must be one of {', '.join(_VERSIONS)}")
    return _VERSIONS[message]


def _wrong_type(message: str) -> UnsupportedMedia:
    return UnsupportedMedia(message, field="Content-Type", rule=_TYPE_RULE)
