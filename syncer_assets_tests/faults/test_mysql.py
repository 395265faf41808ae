"""A MariaDB that ends sessions, stops statements, waits no longer, or dies in the middle of a stream of rows."""

import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic
from urllib.parse import quote

import pyarrow as pa
import pymysql
import pytest

from syncer_assets.drivers import mysql
from syncer_assets.model.errors import DbError, SyncError
from syncer_assets.model.table import ChunkSettings, FileSettings, TableSpec
from syncer_assets.sources.base import Read
from syncer_assets.sources.mysql import MySQLSource
from syncer_assets.sources.mysql import source as mysql_source
from syncer_assets.sync import extract
from syncer_assets.sync.lake import open_lake
from syncer_assets.sync.retry import Backoff
from syncer_assets_tests.mariadb import MariaDatabase, MariaDB
from syncer_assets_tests.servers import free_ports, missing, poll
from syncer_assets_tests.sources.mysql.rig import MariaRig, user
from syncer_assets_tests.sync.tables import spec_of

ROWS = 150_000
"""Of 500 bytes each: more than sockets hold, so that a query runs while its first rows are used."""

FEWER = 60_000
"""Still more than sockets hold."""

READING = "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT t.%%pad%%' AND DB = %s"
BY_ID = spec_of("wide", ("id",), chunk=ChunkSettings(rows=150_000, target_seconds=60))
WHOLE = spec_of("wide", (), load="replace")


class Disturbed(MySQLSource):
    """A source to which something happens once, behind its second batch of rows (or that of number `after`)."""

    batches_seen = 0
    after = 2

    def disturb(self) -> None:
        """What happens."""

    def _batches(self, session: mysql.Connection, read: Read) -> Iterator[pa.RecordBatch]:
        for batch in super()._batches(session, read):
            yield batch
            self.batches_seen += 1
            if self.batches_seen >= self.after:
                happens, self.disturb = self.disturb, lambda: None
                happens()


OpenRig = Callable[..., tuple[MariaRig, Disturbed]]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql_source, "BATCH_ROWS", 10_000)


@pytest.fixture
def open_rig(lake_dir: Path) -> Iterator[OpenRig]:
    """A rig without a warehouse."""
    opened: list[Disturbed] = []

    def opening(database: MariaDatabase, **options: str) -> tuple[MariaRig, Disturbed]:
        source = Disturbed("shop", database.dsn, settings=options)
        opened.append(source)
        no_warehouse: Callable = lambda: None  # noqa: E731
        return MariaRig(database, source, open_lake(f"file://{lake_dir}"), no_warehouse), source  # type: ignore[arg-type]

    yield opening
    for source in opened:
        source.close()


def fill(database: MariaDatabase, rows: int = ROWS) -> None:
    database.execute("CREATE TABLE wide (id int AUTO_INCREMENT PRIMARY KEY, pad char(250) NOT NULL, more char(250))")
    database.execute(f"INSERT INTO wide SELECT seq, REPEAT(seq % 10, 250), REPEAT('x', 250) FROM seq_1_to_{rows}")


