"""The reader of MySQL: what it brings, how much it holds, and what it says when the server does not go on."""

from collections.abc import Generator
from contextlib import closing
from threading import Thread

import psutil
import pyarrow as pa
import pytest

from syncer_assets.drivers import mysql, mysql_rows
from syncer_assets.drivers.columns import Finding, Findings
from syncer_assets.model.errors import AttemptVoid, DbError
from syncer_assets.sources.mysql.source import SESSION
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.servers import poll

INT = pa.schema([("c", pa.int32())])


def read(
    database: MariaDatabase, query: str, schema: pa.Schema = INT, rows: int = 10_000
) -> Generator[tuple[pa.RecordBatch, Findings], None, None]:
    session = mysql.connect(database.dsn, who="source shop", settings=SESSION)
    return mysql_rows.read(session, query, schema, who="source shop", table="t", batch_rows=rows)


def test_batches_are_whole_and_as_long_as_asked_for(maria_db: MariaDatabase) -> None:
    batches = [batch for batch, _ in read(maria_db, "SELECT CAST(seq AS INT) FROM seq_1_to_25000")]
    assert [batch.num_rows for batch in batches] == [10_000, 10_000, 5_000]
    for batch in batches:
        batch.validate(full=True)
    assert pa.Table.from_batches(batches)["c"].to_pylist() == list(range(1, 25_001))


def test_a_query_without_rows_gives_no_batch(maria_db: MariaDatabase) -> None:
    assert list(read(maria_db, "SELECT 1 AS c FROM seq_1_to_3 WHERE seq > 9")) == []


@pytest.mark.parametrize("count", [1, 2, 3, 50, 400, 1000, 9000])
def test_answers_of_every_length_are_whole(maria_db: MariaDatabase, count: int) -> None:
    """PyMySQL has read some of the rows, all of them, or none when the parser begins."""
    query = f"SELECT REPEAT('x', 40) AS a, seq AS b FROM seq_1_to_{count}"
    schema = pa.schema([("a", pa.string()), ("b", pa.int64())])
    found = pa.Table.from_batches([batch for batch, _ in read(maria_db, query, schema)])
    assert found["b"].to_pylist() == list(range(1, count + 1)) and set(found["a"].to_pylist()) == {"x" * 40}


