"""A TCP proxy before the database, so that a test can cut it off, as a network or a crash does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

import pytest


class Proxy:
    """Passes bytes on between its own port and the database's, until it is told otherwise."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._pumps: set[asyncio.Task[None]] = set()
        self._sinks: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """The database's URL by way of the proxy."""
        user = self._parts.netloc.rpartition("@")[0]
        return urlunsplit(self._parts._replace(netloc=f"{user}@127.0.0.1:{self._port}"))

    async def open(self) -> None:
        """Lets connections through."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Ends every connection and refuses new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        # Closed here and not by the pumps: one that was cancelled at once never ran.
        for sink in list(self._sinks):
            sink.transport.abort()
            with suppress(OSError):
                await sink.wait_closed()
            self._sinks.discard(sink)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sinks.add(writer)
        try:
            there = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        except OSError:
            writer.transport.abort()
            return
        self._sinks.add(there[1])
        if self._server is None:  # cut meanwhile
            writer.transport.abort()
            there[1].transport.abort()
            return
        for source, sink in ((reader, there[1]), (there[0], writer)):
            pump = asyncio.create_task(_pump(source, sink), name="proxy")
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
    # Also after a reset: the other side would wait for ever.
    sink.close()


@pytest.fixture
async def database_proxy(database_url: str) -> AsyncIterator[Proxy]:
    """An open proxy before the test's database."""
    proxy = Proxy(database_url)
    await proxy.open()
    yield proxy
    await proxy.cut()
