"""Reads a request's body within bounds: size on the wire, size unpacked, bytes held by all at
once."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from isal import isal_zlib

from tsobs.errors import InvalidRequest, Overloaded, TooLarge, UnsupportedMedia

__all__ = ["INLINE_BYTES", "ByteBudget", "is_gzip", "taken_body", "unpack", "unpacked"]

# Past this, unpacking and parsing go to a thread: the loop must answer others meanwhile.
INLINE_BYTES = 512 << 10
PIECE_BYTES = 64 << 10
GZIP_WINDOW = 31  # zlib's code for "gzip header and trailer"


class ByteBudget:
    """Bytes that all requests together may hold; past it the sender must come again."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0

    def share(self) -> Share:
        """One request's part, given back when left."""
        return Share(self)


class Share:
    """What one request holds of a budget."""

    def __init__(self, budget: ByteBudget) -> None:
        self.held_bytes = 0
        self._budget = budget

    def __enter__(self) -> Share:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.held_bytes -= self.held_bytes

    def grow(self, size_bytes: int) -> None:
        """Holds so many bytes more; raises Overloaded when they are not to be had."""
        others = self._budget.held_bytes - self.held_bytes
        # One request always fits, or a limit below a body's size would refuse it for ever.
        if others and self._budget.held_bytes + size_bytes > self._budget.limit_bytes:
            raise Overloaded("too much is being taken in at the moment", retry_after_s=2)
        self.held_bytes += size_bytes
        self._budget.held_bytes += size_bytes

    def shrink(self, size_bytes: int) -> None:
        """Gives so many bytes back early."""
        self.held_bytes -= size_bytes
        self._budget.held_bytes -= size_bytes


# A class, for a generator costs more than the reading.
class taken_body:
    """The body as it came over the wire, on the budget until left; raises TooLarge past
    `max_bytes`. What is on its way counts only as it arrives: a slow sender keeps nobody out."""

    def __init__(self, request: web.Request, budget: ByteBudget, max_bytes: int) -> None:
        self._request = request
        self._share = budget.share()
        self._max_bytes = max_bytes

    async def __aenter__(self) -> bytes:
        length = self._request.content_length
        if length is not None and length > self._max_bytes:
            raise _too_large("the body", self._max_bytes, length=length)
        try:
            return await self._read()
        except BaseException:
            self._share.__exit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._share.__exit__()

    async def _read(self) -> bytes:
        pieces: list[bytes] = []
        async for piece in self._request.content.iter_chunked(PIECE_BYTES):
            self._share.grow(len(piece))
            if self._share.held_bytes > self._max_bytes:
                raise _too_large("the body", self._max_bytes)
            pieces.append(piece)
        return b"".join(pieces)


def is_gzip(request: web.Request) -> bool:
    """Whether the body is packed; raises UnsupportedMedia when it says to be anything but JSON,
    plain or gzip."""
    if request.content_type not in ("application/json", "application/octet-stream"):
        # aiohttp says octet-stream when the header is missing.
        raise UnsupportedMedia(
            "Content-Type must be application/json", field="Content-Type", rule="application/json"
        )
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise UnsupportedMedia(
            "Content-Encoding must be gzip or identity",
            field="Content-Encoding",
            rule="gzip or identity",
        )
    return encoding == "gzip"


async def unpack(request: web.Request, body: bytes, max_bytes: int) -> bytes:
    """The body as JSON text, by its Content-Type and Content-Encoding."""
    packed = is_gzip(request)
    try:
        return unpacked(body, packed, min(INLINE_BYTES, max_bytes))
    except TooLarge:
        return await asyncio.to_thread(unpacked, body, packed, max_bytes)


def unpacked(body: bytes, packed: bool, max_bytes: int) -> bytes:
    """JSON text of at most `max_bytes`; raises TooLarge, or InvalidRequest for what is not gzip."""
    if packed:
        return gunzip(body, max_bytes)
    if len(body) > max_bytes:
        raise _too_large("the body", max_bytes)
    return body


def gunzip(body: bytes, max_bytes: int) -> bytes:
    """Unpacks one gzip member of at most `max_bytes`; a bomb costs no more than that."""
    unpacker = isal_zlib.decompressobj(GZIP_WINDOW)
    try:
        text = unpacker.decompress(body, max_bytes + 1)
    except isal_zlib.error as error:  # type: ignore[misc]  # a class, which the stub hides
        raise InvalidRequest(
            f"the body is not gzip: {error}", field="body", rule="one gzip member"
        ) from error
    if len(text) > max_bytes:
        raise _too_large("the unpacked body", max_bytes)
    if not unpacker.eof:
        raise InvalidRequest("the gzip body is cut short", field="body", rule="one gzip member")
    if unpacker.unused_data:
        raise InvalidRequest(
            "there is something after the gzip body", field="body", rule="one gzip member"
        )
    return text


def _too_large(what: str, max_bytes: int, **details: Any) -> TooLarge:
    return TooLarge(
        f"{what} is larger than {max_bytes} bytes",
        field="body",
        rule=f"at most {max_bytes} bytes",
        **details,
    )