def kill(database: MariaDatabase, word: str) -> Callable[[], None]:
    def killing() -> None:
        with closing(database.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(READING, (database.name,))
            [(thread,)] = cursor.fetchall()
            cursor.execute(f"{word} {thread}")

    return killing


def wait(seconds: float) -> Callable[[], None]:
    """The lake is slow."""

    def waiting() -> None:
        start = monotonic()
        poll(lambda: monotonic() - start > seconds, 60)

    return waiting


def assert_whole(rig: MariaRig, spec: TableSpec, rows: int = ROWS) -> None:
    assert rig.in_lake(spec, "id") == Counter((n,) for n in range(1, rows + 1))


DISTURBANCES = [
    ("KILL", "2013", {}),
    ("KILL QUERY", "1317", {}),
    ("max_statement_time", "1969", {"max_statement_time": "3"}),
    ("net_write_timeout", "2013", {"net_write_timeout": "1"}),
]


@pytest.mark.parametrize(("what", "code", "options"), DISTURBANCES, ids=[what for what, _, _ in DISTURBANCES])
@pytest.mark.parametrize("spec", [BY_ID, WHOLE], ids=["chunks", "snapshot"])
def test_a_stream_that_breaks_off_never_gives_a_short_file(
    maria_db: MariaDatabase,
    open_rig: OpenRig,
    spec: TableSpec,
    what: str,
    code: str,
    options: dict[str, str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    fill(maria_db)
    rig, source = open_rig(maria_db, **options)
    source.disturb = kill(maria_db, what) if what.startswith("KILL") else wait(5)
    report = rig.sync(spec)
    lost = "source connection lost, reading on" if spec is BY_ID else "source connection lost, starting anew"
    assert {fields["code"] for fields in rig.told(lost)} == {code}, "on a busy machine more than once"
    assert report.rows >= ROWS and [check.name for check in report.checks if not check.passed] == []
    assert_whole(rig, spec)
    assert rig.head(spec).rows == ROWS
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("after", [1, FEWER // 10_000], ids=["first row", "last row"])
def test_a_kill_at_the_first_and_the_last_row_never_gives_a_short_file(
    after: int, seed: int, maria_db: MariaDatabase, open_rig: OpenRig
) -> None:
    """At the end, the rows may lie in sockets already: then nothing is lost."""
    word = ("KILL QUERY", "KILL")[(seed + after) % 2]
    fill(maria_db, FEWER)
    rig, source = open_rig(maria_db)
    source.after = after

    def killing() -> None:
        with closing(maria_db.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(READING, (maria_db.name,))
            for (thread,) in cursor.fetchall():  # none where the server has sent all
                cursor.execute(f"{word} {thread}")

    source.disturb = killing
    rig.sync(BY_ID)
    lost = rig.told("source connection lost, reading on")
    assert [fields["code"] for fields in lost] in ([{"KILL": "2013", "KILL QUERY": "1317"}[word]], [])
    assert lost or after > 1
    assert_whole(rig, BY_ID, FEWER)


@pytest.fixture(scope="module")
def crashing() -> Iterator[MariaDB]:
    """A server that loses nothing when it dies."""
    if MariaDB.program() is None:
        missing("MariaDB is not installed: apt-get install mariadb-server")
    server = MariaDB(["--innodb-flush-log-at-trx-commit=1"])
    yield server.start()
    server.stop()


@pytest.mark.parametrize("spec", [BY_ID, WHOLE], ids=["chunks", "snapshot"])
def test_a_run_goes_on_after_the_server_died(crashing: MariaDB, open_rig: OpenRig, spec: TableSpec) -> None:
    """What was committed before is not read again."""
    database = MariaDatabase.create(crashing, "crashing")
    fill(database)
    rig, source = open_rig(database)
    chunks = ChunkSettings(rows=60_000, target_seconds=60)
    spec = spec_of("wide", spec.cursor, load=spec.load, chunk=chunks, files=FileSettings(max_rows=40_000))

    def crash() -> None:
        crashing.kill()
        crashing.start()

    if spec.cursor:
        source.disturb = lambda: None
        commits = 0

        def on(event: str, fields: dict) -> None:
            nonlocal commits
            commits += event == "manifest committed"
            if commits == 1 and event == "manifest committed":
                source.disturb = crash

        report = rig.sync(spec, on=on)
        assert commits > 1 and report.rows == ROWS
        assert [fields["reason"] for fields in rig.told("attempt thrown away")] == ["attempt_void"]
        assert rig.rows_read() < 1.6 * ROWS
    else:
        source.disturb = crash
        rig.sync(spec)
    assert_whole(rig, spec)
    database.drop()


@pytest.mark.parametrize("back", ["before the end", "later"])
def test_a_server_that_is_made_read_only_meanwhile_is_read_on(back: str, crashing: MariaDB, open_rig: OpenRig) -> None:
    """Our sessions only read. But such a server may be a replica now: where it stays so, the read is begun anew."""
    database = MariaDatabase.create(crashing, "crashing")
    fill(database, FEWER)
    rig, source = open_rig(database)

    def freeze() -> None:
        database.execute("SET GLOBAL read_only = 1")
        if back == "before the end":
            source.disturb, source.after = thaw, source.batches_seen + 3

    def thaw() -> None:
        database.execute("SET GLOBAL read_only = 0")

    source.disturb = freeze
    try:
        rig.sync(BY_ID)
    finally:
        thaw()
    assert len(rig.told("attempt thrown away")) == (back == "later")
    assert_whole(rig, BY_ID, FEWER)
    database.drop()


CONNECTIONS_MOST = 10
"""The least that the server takes. One more is kept for an administrator."""

BUSY, STARTING_ANEW = "the server has too much to do, waiting", "source connection lost, starting anew"


def test_a_full_server_is_waited_for_until_a_connection_is_free(crashing: MariaDB, lake_dir: Path) -> None:
    """1040, of a server of its own: others would meet it too. Told once, however often it is asked again."""
    database = MariaDatabase.create(crashing, "full")
    database.execute("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY)")
    database.execute("INSERT INTO t SELECT seq FROM seq_1_to_500")
    role = user(database, ["SELECT ON {db}.*"])
    [(most,)] = database.execute("SELECT @@max_connections")
    events: list[tuple[str, object]] = []
    with ExitStack() as stack:
        stack.callback(database.drop)
        stack.callback(database.execute, f"DROP USER '{role}'@'127.0.0.1'")
        stack.callback(database.execute, f"SET GLOBAL max_connections = {most}")
        held = stack.enter_context(ExitStack())
        database.execute(f"SET GLOBAL max_connections = {CONNECTIONS_MOST}")
        poll(lambda: _is_full(held, crashing, database, role), 60)
        source = stack.enter_context(closing(MySQLSource("shop", database.dsn_as(role, "secret"))))
        with pytest.raises(DbError) as raised:
            source.identity()
        assert (raised.value.code, raised.value.failure, raised.value.phase) == ("1040", "wait_longer", "connect")

        def emit(event: str, **fields: object) -> None:
            events.append((event, fields.get("code")))
            if event == STARTING_ANEW and len(events) == 4:  # it was refused three times
                held.close()

        backoff = Backoff(base_seconds=0.05, cap_seconds=0.4, budget_seconds=120)
        report = extract(source, open_lake(f"file://{lake_dir}"), spec_of("t", ("id",)), emit=emit, backoff=backoff)
    assert report.rows == 500
    assert events[:4] == [(BUSY, "1040"), *[(STARTING_ANEW, "1040")] * 3]
    assert [name for name, _ in events].count(BUSY) == 1


def _is_full(held: ExitStack, server: MariaDB, database: MariaDatabase, role: str) -> bool:
    """Take a connection; whether there was none left."""
    try:
        held.enter_context(closing(server.connect(database.name, role, "secret")))
    except pymysql.err.OperationalError as error:
        return error.args[0] == 1040
    return False


PASSWORD = "C4n@ry %/ sp%zz 'q\"uote"
CANARIES = ("C4n@ry", "C4n%40ry", "sp%zz", "sp%25zz", "RowC4nary")


def dsns(database: MariaDatabase, role: str) -> dict[str, tuple[str, str, bool]]:
    """DSNs that fail, their code, and whether it is worth to try again."""
    secret, port = quote(PASSWORD, safe=""), database.server.port
    at = f"127.0.0.1:{port}"
    return {
        "not encoded": (f"mysql://{role}:{PASSWORD}@{at}/{database.name}", "2003", False),
        "no such scheme": (f"mysqlx://{role}:{secret}@{at}/{database.name}", "invalid_dsn", False),
        "unknown parameter": (f"mysql://{role}:{secret}@{at}/{database.name}?ssl=1", "invalid_dsn", False),
        "wrong password": (f"mysql://{role}:{secret}x@{at}/{database.name}", "1045", False),
        "no such database": (f"mysql://{role}:{secret}@{at}/nowhere", "1044", False),
        "no such host": (f"mysql://{role}:{secret}@nowhere.invalid/{database.name}", "2003", False),
        "refused": (f"mysql://{role}:{secret}@127.0.0.1:{free_ports(1)[0]}/{database.name}", "2003", True),
        "no TLS there": (f"mysql://{role}:{secret}@{at}/{database.name}?ssl_mode=verify_identity", "2026", False),
        "no such CA": (f"mysql://{role}:{secret}@{at}/x?ssl_mode=verify_ca&ssl_ca=/nowhere", "ssl_ca", False),
    }


@pytest.mark.parametrize(
    "what",
    [
        *("not encoded", "no such scheme", "unknown parameter", "wrong password", "no such database", "no such host"),
        *("refused", "no TLS there", "no such CA"),
    ],
)
def test_a_connection_that_fails_says_why_and_not_how(
    maria_db: MariaDatabase, what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    role = user(maria_db, ["SELECT ON {db}.*"])
    maria_db.execute(f"SET PASSWORD FOR '{role}'@'127.0.0.1' = PASSWORD(%s)", (PASSWORD,))
    dsn, code, retryable = dsns(maria_db, role)[what]
    started = monotonic()
    with closing(MySQLSource("shop", dsn)) as source, pytest.raises(DbError) as failed:
        source.identity()
    maria_db.execute(f"DROP USER '{role}'@'127.0.0.1'")
    error = failed.value
    assert (error.code, error.retryable, error.phase) == (code, retryable, "connect")
    assert error.fix and "source shop" in str(error) and monotonic() - started < 30, "not tried again"
    said = "".join((*traceback.format_exception(error), *capfd.readouterr()))
    assert not any(canary in said for canary in CANARIES)


def test_a_message_that_quotes_a_row_is_not_told(
    maria_db: MariaDatabase, open_rig: OpenRig, capfd: pytest.CaptureFixture[str]
) -> None:
    maria_db.execute("CREATE TABLE t (id int PRIMARY KEY, secret varchar(20))")
    maria_db.execute("INSERT INTO t VALUES (1, 'fine'), (2, 'RowC4nary')")
    maria_db.execute(
        "CREATE FUNCTION f(x varchar(20)) RETURNS varchar(20) DETERMINISTIC BEGIN"
        " IF x <> 'fine' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = x; END IF; RETURN x; END"
    )
    maria_db.execute("CREATE VIEW v AS SELECT id, f(secret) AS secret FROM t")
    maria_db.execute(f"GRANT SHOW VIEW ON {maria_db.name}.* TO {maria_db.role}")
    maria_db.execute(f"GRANT EXECUTE ON FUNCTION f TO {maria_db.role}")
    rig, _ = open_rig(maria_db)
    with pytest.raises(SyncError) as failed:
        rig.sync(spec_of("v", ("id",), key=("id",)))
    assert isinstance(failed.value, DbError) and failed.value.code == "1644" and not failed.value.retryable
    assert "RowC4nary" not in repr(failed.value) + "".join(capfd.readouterr())
