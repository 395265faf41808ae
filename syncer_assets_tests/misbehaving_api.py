"""An HTTP server of a test's own, on loopback, that answers as the test says: well, badly, late, or by halves."""

import gzip
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request: `number` counts from 1."""

    number: int
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    at: float

    def int(self, name: str, default: int) -> int:
        return int(self.params.get(name, default))


@dataclass(frozen=True)
class Reply:
    """An answer. `cut` sends that many bytes of the body and hangs up; `drip_seconds` sends it byte by byte."""

    body: bytes = b"[]"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    cut: int | None = None
    told_length: bool = True
    drip_seconds: float | None = None

    @classmethod
    def json(cls, value: object, **headers: str) -> "Reply":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(json.dumps(value).encode(), headers={"Content-Type": "application/json", **named})

    def gzipped(self, cut: int | None = None) -> "Reply":
        """Packed; `cut` leaves off that many bytes at the end, and tells the shorter length."""
        packed = gzip.compress(self.body, mtime=0)
        headers = {**self.headers, "Content-Encoding": "gzip"}
        return Reply(packed[: len(packed) - (cut or 0)], self.status, headers)


Answer = Callable[[Asked], Reply]


class MisbehavingApi:
    """`asked` are the requests so far, `most_at_once` how many were open at the same time."""

    def __init__(self, answer: Answer):
        self.answer = answer
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self._open = 0
        self._lock = threading.Lock()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                with api._lock:
                    api._open += 1
                    api.most_at_once = max(api.most_at_once, api._open)
                    parts = urlsplit(self.path)
                    asked = Asked(
                        len(api.asked) + 1,
                        parts.path,
                        dict(parse_qsl(parts.query)),
                        {name.lower(): value for name, value in self.headers.items()},
                        time.monotonic(),
                    )
                    api.asked.append(asked)
                try:
                    self.send(api.answer(asked))
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                finally:
                    with api._lock:
                        api._open -= 1

            def send(self, reply: Reply) -> None:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.told_length:
                    self.send_header("Content-Length", str(len(reply.body)))
                else:
                    self.send_header("Connection", "close")
                    self.close_connection = True
                self.end_headers()
                if reply.cut is not None:
                    self.wfile.write(reply.body[: reply.cut])
                    self.close_connection = True
                elif reply.drip_seconds is not None:
                    for number in range(len(reply.body)):
                        self.wfile.write(reply.body[number : number + 1])
                        self.wfile.flush()
                        time.sleep(reply.drip_seconds)
                else:
                    self.wfile.write(reply.body)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing: a test's output is the test's."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def orders(count: int, first: int = 1) -> list[dict[str, object]]:
    """Records as APIs have them."""
    return [{"id": number, "name": f"order {number}", "amount": number / 4} for number in range(first, first + count)]


def paged(rows: Sequence[object]) -> Answer:
    """A well-behaved list: `?page=2&per_page=10`, with the total."""

    def answer(asked: Asked) -> Reply:
        page, size = asked.int("page", 1), asked.int("per_page", 10)
        return Reply.json({"data": {"items": rows[(page - 1) * size : page * size]}, "meta": {"total": len(rows)}})

    return answer
