"""What is read is what the table holds, whatever the server's defaults, its collations and the table's names are."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest

from syncer_assets.model.errors import AttemptVoid
from syncer_assets.sources.base import Read
from syncer_assets.sources.mysql import MySQLSource, query
from syncer_assets_tests.mariadb import MariaDatabase, MariaDB
from syncer_assets_tests.servers import missing
from syncer_assets_tests.sources.mysql.rig import pages, read_of, user
from syncer_assets_tests.sync.tables import at, spec_of

OpenSource = Callable[..., MySQLSource]

WORDS = [
    "a",
    "A",
    "ä",
    "Ä",
    "b",
    "ss",
    "ß",
    "a ",
    "a  b",
    "a\tb",
    "",
    "z",
    "\\",
    "'",
    "%",
    "é",
    "e",
    "😀",
    "Z",
    "ab",
    "aB",
]


@pytest.mark.parametrize(
    "collation",
    ["utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_bin", "utf8mb4_nopad_bin", "utf8mb4_unicode_nopad_ci"],
)
def test_paging_by_a_text_key_neither_skips_nor_repeats(
    maria_db: MariaDatabase, source: MySQLSource, collation: str
) -> None:
    """The order is the database's own: 'a' and 'A' may be equal to it, and so may 'a' and 'a '."""
    maria_db.execute(f"CREATE TABLE t (k varchar(20) COLLATE {collation} PRIMARY KEY, at timestamp(6) NOT NULL)")
    for word in WORDS:
        maria_db.execute("INSERT IGNORE INTO t VALUES (%s, '2024-01-01 00:00:00')", (word,))
    expected = [word for (word,) in maria_db.execute("SELECT k FROM t ORDER BY k")]
    read = read_of(source, spec_of("t", ("at",)), upto=(at(0),))
    found = [row for page in pages(source, read, 2) for row in page]
    assert [word for _, word in found] == expected and len(set(expected)) == len(expected) > 12


@pytest.mark.parametrize(
    ("type", "values"),
    [
        ("enum('b','a','c')", ["'a'", "'b'", "'c'"]),
        ("set('b','a')", ["'a'", "'b'", "'b,a'", "''"]),
        ("binary(3)", ["x'000001'", "x'0000ff'", "x'ff0000'", "x'275c00'"]),
        ("varbinary(9)", ["x'00'", "x'0000'", "x'ff'", "''"]),
        ("uuid", ["'00000000-0000-0000-0000-0000000000ff'", "'10000000-0000-4000-8000-000000000001'", "UUID()"]),
        ("inet6", ["'::1'", "'ff::'", "'::ffff:1.2.3.4'"]),
        ("decimal(20,4)", ["-1.5", "0", "9999999999999999.9999", "0.0001"]),
        ("float", ["1.1", "-1.1e20", "3.4e38", "0.1"]),
        ("double", ["1.1", "-1.1e300", "1e-300", "0.1"]),
        ("date", ["'1000-01-01'", "'2024-02-29'", "'9999-12-31'"]),
        ("datetime(6)", ["'2024-02-29 23:59:59.999999'", "'2024-02-29 23:59:59.999998'", "'1000-01-01'"]),
        ("time(3)", ["'-838:59:59'", "'00:00:00.001'", "'838:59:59'", "'12:00:00'"]),
        ("year", ["1901", "2024", "2155"]),
        ("bit(16)", ["b'1'", "b'11'", "b'101'", "b'10000'"]),
        (
            "decimal(45,1)",
            [
                "10000000000000000000000000000000000000000000 + 0.1",
                "10000000000000000000000000000000000000000000 + 0.2",
                "-10000000000000000000000000000000000000000000 - 0.1",
                "1",
            ],
        ),
        ("varchar(9) CHARACTER SET latin1", ["'a'", "'ä'", "'z'", "'€'"]),
    ],
)
def test_paging_by_a_key_of_any_type(
    maria_db: MariaDatabase, source: MySQLSource, type: str, values: list[str]
) -> None:
    maria_db.execute(f"CREATE TABLE t (k {type} NOT NULL PRIMARY KEY, v int NOT NULL DEFAULT 1)")
    for value in values:
        maria_db.execute(f"INSERT INTO t (k) VALUES ({value})")
    read = read_of(source, spec_of("t", ("v",)), upto=(1,))
    found = [row for page in pages(source, read, 1) for row in page]
    assert len(found) == len(set(found)) == len(values)


@pytest.mark.parametrize("trial", range(12))
def test_composite_pages_bring_every_row_once(maria_db: MariaDatabase, source: MySQLSource, trial: int) -> None:
    random = Random(trial)
    maria_db.execute("CREATE TABLE t (a int NOT NULL, b int NOT NULL, c int NOT NULL, PRIMARY KEY (a, b, c))")
    values = {tuple(random.randint(0, 3) for _ in range(3)) for _ in range(random.randint(1, 40))}
    maria_db.execute("INSERT INTO t VALUES " + ", ".join(map(str, values)))
    low, high = (tuple(random.randint(0, 3) for _ in range(random.randint(1, 3))) for _ in range(2))
    read = read_of(source, spec_of("t", ("a", "b", "c")[: random.randint(1, 3)]), after=low, upto=high)
    expected = sorted(row for row in values if row[: len(low)] > low and row[: len(high)] <= high)
    found = [row for page in pages(source, read, random.randint(1, 7)) for row in page]
    assert found == expected and source.count(read) == len(expected), trial


