"""A line that is dead and does not say so: the link is down, or a proxy acknowledges what goes nowhere."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from syncer_assets.drivers import mysql
from syncer_assets.drivers import postgres as pg
from syncer_assets.model.errors import ConfigError
from syncer_assets.sources.mysql import MySQLSource
from syncer_assets.sources.mysql import source as mysql_source
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sources.postgres import source as postgres_source
from syncer_assets.sync.lake import open_lake
from syncer_assets_tests.faults.invariants import assert_invariants
from syncer_assets_tests.faults.job import ORDERS, Job, target_of, write
from syncer_assets_tests.faults.midstream import BATCH_ROWS, PATIENT, assert_read_whole, disturb, fill
from syncer_assets_tests.faults.proxy import Proxy
from syncer_assets_tests.faults.strike import Strike
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.servers import Database

pytestmark = pytest.mark.server
SILENT = {"answer_seconds": "3"}
IN_LIMIT = 90
"""Seconds in which a dead line has to be noticed, with the settings that everybody has."""


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql_source, "BATCH_ROWS", BATCH_ROWS)
    monkeypatch.setattr(postgres_source, "BATCH_ROWS", BATCH_ROWS)


def socket_of(database: Database) -> Path:
    port = urlsplit(database.dsn).query.rpartition("port=")[2]
    return database.server.socket_folder / f".s.PGSQL.{port}"


def dsn_at(database: Database, host: str, port: int, more: str = "") -> str:
    """Of a forwarder to the server's socket, where nobody asks for a password."""
    return f"postgresql://{database.role}@{host}:{port}/{database.name}?sslmode=disable{more}"


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_rows_that_stop_behind_an_acknowledging_proxy_are_read_on(
    engine: str, request: pytest.FixtureRequest, lake_dir: Path
) -> None:
    database = request.getfixturevalue("source_db" if engine == "postgres" else "maria_db")
    fill(database)
    upstream = socket_of(database) if engine == "postgres" else ("127.0.0.1", database.server.port)
    with Proxy(upstream) as proxy:
        if engine == "postgres":
            source = PostgresSource("shop", dsn_at(database, "127.0.0.1", proxy.port), SILENT)
        else:
            dsn = database.dsn.replace(f":{database.server.port}/", f":{proxy.port}/")
            source = MySQLSource("shop", dsn, {**SILENT, "identity": "the same behind the proxy"})
        disturb(source, proxy.freeze)
        strike = Strike("", lambda: None)
        with closing(source):
            assert_read_whole(source, open_lake(f"file://{lake_dir}"), strike)
        assert strike.told("source connection lost, reading on")


