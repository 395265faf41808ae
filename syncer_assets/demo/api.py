"""The demo's API: reviews of the shop's orders, in pages, for those who have the token. Loopback only."""

import json
import random
import secrets
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit

REVIEWS_A_DAY = 150
PAGE_MOST = 1_000
BUSY_EVERY = 10
"""Each tenth request is answered 429, as APIs do: retries are part of what the demo shows."""

_WORDS = ("as described", "arrived late", "would buy again", "broken", "a gift", "too small", "just right", "café ☕")


class DemoApi:
    """`GET /reviews?from=..&to=..&page=1&per_page=500`. What was written before it started never changes."""

    def __init__(self, scale: float = 1.0) -> None:
        self.token = secrets.token_urlsafe(24)
        self.reviews_a_day = max(1, round(REVIEWS_A_DAY * scale))
        self._now = datetime.now(UTC)
        self._requests = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="demo-api", daemon=True)

    @property
    def env(self) -> dict[str, str]:
        """What the shipped definitions read from the environment."""
        return {"DEMO_API_URL": f"http://127.0.0.1:{self._server.server_address[1]}", "DEMO_API_TOKEN": self.token}

    def answer(self, path: str, token: str | None) -> tuple[int, bytes]:
        """Status and body of a request."""
        with self._lock:
            self._requests += 1
            is_busy = self._requests % BUSY_EVERY == 0
        parts = urlsplit(path)
        if parts.path != "/reviews":
            return 404, b"{}"
        if token != f"Bearer {self.token}":
            return 401, b"{}"
        if is_busy:
            return 429, b"{}"
        try:
            asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            start, end = (datetime.fromisoformat(asked[name]) for name in ("from", "to"))
            page, size = int(asked.get("page", 1)), min(int(asked.get("per_page", 100)), PAGE_MOST)
        except (KeyError, ValueError):
            return 422, b"{}"
        numbers = self._numbers(start, min(end, self._now))
        found = [self._review(number) for number in numbers[(page - 1) * size : page * size]]
        return 200, json.dumps(
            {"data": {"reviews": found}, "meta": {"total": len(numbers)}}, ensure_ascii=False
        ).encode()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _numbers(self, start: datetime, end: datetime) -> range:
        """The reviews written in `[start, end)`: so many a day since 1970, evenly."""
        return range(*(max(0, -int(-moment.timestamp() * self.reviews_a_day // 86_400)) for moment in (start, end)))

    def _review(self, number: int) -> dict[str, object]:
        dice = random.Random(number)
        written = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number / self.reviews_a_day)
        return {
            "id": number,
            "order": {"id": dice.randrange(1, 1_000_001)},
            "rating": dice.choice((1, 2, 3, 4, 4, 5, 5, 5)),
            "text": f"{dice.choice(_WORDS)}, {dice.choice(_WORDS)}",
            "written_at": written.isoformat(timespec="microseconds"),
        }


def _handler(api: DemoApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            status, body = api.answer(self.path, self.headers.get("Authorization"))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if status == 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    return Handler