def test_a_group_of_ties_is_completed(maria_db: MariaDatabase, source: MySQLSource) -> None:
    """By WITH TIES of MariaDB, and by the rank that a MySQL is asked for."""
    maria_db.execute("CREATE TABLE t (a int, b int)")
    maria_db.execute("INSERT INTO t SELECT seq DIV 5, seq DIV 10 FROM seq_0_to_99")
    read = replace(read_of(source, spec_of("t", ("a",), load="append")), with_ties=True, limit=12, upto=(50,))
    expected = [(n // 5, n // 10) for n in range(15)]
    for mariadb in (True, False):
        statement = query.select(read, mariadb=mariadb)
        assert ("WITH TIES" in statement) == mariadb
        assert sorted(row[:2] for row in maria_db.execute(statement)) == expected


def test_names_of_every_kind(maria_db: MariaDatabase, source: MySQLSource) -> None:
    names = ["id", "a b", "a`b", "a.b", "a%sb", 'a"b', "a'b", "select", "ä", "c0", "guard", "a{}b", "$"]
    columns = ", ".join(f"{query.quoted(name)} int" for name in names)
    table = "odd `t%s.{}"
    maria_db.execute(f"CREATE TABLE {query.quoted(table)} ({columns}, PRIMARY KEY (id, `a``b`))")
    maria_db.execute(f"INSERT INTO {query.quoted(table)} VALUES ({', '.join(map(str, range(len(names))))})")
    full = f"{maria_db.name}.{table}"
    facts = source.describe(full)
    assert [column.column.name for column in facts.columns] == names and facts.primary_key == ("id", "a`b")
    read = Read(full, facts.columns, (), ())
    assert [batch.to_pylist() for batch in source.read(read)] == [[dict(zip(names, range(len(names)), strict=True))]]
    assert full in source.tables() and source.count(read) == 1


def test_a_snapshot_counts_the_rows_that_it_brings_while_others_write(
    maria_db: MariaDatabase, source: MySQLSource
) -> None:
    maria_db.execute("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, pad char(200) DEFAULT 'x')")
    maria_db.execute("INSERT INTO t (id) SELECT seq FROM seq_1_to_100000")
    snapshot = source.snapshot(read_of(source, spec_of("t", (), load="replace")))
    maria_db.execute("DELETE FROM t WHERE id % 2 = 0")
    maria_db.execute("INSERT INTO t (id) SELECT NULL FROM seq_1_to_7")
    rows = 0
    for batch in snapshot.batches():
        maria_db.execute("DELETE FROM t ORDER BY id DESC LIMIT 1000")
        rows += batch.num_rows
    snapshot.close()
    assert rows == snapshot.rows == 100_000


def test_a_read_of_another_server_than_the_ceilings_is_void(maria_db: MariaDatabase, source: MySQLSource) -> None:
    maria_db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    read = read_of(source, spec_of("t", ("id",)))
    assert list(source.read(read, source.identity().server)) == []
    with pytest.raises(AttemptVoid, match="t: another server answers"):
        list(source.read(read, "another"))


@pytest.fixture(scope="module")
def hostile() -> Iterator[MariaDB]:
    """A server whose defaults change what statements mean, and cut answers short for all but the superuser."""
    if MariaDB.program() is None:
        missing("MariaDB is not installed: apt-get install mariadb-server")
    server = MariaDB(
        [
            "--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE,PAD_CHAR_TO_FULL_LENGTH",
            "--default-time-zone=+05:30",
            "--init-connect=SET sql_select_limit = 3, time_zone = '-07:00', net_write_timeout = 1",
            "--transaction-isolation=READ-UNCOMMITTED",
        ]
    )
    yield server.start()
    server.stop()


def test_no_default_of_the_server_shows_through(hostile: MariaDB) -> None:
    database = MariaDatabase.create(hostile, "source")
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute("CREATE TABLE t (id int PRIMARY KEY, k varchar(9), c char(9), at timestamp(6) NOT NULL)")
        cursor.execute("INSERT INTO t SELECT seq, '\\', 'x', '2024-01-01 00:00:00' FROM seq_1_to_9")
    source = MySQLSource("shop", database.dsn_as(user(database, ["SELECT ON {db}.*"]), "secret"))
    with database.connect(autocommit=False).cursor() as dirty:
        dirty.execute("INSERT INTO t VALUES (99, '', '', '2024-01-01 00:00:00')")
        read = read_of(source, spec_of("t", ("at",)), start=at(-1), after=(at(0), 2), upto=(at(0),))
        rows = [row for batch in source.read(read) for row in batch.to_pylist()]
        dirty.connection.rollback()
        dirty.connection.close()
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    assert rows == [{"id": n, "k": "\\", "c": "x", "at": moment} for n in range(3, 10)]
    prefixed = replace(read, after=None, prefix_column="k", prefix="\\")
    assert source.count(prefixed) == 9
    assert abs((source.clock("t") - datetime.now(UTC)).total_seconds()) < 60
    source.close()
    database.drop()


def test_sessions_read_only_and_take_the_options(
    maria_db: MariaDatabase, source: MySQLSource, open_source: OpenSource
) -> None:
    """Also where the role might write."""
    maria_db.execute("CREATE TABLE t (id int PRIMARY KEY, a int)")
    maria_db.execute(f"GRANT INSERT ON t TO {maria_db.role}")
    settings = "SELECT @@tx_read_only, @@net_write_timeout, @@max_statement_time, @@time_zone, @@lock_wait_timeout"
    with closing(source._open()) as session, session.cursor() as cursor:
        cursor.execute(settings)
        assert cursor.fetchone() == (1, 3600, 3600.0, "+00:00", 10)
        with pytest.raises(Exception, match="READ ONLY"):
            cursor.execute("INSERT INTO t VALUES (1, 1)")
    with closing(open_source(max_statement_time="7.5", net_write_timeout="60")._open()) as session:
        cursor = session.cursor()
        cursor.execute(settings)
        assert cursor.fetchone()[1:3] == (60, 7.5)  # type: ignore[index]  # a row