def test_a_load_that_hears_nothing_more_is_made_again(
    seed: int, job: Job, source_db: Database, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also at COMMIT, of which the ledger then knows; the server ends the session of before after its own limit."""
    at = ("ledger written", "second COPY", "rows merged")[seed % 3]
    copies, copy = 0, psycopg.Copy.write
    with Proxy(socket_of(warehouse_db)) as proxy:
        strike = Strike(at, proxy.freeze)

        def write_piece(self: psycopg.Copy, data: bytes) -> None:
            nonlocal copies
            copies += 1
            if copies == 2:
                strike("second COPY")
            copy(self, data)

        settings = {**SILENT, "idle_in_transaction_session_timeout": "2s"}
        dsn = dsn_at(warehouse_db, "127.0.0.1", proxy.port)
        job = replace(job.only(ORDERS), warehouse_dsn=dsn, warehouse_settings=settings, backoff=PATIENT)
        with job.opened() as opened:
            opened.run()
            write(source_db, 1)
            monkeypatch.setattr(psycopg.Copy, "write", write_piece)
            opened.run(strike)
            assert strike.struck
            assert_invariants(source_db, opened.lake, warehouse_db, [(ORDERS, target_of(ORDERS))])


def test_a_statement_that_works_for_longer_is_waited_for_as_long_as_is_said(source_db: Database) -> None:
    """And one that works within the limit is never ended."""
    slow = b"SELECT pg_sleep(1.2)"
    with closing(pg.connect(source_db.dsn, who="shop", settings={"answer_seconds": "60"})) as session:
        session.execute(slow)
    with closing(pg.connect(source_db.dsn, who="shop", settings={"answer_seconds": "0.3"})) as session:
        with pytest.raises(psycopg.OperationalError, match="silent"):
            session.execute(slow)
        assert session.closed


@pytest.mark.parametrize("limit", ["0", "-1", "soon"])
def test_a_limit_that_is_none_is_refused(limit: str, source_db: Database) -> None:
    source = PostgresSource("shop", source_db.dsn, {"answer_seconds": limit})
    with closing(source), pytest.raises(ConfigError, match="source shop: `answer_seconds` is no number above 0"):
        source.identity()


def test_every_connection_notices_a_dead_line_in_time(maria_db: MariaDatabase, source_db: Database) -> None:
    """What the kernel was told: idle + count x interval seconds, and as long for what was sent and not acknowledged."""
    with (
        Proxy(socket_of(source_db)) as proxy,
        closing(pg.connect(dsn_at(source_db, "127.0.0.1", proxy.port), who="shop")) as session,
        socket.fromfd(session.pgconn.socket, socket.AF_INET, socket.SOCK_STREAM) as end,
    ):
        _assert_noticing(end)
    session = mysql.connect(maria_db.dsn, who="shop", settings={"wait_timeout": "60"})
    _assert_noticing(session._sock)  # type: ignore[attr-defined]  # it has no public name
    mysql.discard(session)


def _assert_noticing(end: socket.socket) -> None:
    assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    idle, interval, count, unacknowledged = (
        end.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
    )
    assert 0 < idle + interval * count <= IN_LIMIT and 0 < unacknowledged <= IN_LIMIT * 1000


@dataclass
class Link:
    """A network namespace behind a pair of virtual cards. What listens there is reached until `set("down")`."""

    name: str
    host: str
    here: str

    def there(self, *command: str) -> list[str]:
        """A command that runs in the namespace."""
        return ["ip", "netns", "exec", self.name, *command]

    def set(self, state: str) -> None:
        subprocess.run(self.there("ip", "link", "set", "there", state), check=True)


@pytest.fixture
def link() -> Iterator[Link]:
    tag = uuid4().hex[:6]
    number = int(tag, 16) % 250
    link = Link(f"syncer-{tag}", f"10.213.{number}.2", f"sy{tag}")
    made = [
        ["ip", "netns", "add", link.name],
        ["ip", "link", "add", link.here, "type", "veth", "peer", "name", "there", "netns", link.name],
        ["ip", "addr", "add", f"10.213.{number}.1/24", "dev", link.here],
        ["ip", "link", "set", link.here, "up"],
        link.there("ip", "addr", "add", f"{link.host}/24", "dev", "there"),
        link.there("ip", "link", "set", "there", "up"),
    ]
    try:
        for command in made:
            subprocess.run(command, check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        _remove(link)
        pytest.skip(f"no network namespace can be made here (needs root, and `ip`): {type(error).__name__}")
    yield link
    _remove(link)


def _remove(link: Link) -> None:
    for command in (["ip", "netns", "del", link.name], ["ip", "link", "del", link.here]):
        try:
            subprocess.run(command, capture_output=True)
        except FileNotFoundError:
            return


FORWARD = """
import sys
from pathlib import Path
from syncer_assets_tests.faults.proxy import Proxy
with Proxy(Path(sys.argv[1]), host="0.0.0.0") as proxy:
    print(proxy.port, flush=True)
    sys.stdin.read()
"""


def test_a_link_that_goes_down_is_noticed_and_the_read_goes_on(link: Link, source_db: Database, lake_dir: Path) -> None:
    """By keepalives, here of seconds: nothing else would end the wait for rows."""
    fill(source_db)
    forward = link.there(sys.executable, "-c", FORWARD, str(socket_of(source_db)))
    child = subprocess.Popen(
        forward, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    lost = "source connection lost, reading on"
    strike = Strike(lost, lambda: link.set("up"))
    try:
        assert child.stdout is not None
        fast = "&keepalives_idle=1&keepalives_interval=1&keepalives_count=2&tcp_user_timeout=3000&connect_timeout=5"
        source = PostgresSource("shop", dsn_at(source_db, link.host, int(child.stdout.readline()), fast))
        disturb(source, lambda: link.set("down"))
        with closing(source):
            assert_read_whole(source, open_lake(f"file://{lake_dir}"), strike)
        assert strike.struck and strike.told(lost)[0]["rows_of_chunk"]
    finally:
        child.kill()
        child.communicate()
