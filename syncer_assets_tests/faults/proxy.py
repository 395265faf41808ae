"""A proxy that forwards bytes and cuts a connection, with a reset, at the message that a test chose.

Asyncio, because the close of a socket that another thread is reading sends no RST; SO_LINGER makes it one.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Literal, Self

Cut = Literal["before", "after", "hold"]
"""`before` the message reaches the server; `after` the server answered it, and the client learns nothing; `hold`: as
`before`, but the server does not learn that its client is gone until `release`."""


class Proxy:
    """Listens on a loopback port of its own and forwards to `upstream`, a (host, port) or a unix socket."""

    def __init__(self, upstream: tuple[str, int] | Path):
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._armed: tuple[bytes, Cut] | None = None
        self._held: list[asyncio.StreamWriter] = []
        self._deaf: set[asyncio.StreamWriter] = set()
        self.cuts = 0
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def arm(self, message: bytes, cut: Cut) -> None:
        """Cut the next connection on which a client sends `message`; once."""
        self._armed = (message, cut)

    def release(self) -> None:
        """Tell the server that the clients of held connections are gone."""
        self._do(self._let_go())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._let_go()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _let_go(self) -> None:
        while self._held:
            _reset(self._held.pop())

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if isinstance(self._upstream, Path):
            server, to_server = await asyncio.open_unix_connection(str(self._upstream))
        else:
            server, to_server = await asyncio.open_connection(*self._upstream)
        answered = asyncio.Event()
        pumps = [
            asyncio.create_task(self._upward(client, to_client, to_server, answered)),
            asyncio.create_task(self._downward(server, to_client, answered)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            to_client.close()
            if to_server not in self._held:
                to_server.close()

    async def _upward(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        to_server: asyncio.StreamWriter,
        answered: asyncio.Event,
    ) -> None:
        while data := await _some(client):
            if self._armed is not None and self._armed[0] in data:
                (_, cut), self._armed = self._armed, None
                self.cuts += 1
                if cut == "after":
                    self._deaf.add(to_client)
                    to_server.write(data)
                    await answered.wait()
                if cut == "hold":
                    self._held.append(to_server)
                else:
                    _reset(to_server)
                _reset(to_client)
                return
            to_server.write(data)
            await to_server.drain()

    async def _downward(
        self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter, answered: asyncio.Event
    ) -> None:
        while data := await _some(server):
            if to_client in self._deaf:
                answered.set()
                continue
            to_client.write(data)
            await to_client.drain()


async def _some(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65_536)
    except ConnectionError:
        return b""


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.family != socket.AF_UNIX:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
