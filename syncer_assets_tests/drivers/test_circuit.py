"""Many connections of one process and a server that does not answer: few attempts, and all go on when it is back."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Thread

import pytest

from syncer_assets.drivers import circuit, postgres
from syncer_assets.drivers.circuit import connecting
from syncer_assets.model.errors import DbError
from syncer_assets.model.failures import Failure
from syncer_assets.sync.retry import Backoff, retrying

TABLES = 20
WINDOW_SECONDS = 3.0


class Recovering:
    """A fake server in recovery: it ends each connection at once, and counts them."""

    def __init__(self) -> None:
        self.asked = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.asked += 1
            connection.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=60)


@pytest.fixture
def recovering() -> Iterator[Recovering]:
    server = Recovering()
    yield server
    server.close()


def test_two_hundred_tables_do_not_hammer_one_recovering_server(recovering: Recovering) -> None:
    dsn = f"postgresql://nobody:secret@127.0.0.1:{recovering.port}/db?sslmode=disable"
    backoff = Backoff(base_seconds=0.1, cap_seconds=0.2, budget_seconds=WINDOW_SECONDS)

    def table(number: int) -> None:
        with pytest.raises(DbError) as raised:
            retrying(lambda: postgres.connect(dsn, who=f"source {number}"), backoff)
        assert f"source {number}: " in str(raised.value) and raised.value.failure == "new_connection"

    with ThreadPoolExecutor(TABLES) as pool:
        list(pool.map(table, range(TABLES)))
    # without the breaker: 20 tables, 3 s, a wait of 0.15 s in the mean: 400. With it: the first of each, then probes
    assert 0 < recovering.asked <= TABLES + 12


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(circuit, "PAUSE_SECONDS", 0.05)
    return f"a server of {time.monotonic_ns()}"


@contextmanager
def failing(server: str, failure: Failure) -> Iterator[None]:
    with pytest.raises(DbError), connecting(server, "w"):
        raise DbError("w: no answer", phase="connect", failure=failure)
    yield


def test_the_breaker_waits_before_it_asks_again_and_closes_with_the_first_answer(server: str) -> None:
    with failing(server, "new_connection"):
        began = time.monotonic()
    with connecting(server, "w"):
        assert time.monotonic() - began >= 0.05
    assert circuit._CIRCUITS[server].error is None


@pytest.mark.parametrize("failure", ["never", "once"])
def test_a_server_that_refuses_does_answer(server: str, failure: Failure) -> None:
    with failing(server, failure):
        assert circuit._CIRCUITS[server].error is None
