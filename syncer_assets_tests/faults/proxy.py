"""A proxy that forwards bytes and cuts a connection, with a reset, at the message that a test chose.

Asyncio, because the close of a socket that another thread is reading sends no RST; SO_LINGER makes it one.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from syncer_assets_tests.faults.record import struck

Cut = Literal["before", "after", "hold"]
"""`before` the message reaches the server; `after` the server answered it, and the client learns nothing; `hold`: as
`before`, but the server does not learn that its client is gone until `release`."""


@dataclass(frozen=True)
class Line:
    """What a bad line does: each connection is reset after so many bytes, in both directions together; what the server
    sends comes later, in slices."""

    reset_after_bytes: int | None = None
    latency_seconds: float = 0.0
    slice_bytes: int | None = None


class Proxy:
    """Listens on a port of its own (of loopback, where `host` says nothing else) and forwards to `upstream`, a
    (host, port) or a unix socket."""

    def __init__(self, upstream: tuple[str, int] | Path, host: str = "127.0.0.1", line: Line | None = None):
        self._upstream, self._host, self._line = upstream, host, line or Line()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._armed: tuple[bytes, Cut] | None = None
        self._held: list[asyncio.StreamWriter] = []
        self._deaf: set[asyncio.StreamWriter] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self._frozen: set[asyncio.StreamWriter] = set()
        self._carried: dict[asyncio.StreamWriter, int] = {}
        self.cuts = self.bytes = 0
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=60)
        self._loop.close()

    def arm(self, message: bytes, cut: Cut) -> None:
        """Cut the next connection on which a client sends `message`; once."""
        self._armed = (message, cut)

    def freeze(self) -> None:
        """The connections that there are: what is sent is acknowledged, and goes nowhere."""
        self._frozen |= self._open

    def lead_to(self, upstream: tuple[str, int] | Path) -> None:
        """New connections go elsewhere, as an endpoint's do; those that there are stay."""
        self._upstream = upstream

    def release(self) -> None:
        """Tell the server that the clients of held connections are gone."""
        self._do(self._let_go())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self._host, 0)
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
            reset(self._held.pop())

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if isinstance(self._upstream, Path):
            server, to_server = await asyncio.open_unix_connection(str(self._upstream))
        else:
            server, to_server = await asyncio.open_connection(*self._upstream)
        answered = asyncio.Event()
        self._open.add(to_client)
        slow: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        pumps = [
            asyncio.create_task(self._upward(client, to_client, to_server, answered)),
            asyncio.create_task(self._downward(server, to_client, answered, slow)),
        ]
        late = asyncio.create_task(self._late(slow, to_client))
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in (*pumps, late):
                pump.cancel()
            self._open.discard(to_client)
            self._carried.pop(to_client, None)
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
            if to_client in self._frozen:
                continue
            if self._worn_out(to_client, len(data)):
                reset(to_server)
                return
            if self._armed is not None and self._armed[0] in data:
                (_, cut), self._armed = self._armed, None
                self.cuts += 1
                struck()
                if cut == "after":
                    self._deaf.add(to_client)
                    to_server.write(data)
                    await answered.wait()
                if cut == "hold":
                    self._held.append(to_server)
                else:
                    reset(to_server)
                reset(to_client)
                return
            to_server.write(data)
            await to_server.drain()

    async def _downward(
        self,
        server: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        answered: asyncio.Event,
        slow: asyncio.Queue[tuple[float, bytes]],
    ) -> None:
        while data := await _some(server):
            if to_client in self._frozen:
                continue
            if to_client in self._deaf:
                answered.set()
                continue
            if self._worn_out(to_client, len(data)):
                return
            if self._line.latency_seconds:
                slow.put_nowait((asyncio.get_running_loop().time() + self._line.latency_seconds, data))
                continue
            to_client.write(data)
            await to_client.drain()

    async def _late(self, slow: asyncio.Queue[tuple[float, bytes]], to_client: asyncio.StreamWriter) -> None:
        """Write what is due, in slices."""
        while True:
            due, data = await slow.get()
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            size = self._line.slice_bytes or len(data)
            for start in range(0, len(data), size):
                to_client.write(data[start : start + size])
                await to_client.drain()
                await asyncio.sleep(0)

    def _worn_out(self, to_client: asyncio.StreamWriter, count: int) -> bool:
        """Whether the connection has had its bytes: it is reset then."""
        self.bytes += count
        self._carried[to_client] = self._carried.get(to_client, 0) + count
        most = self._line.reset_after_bytes
        if most is None or self._carried[to_client] <= most:
            return False
        self.cuts += 1
        reset(to_client)
        return True


async def _some(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65_536)
    except ConnectionError:
        return b""


def reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.family != socket.AF_UNIX:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
