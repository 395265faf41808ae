"""An HTTP proxy before an S3 server that answers some requests wrongly, as S3 does at its worst.

The client signs for the proxy's own host and port, and `Host` is forwarded as it came, so that signatures stay right.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from syncer_assets_tests.faults.proxy import reset

ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{0}</Code><Message>{0}</Message></Error>'
STATUS = {
    "SlowDown": "503 Slow Down",
    "InternalError": "500 Internal Server Error",
    "RequestTimeout": "400 Bad Request",
    "ExpiredToken": "400 Bad Request",
    "AccessDenied": "403 Forbidden",
    "ConditionalRequestConflict": "409 Conflict",
    "PreconditionFailed": "412 Precondition Failed",
    "200 InternalError": "200 OK",
}
"""S3's code of an error and its status line."""
RESET, DROPPED, TRUNCATED = "reset", "reply dropped", "body truncated"
"""The request does not arrive; it does, and its reply is lost; the reply's body ends in its middle."""


@dataclass(frozen=True)
class Request:
    """What a rule decides by; `number` counts all requests from 1."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    number: int
    body: bytes = b""

    @property
    def is_conditional(self) -> bool:
        return self.headers.get("if-none-match") == "*"

    @property
    def completes(self) -> bool:
        """Whether it is CompleteMultipartUpload."""
        return self.method == "POST" and "uploadId=" in self.query


Rule = Callable[[Request], str | None]
"""The code or the fault that a request meets; None: it goes through."""


class S3Proxy:
    """Listens on a loopback port of its own. `faults` are (method and path, what happened), in order."""

    def __init__(self, endpoint: str, rule: Rule = lambda request: None):
        url = urlsplit(endpoint)
        self._upstream = (url.hostname or "", url.port or 80)
        self.rule = rule
        self.faults: list[tuple[str, str]] = []
        self.requests: list[Request] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="s3 proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=60)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            while (head := await _head(client)) and await self._one(head, await _body(head, client), to_client):
                pass
        except asyncio.CancelledError:  # by `_close`; a task that ends as cancelled is reported as an error
            pass
        finally:
            to_client.close()

    async def _one(self, head: bytes, body: bytes, to_client: asyncio.StreamWriter) -> bool:
        """One request and its answer; False where the connection ends with it."""
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        path, _, query = target.partition("?")
        request = Request(method, path, query, _headers(head), len(self.requests) + 1, body)
        self.requests.append(request)
        fault = self.rule(request)
        if fault is not None:
            self.faults.append((f"{method} {path}", fault))
        if fault == RESET:
            reset(to_client)
            return False
        if fault in STATUS:
            to_client.write(_answer(fault))
            await to_client.drain()
            return True
        answer_head, answer = await self._forward(head, body, method)
        if fault == DROPPED:
            reset(to_client)
            return False
        to_client.write(answer_head + (answer[: len(answer) // 2] if fault == TRUNCATED else answer))
        await to_client.drain()
        return fault is None

    async def _forward(self, head: bytes, body: bytes, method: str) -> tuple[bytes, bytes]:
        server, to_server = await asyncio.open_connection(*self._upstream)
        try:
            to_server.write(head + body)
            await to_server.drain()
            answer_head = await _head(server)
            return answer_head, b"" if method == "HEAD" else await _body(answer_head, server)
        finally:
            to_server.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Up to and with the empty line; nothing where the connection ended."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


async def _body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    """As it is on the wire."""
    headers = _headers(head)
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        body += line + await reader.readexactly(int(line.split(b";")[0], 16) + 2)
        if int(line.split(b";")[0], 16) == 0:
            return body


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _answer(code: str) -> bytes:
    body = ERROR.format(code.removeprefix("200 ")).encode()
    head = f"HTTP/1.1 {STATUS[code]}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
