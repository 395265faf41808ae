"""The reader of MySQL: what it brings, how much it holds, and what it says when the server does not go on."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pytest

from syncer_assets.drivers import connectorx, mysql, mysql_relay
from syncer_assets.drivers.connectorx import Readers
from syncer_assets.model.errors import DbError
from syncer_assets.sources.mysql.source import SESSION
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.servers import poll


@pytest.fixture
def readers() -> Iterator[Readers]:
    with closing(Readers()) as readers:
        yield readers


def read(readers: Readers, database: MariaDatabase, query: str, rows: int = 10_000) -> Iterator[pa.RecordBatch]:
    session = mysql.connect(database.dsn, who="source shop", settings=SESSION)
    return readers.read(session, query, who="source shop", table="t", batch_rows=rows)


def process_of(readers: Readers) -> int:
    """The pid of the one idle reader."""
    [reader] = readers._idle
    return reader._process.pid


def peak_memory_mb(pid: int) -> float:
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match is not None
    return int(match[1]) / 1024


def test_one_process_serves_many_reads(maria_db: MariaDatabase, readers: Readers) -> None:
    values = [next(read(readers, maria_db, f"SELECT {n} AS c")).to_pylist() for n in range(3)]
    assert values == [[{"c": 0}], [{"c": 1}], [{"c": 2}]]
    first = [list(read(readers, maria_db, "SELECT 1 AS c")), process_of(readers)][1]
    assert [list(read(readers, maria_db, "SELECT 1 AS c")), process_of(readers)][1] == first


def test_what_a_process_holds_is_bounded_while_its_rows_wait(
    maria_db: MariaDatabase, readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ConnectorX itself would take in the 200 MB at once."""
    monkeypatch.setattr(mysql_relay, "AHEAD_BYTES", 4 * 1024 * 1024)
    maria_db.execute("CREATE TABLE t (id int PRIMARY KEY, pad varchar(2000))")
    maria_db.execute("INSERT INTO t SELECT seq, REPEAT('x', 2000) FROM seq_1_to_100000")
    list(read(readers, maria_db, "SELECT * FROM t LIMIT 2000", rows=1000))
    pid = process_of(readers)
    before, rows = peak_memory_mb(pid), 0
    for batch in read(readers, maria_db, "SELECT * FROM t", rows=1000):
        if rows == 0:
            time.sleep(2)  # the lake is slow: nothing to wait for
        rows += batch.num_rows
    assert rows == 100_000 and peak_memory_mb(pid) - before < 60


def test_reads_of_several_threads_run_at_the_same_time(maria_db: MariaDatabase, readers: Readers) -> None:
    """And the interpreter goes on while they wait: ConnectorX in this process would hold its lock."""
    threads = [Thread(target=lambda: list(read(readers, maria_db, "SELECT SLEEP(1.5) AS c"))) for _ in range(3)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    ticks = 0
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.01)
        ticks += 1
    assert ticks > 60 and time.monotonic() - started < 4.4


def test_a_read_that_is_given_up_ends_at_the_server(maria_db: MariaDatabase, readers: Readers) -> None:
    rows = read(readers, maria_db, "SELECT a.seq, REPEAT('x', 900) FROM seq_1_to_1000000 a")
    next(rows)
    rows.close()  # type: ignore[attr-defined]  # a generator
    running = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT a.seq%' AND DB = DATABASE()"
    poll(lambda: maria_db.scalar(running) == 0, 20)
    assert next(read(readers, maria_db, "SELECT 1 AS c")).num_rows == 1


@pytest.mark.parametrize(
    ("query", "code", "retryable"),
    [
        ("SELECT * FROM nosuch", "1146", False),
        ("SELECT nosuch FROM t", "1054", False),
        ("SELEC 1", "1064", False),
        ("SELECT id, (SELECT 1 UNION SELECT 2) AS c FROM t", "1242", False),
        ("SELECT a.seq, IF(a.seq = 90000, (SELECT seq FROM seq_1_to_2), 1) AS c FROM seq_1_to_100000 a", "1242", False),
    ],
)
def test_the_servers_error_keeps_its_number(
    maria_db: MariaDatabase, readers: Readers, query: str, code: str, retryable: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """Before the first row, and in the middle of them."""
    maria_db.script("CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2)")
    with pytest.raises(DbError) as failed:
        list(read(readers, maria_db, query))
    assert (failed.value.code, failed.value.retryable, failed.value.table) == (code, retryable, "t")
    assert capfd.readouterr().err == ""
    assert next(read(readers, maria_db, "SELECT 1 AS c")).num_rows == 1


def test_a_reading_process_that_dies_is_a_lost_connection(maria_db: MariaDatabase, readers: Readers) -> None:
    list(read(readers, maria_db, "SELECT 1 AS c"))
    pid = process_of(readers)
    rows = read(readers, maria_db, "SELECT seq FROM seq_1_to_3000000")
    next(rows)
    os.kill(pid, 9)
    with pytest.raises(DbError) as failed:
        list(rows)
    assert (failed.value.code, failed.value.retryable) == ("2013", True)
    assert next(read(readers, maria_db, "SELECT 1 AS c")).num_rows == 1


def test_a_reading_process_knows_no_secret(
    maria_db: MariaDatabase, readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_DSN", maria_db.dsn)
    list(read(readers, maria_db, "SELECT 1 AS c"))
    pid = process_of(readers)
    assert b"DSN" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert maria_db.server.dsn()[8:30].encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_closing_ends_the_processes(maria_db: MariaDatabase) -> None:
    readers = Readers()
    list(read(readers, maria_db, "SELECT 1 AS c"))
    pid = process_of(readers)
    readers.close()
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("text", [text for text, _ in connectorx.TEXTS])
def test_the_words_of_a_lost_connection(text: str) -> None:
    class FakeRelay:
        error, lost = None, False

    error = connectorx._error(FakeRelay(), f"cx writer failed: {text}", "source shop", "t")  # type: ignore[arg-type]
    assert (error.code, error.retryable) == ("2013", True)


def test_other_words_are_not_told() -> None:
    class FakeRelay:
        error, lost = None, False

    error = connectorx._error(FakeRelay(), "could not convert 'canary'", "source shop", "t")  # type: ignore[arg-type]
    assert "canary" not in str(error) and not error.retryable