@pytest.mark.parametrize("size", [2**24 - 20, 2**24 - 1, 2**24, 50_000_000])
def test_values_longer_than_a_packet_arrive(maria_db: MariaDatabase, size: int) -> None:
    query = f"SELECT seq AS a, IF(seq = 2, REPEAT('ab', {size} DIV 2), 'short') AS b FROM seq_1_to_3"
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    found = pa.Table.from_batches([batch for batch, _ in read(maria_db, query, schema)])
    assert found["a"].to_pylist() == [1, 2, 3]
    assert found["b"].to_pylist() == ["short", "ab" * (size // 2), "short"]


def test_batches_of_long_rows_are_short(maria_db: MariaDatabase) -> None:
    query = "SELECT REPEAT('x', 3000000) AS c FROM seq_1_to_20"
    batches = [batch for batch, _ in read(maria_db, query, pa.schema([("c", pa.string())]))]
    assert [batch.num_rows for batch in batches] == [6, 6, 6, 2]


def test_what_is_held_is_bounded_while_the_rows_wait(maria_db: MariaDatabase) -> None:
    """Of 400 MB."""
    process, schema = psutil.Process(), pa.schema([("id", pa.int64()), ("pad", pa.string())])
    query = "SELECT seq AS id, REPEAT('x', 2000) AS pad FROM seq_1_to_200000"
    before, rows, most = process.memory_info().rss, 0, 0
    for batch, _ in read(maria_db, query, schema, rows=1000):
        rows += batch.num_rows
        most = max(most, process.memory_info().rss)
    assert rows == 200_000 and most - before < 60_000_000


def test_reads_of_several_threads_run_at_the_same_time(maria_db: MariaDatabase) -> None:
    """And the interpreter goes on while they wait for a lock, which it gives up when it sees all three."""
    query = f"SELECT GET_LOCK('{maria_db.name}', 200) * RELEASE_LOCK('{maria_db.name}') AS c"
    waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User lock' AND DB = DATABASE()"
    found: list[pa.Array] = []
    threads = [Thread(target=lambda: found.extend(batch["c"] for batch, _ in read(maria_db, query))) for _ in range(3)]
    with closing(maria_db.connect()) as other, other.cursor() as cursor:
        cursor.execute(f"SELECT GET_LOCK('{maria_db.name}', 0)")
        for thread in threads:
            thread.start()
        poll(lambda: maria_db.scalar(waiting) == 3, 60)
    for thread in threads:
        thread.join()
    assert [column.to_pylist() for column in found] == [[1]] * 3


def test_a_read_that_is_given_up_ends_at_the_server(maria_db: MariaDatabase) -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    rows = read(maria_db, "SELECT a.seq, REPEAT('x', 900) FROM seq_1_to_1000000 a", schema)
    next(rows)
    rows.close()
    running = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT a.seq%' AND DB = DATABASE()"
    poll(lambda: maria_db.scalar(running) == 0, 60)


@pytest.mark.parametrize(
    ("query", "code", "retryable"),
    [
        ("SELECT * FROM nosuch", "1146", False),
        ("SELECT nosuch FROM t", "1054", False),
        ("SELEC 1", "1064", False),
        ("SELECT (SELECT 1 UNION SELECT 2) AS c FROM t", "1242", False),
        ("SELECT IF(a.seq = 90000, (SELECT seq FROM seq_1_to_2), a.seq) AS c FROM seq_1_to_100000 a", "1242", False),
    ],
)
def test_the_servers_error_keeps_its_number(
    maria_db: MariaDatabase, query: str, code: str, retryable: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """Before the first row, and in the middle of them."""
    maria_db.script("CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2)")
    with pytest.raises(DbError) as failed:
        list(read(maria_db, query))
    assert (failed.value.code, failed.value.retryable, failed.value.table) == (code, retryable, "t")
    assert capfd.readouterr().err == ""


def test_a_socket_that_ends_is_a_lost_connection(maria_db: MariaDatabase) -> None:
    session = mysql.connect(maria_db.dsn, who="source shop", settings=SESSION)
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    query = "SELECT seq, REPEAT('x', 900) FROM seq_1_to_300000"
    rows = mysql_rows.read(session, query, schema, who="source shop", table="t", batch_rows=1000)
    next(rows)
    maria_db.execute(f"KILL {session.thread_id()}")
    with pytest.raises(DbError, match="t: source shop") as failed:
        list(rows)
    assert (failed.value.code in ("2013", "1927"), failed.value.retryable) == (True, True)


def test_a_server_that_falls_silent_among_the_rows_is_a_lost_connection(maria_db: MariaDatabase) -> None:
    """Once all that it had sent was read: fewer bytes wait then than a reader is woken for."""
    session = mysql.connect(maria_db.dsn, who="source shop", settings=SESSION | {"answer_seconds": "3"})
    query = "SELECT CAST(IF(seq > 20000, SLEEP(600), seq) AS INT) FROM seq_1_to_30000"
    with closing(mysql_rows.read(session, query, INT, who="source shop", table="t", batch_rows=1000)) as rows:
        found = [next(rows)[0].num_rows for _ in range(10)]
        with pytest.raises(DbError) as failed:
            found += [batch.num_rows for batch, _ in rows]
    assert (failed.value.code, failed.value.retryable) == ("2013", True) and sum(found) >= 10_000
    maria_db.execute(f"KILL {session.thread_id()}")


def test_sessions_that_verify_nobody_share_what_tls_needs(maria_db: MariaDatabase) -> None:
    """The authorities of a machine take 20 ms to read, which each chunk would pay for."""
    first, second = (mysql.connect(maria_db.dsn, who="source shop", settings=SESSION) for _ in range(2))
    with closing(first), closing(second):
        assert first.ctx is second.ctx and not first.ctx.cert_store_stats()["x509"]  # type: ignore[attr-defined]  # private


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("1.5", pa.int32()),
        ("'1'", pa.int32()),
        ("1", pa.string()),
        ("1e0", pa.float32()),
        ("CAST('x' AS BINARY)", pa.date32()),
        ("'text'", pa.binary()),
        ("NOW()", pa.date32()),
        ("1e0", pa.decimal128(5, 2)),
        ("POINT(1, 2)", pa.binary()),
    ],
)
def test_a_column_of_another_type_voids_the_attempt(
    maria_db: MariaDatabase, expression: str, wanted: pa.DataType
) -> None:
    """As by an ALTER TABLE after the catalogue was read."""
    schema = pa.schema([("good", pa.int32()), ("changed", wanted)])
    with pytest.raises(AttemptVoid, match=r"^t: columns came as another type .*: changed\. Fix: "):
        list(read(maria_db, f"SELECT 1, {expression}", schema))


def test_what_a_caller_has_to_judge_is_told_by_column(maria_db: MariaDatabase) -> None:
    maria_db.execute("SET sql_mode = 'ALLOW_INVALID_DATES'")
    schema = pa.schema([("a", pa.string()), ("b", pa.date32()), ("c", pa.string())])
    query = "SELECT 'a\\0b', CAST('0000-00-00' AS DATE), 'x' FROM seq_1_to_2"
    [(batch, findings)] = read(maria_db, query, schema)
    assert findings.get(0) == Finding.NUL_CHARACTER and 2 not in findings
    assert batch.column(1).null_count == 2


def test_a_number_that_does_not_fit_stops_the_read_and_is_not_told(maria_db: MariaDatabase) -> None:
    with pytest.raises(DbError, match=r"t: source shop: .*cannot hold.*in c") as failed:
        list(read(maria_db, "SELECT 4123123123"))
    assert "4123123123" not in str(failed.value) and not failed.value.retryable
