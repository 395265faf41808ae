"""The reader of PostgreSQL: what it brings, how much it holds, and what it says when the server does not go on."""

import importlib.util
import signal
import time
from collections.abc import Generator
from contextlib import ExitStack, closing
from decimal import Decimal
from threading import Thread

import psutil
import pyarrow as pa
import pytest
from psycopg import sql

from syncer_assets.drivers import native, postgres, postgres_rows
from syncer_assets.drivers.answering import Session
from syncer_assets.drivers.columns import Finding, Findings
from syncer_assets.model.errors import AttemptVoid, ConfigError, DbError
from syncer_assets.sources.postgres.source import SESSION
from syncer_assets_tests.servers import Database, poll

INT = pa.schema([("c", pa.int32())])
WIDE = pa.schema([("a", pa.int32()), ("b", pa.string())])


def open_session(database: Database) -> Session:
    return postgres.connect(database.dsn, who="source shop", settings=SESSION)


def read(
    database: Database,
    query: str,
    schema: pa.Schema = INT,
    rows: int = 10_000,
    session: Session | None = None,
) -> Generator[tuple[pa.RecordBatch, Findings], None, None]:
    """In a session of its own, or in one that stays open."""
    asked = sql.SQL(query)  # type: ignore[arg-type]  # of these tests
    with ExitStack() as stack:
        opened = session or stack.enter_context(closing(open_session(database)))
        with postgres.errors("read", who="source shop", table="t"):
            kinds = postgres_rows.kinds_of(opened.execute(asked + sql.SQL(" LIMIT 0")).description or [], schema, "t")
        stream = postgres_rows.read(opened, asked, kinds, schema, who="source shop", table="t", batch_rows=rows)
        yield from stack.enter_context(closing(stream))


def whole(database: Database, query: str, schema: pa.Schema = INT) -> pa.Table:
    return pa.Table.from_batches([batch for batch, _ in read(database, query, schema)])


def test_batches_are_whole_and_as_long_as_asked_for(source_db: Database) -> None:
    batches = [batch for batch, _ in read(source_db, "SELECT g FROM generate_series(1, 25000) g")]
    assert [batch.num_rows for batch in batches] == [10_000, 10_000, 5_000]
    for batch in batches:
        batch.validate(full=True)
    assert pa.Table.from_batches(batches)["c"].to_pylist() == list(range(1, 25_001))


def test_a_query_without_rows_gives_no_batch_and_leaves_the_session_usable(source_db: Database) -> None:
    session = open_session(source_db)
    for _ in range(2):
        assert list(read(source_db, "SELECT g FROM generate_series(1, 0) g", session=session)) == []
    assert [len(batch) for batch, _ in read(source_db, "SELECT g FROM generate_series(1, 7) g", session=session)] == [7]
    session.close()


@pytest.mark.parametrize("size", [8000, 8192, 16_384, 70_000, 50_000_000])
def test_values_of_any_length_arrive(source_db: Database, size: int) -> None:
    found = whole(
        source_db, f"SELECT g, CASE WHEN g = 2 THEN repeat('ab', {size} / 2) END FROM generate_series(1, 3) g", WIDE
    )
    assert found["a"].to_pylist() == [1, 2, 3]
    assert found["b"].to_pylist() == [None, "ab" * (size // 2), None]


def test_batches_of_long_rows_are_short(source_db: Database) -> None:
    batches = read(
        source_db, "SELECT repeat('x', 3000000) FROM generate_series(1, 20)", pa.schema([("c", pa.string())])
    )
    assert [batch.num_rows for batch, _ in batches] == [6, 6, 6, 2]


def test_what_is_held_is_bounded_while_the_rows_wait(source_db: Database) -> None:
    """Of 400 MB."""
    process, before, rows, most = psutil.Process(), psutil.Process().memory_info().rss, 0, 0
    query = "SELECT g, repeat('x', 2000) FROM generate_series(1, 200000) g"
    for batch, _ in read(source_db, query, WIDE, rows=1000):
        rows += batch.num_rows
        most = max(most, process.memory_info().rss)
    assert rows == 200_000 and most - before < 60_000_000


def test_reads_of_several_threads_run_at_the_same_time(source_db: Database) -> None:
    """And the interpreter goes on while they wait for a lock, which it gives up when it sees all three."""
    query = "SELECT 1 FROM (SELECT pg_advisory_lock_shared(1)) s"
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    found: list[int] = []
    threads = [Thread(target=lambda: found.append(whole(source_db, query).num_rows)) for _ in range(3)]
    with source_db.connect() as other:
        other.execute("SELECT pg_advisory_lock(1)")
        for thread in threads:
            thread.start()
        poll(lambda: source_db.scalar(waiting) == 3, 60)
    for thread in threads:
        thread.join()
    assert found == [1, 1, 1]


def test_a_signal_ends_a_read_that_waits(source_db: Database) -> None:
    """As Ctrl-C does, and the stop of a Dagster run."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    session, started = open_session(source_db), time.monotonic()
    query = "SELECT g FROM generate_series(1, 20000) g UNION ALL SELECT 1 FROM (SELECT pg_sleep(60)) s"
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt):
            list(read(source_db, query, session=session))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert session.closed and time.monotonic() - started < 20


def test_a_read_that_is_given_up_ends_at_the_server(source_db: Database) -> None:
    session = open_session(source_db)
    rows = read(source_db, "SELECT g, repeat('x', 900) FROM generate_series(1, 1000000) g", WIDE, session=session)
    next(rows)
    rows.close()
    assert session.closed
    running = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%'"
    poll(lambda: source_db.scalar(running) == 0, 60)


@pytest.mark.parametrize(
    ("query", "code", "retryable"),
    [
        ("SELECT * FROM nosuch", "42P01", False),
        ("SELECT nosuch FROM t", "42703", False),
        ("SELEC 1", "42601", False),
        ("SELECT c / (c - 1) FROM t", "22012", False),
        ("SELECT 1 / (g - 90000) FROM generate_series(1, 100000) g", "22012", False),
    ],
)
def test_the_servers_error_keeps_its_state(
    source_db: Database, query: str, code: str, retryable: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """Before the first row, and in the middle of them."""
    source_db.execute("CREATE TABLE t (c int); INSERT INTO t VALUES (1), (2)")
    with pytest.raises(DbError) as failed:
        list(read(source_db, query))
    assert (failed.value.code, failed.value.retryable, failed.value.table) == (code, retryable, "t")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("how", ["pg_terminate_backend", "pg_cancel_backend"])
def test_a_session_that_is_ended_is_an_error(source_db: Database, how: str) -> None:
    """While its rows wait at the server: whatever was read before, the read does not end well."""
    session = open_session(source_db)
    rows = read(source_db, "SELECT g, repeat('x', 900) FROM generate_series(1, 300000) g", WIDE, 1000, session)
    next(rows)
    source_db.execute(f"SELECT {how}({session.info.backend_pid})")
    with pytest.raises(DbError, match="t: source shop") as failed:
        list(rows)
    if how == "pg_cancel_backend":  # by somebody else
        assert (failed.value.code, failed.value.failure) == ("57014", "if_not_ours")
    else:  # the server says nothing where a row was half sent
        assert failed.value.code in (None, "57P01") and failed.value.retryable


def test_numbers_of_every_size_are_exact(source_db: Database) -> None:
    for precision, scale in ((38, 0), (38, 38), (38, 17), (9, 2), (5, 5), (1, 0), (30, 1)):
        kind = f"numeric({precision},{scale})"
        query = (
            f"SELECT n, n::text FROM (SELECT"
            f" (s * trunc((10::numeric ^ e) * sin(g)::numeric) / 10::numeric ^ {scale})::{kind} AS n"
            f" FROM generate_series(0, {precision - 1}) e, generate_series(1, 9) g, (VALUES (1), (-1)) s(s)) x"
        )
        found = whole(source_db, query, pa.schema([("n", pa.decimal128(precision, scale)), ("text", pa.string())]))
        assert found["n"].to_pylist() == [Decimal(text) for text in found["text"].to_pylist()]
        assert found.num_rows == precision * 18


def test_what_was_found_is_told(source_db: Database) -> None:
    schema = pa.schema([("a", pa.decimal128(9, 2)), ("b", pa.decimal128(9, 2))])
    [(batch, findings)] = read(source_db, "SELECT 'NaN'::numeric(9,2), 1::numeric(9,2)", schema)
    assert findings == {0: Finding.NOT_A_NUMBER} and batch.column(0).to_pylist() == [None]


def test_a_time_that_microseconds_since_1970_cannot_hold_stops_the_read(source_db: Database) -> None:
    with pytest.raises(DbError, match=r"t: source shop: .*cannot hold.*in c\b") as failed:
        list(read(source_db, "SELECT timestamp '294260-01-01'", pa.schema([("c", pa.timestamp("us"))])))
    assert not failed.value.retryable


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("1.5", pa.int32()),
        ("'1'::text", pa.int32()),
        ("1", pa.string()),
        ("1::bigint", pa.int32()),
        ("1e0::float8", pa.float32()),
        ("1::numeric(9,3)", pa.decimal128(9, 2)),
        ("1::numeric", pa.decimal128(9, 2)),
        ("now()", pa.timestamp("us")),
        ("localtimestamp", pa.timestamp("us", "UTC")),
        ("'x'::bytea", pa.string()),
        ("'x'::text", pa.binary()),
    ],
)
def test_a_column_of_another_type_voids_the_attempt(source_db: Database, expression: str, wanted: pa.DataType) -> None:
    """As by an ALTER TABLE after the catalogue was read: the rows themselves do not say it."""
    schema = pa.schema([("good", pa.int32()), ("changed", wanted)])
    with pytest.raises(AttemptVoid, match=r"^t: columns came as another type .*: changed\. Fix: "):
        list(read(source_db, f"SELECT 1, {expression}", schema))


def test_a_domain_is_read_as_its_base(source_db: Database) -> None:
    source_db.execute(
        "CREATE DOMAIN percent AS numeric(5,2); CREATE DOMAIN small AS int; CREATE DOMAIN smaller AS small"
    )
    schema = pa.schema([("a", pa.decimal128(5, 2)), ("b", pa.int32())])
    assert whole(source_db, "SELECT 1.5::percent, 7::smaller", schema).to_pylist() == [{"a": Decimal("1.50"), "b": 7}]


def test_a_parser_that_was_not_compiled_is_said(source_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    native._library.cache_clear()
    with pytest.raises(ConfigError, match=r"the parsers of rows were not compiled .*gcc"):
        list(read(source_db, "SELECT g FROM generate_series(1, 3) g"))
    native._library.cache_clear()
