"""Each page is found by the index, whatever its order columns are, and reads little more than it brings."""

import json
from dataclasses import replace
from typing import Any

import pytest

from syncer_assets.model.marks import Mark
from syncer_assets.model.table import TableSpec
from syncer_assets.sources.mysql import MySQLSource
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.sources.mysql.rig import pages, read_of
from syncer_assets_tests.sync.tables import at, spec_of

TABLE = """
CREATE TABLE t (a int NOT NULL, b int NOT NULL, c int NOT NULL, at timestamp(6) NOT NULL, v int,
                PRIMARY KEY (a, b, c), KEY (at));
INSERT INTO t SELECT seq DIV 10000, seq DIV 100 % 100, seq % 100, '2024-01-01' + INTERVAL seq DIV 20000 SECOND, seq
  FROM seq_0_to_39999;
ANALYZE TABLE t
"""


def plan(database: MariaDatabase, statement: str) -> dict[str, Any]:
    """The table's node of the server's own plan."""
    text = str(database.scalar(f"EXPLAIN FORMAT=JSON {statement}"))
    assert "filesort" not in text
    [node] = json.loads(text)["query_block"]["nested_loop"]
    return node["table"]


def rows_touched(database: MariaDatabase, statement: str) -> int:
    """How many rows the storage engine hands over while the statement runs."""
    connection = database.connect()
    with connection.cursor() as cursor:
        cursor.execute("FLUSH STATUS")
        cursor.execute(statement)
        cursor.fetchall()
        cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
        touched = sum(int(value) for _, value in cursor.fetchall())
    connection.close()
    return touched


@pytest.mark.parametrize(
    ("spec", "after", "upto", "key"),
    [
        (spec_of("t", ("a", "b", "c")), (2, 50, 10), (3, 99, 99), "PRIMARY"),
        (spec_of("t", ("a", "b", "c")), (2, 50, 10), (2, 90, 10), "PRIMARY"),
        (spec_of("t", ("a",)), (2, 50, 10), (3,), "PRIMARY"),
        (spec_of("t", ("at",)), (at(1), 2, 80, 10), (at(1),), "at"),
        (spec_of("t", ("at",)), (at(0), 1, 80, 10), (at(1),), "at"),
        (spec_of("t", ("at", "a")), (at(1), 2, 80, 10), (at(1), 3), "at"),
    ],
)
def test_a_page_is_an_index_range(
    maria_db: MariaDatabase, source: MySQLSource, spec: TableSpec, after: Mark, upto: Mark, key: str
) -> None:
    """Also in the middle of 20,000 rows of one time."""
    maria_db.script(TABLE)
    statement = source.sql(read_of(source, spec, after=after, upto=upto, limit=100))
    found = plan(maria_db, statement)
    assert (found["access_type"], found["key"]) == ("range", key)
    assert len(maria_db.execute(statement)) == 100
    assert rows_touched(maria_db, statement) <= 210  # an index entry and its row each, and a few to find the place


def test_a_row_comparison_would_read_from_the_start_of_the_index(maria_db: MariaDatabase, source: MySQLSource) -> None:
    """Why the nested form is written: if this ever fails, the shorter one will do."""
    maria_db.script(TABLE)
    statement = "SELECT v FROM t WHERE (a, b, c) > (2, 50, 10) AND a <= 3 ORDER BY a, b, c LIMIT 100"
    assert rows_touched(maria_db, statement) > 20_000


def test_the_smallest_value_is_one_look_into_the_index(maria_db: MariaDatabase, source: MySQLSource) -> None:
    maria_db.script(TABLE)
    maria_db.execute("DELETE FROM t WHERE a IN (1, 2)")
    read = read_of(source, spec_of("t", ("a",)), after=(0,), upto=(3,))
    assert source.lowest(read) == 3
    assert source.lowest(replace(read, after=(3,))) is None
    assert rows_touched(maria_db, source.sql(read).replace("SELECT", "EXPLAIN SELECT", 1)) < 10
    times = read_of(source, spec_of("t", ("at",)))
    assert source.lowest(times) == at(0)


def test_explain_names_the_index_and_the_rows(maria_db: MariaDatabase, source: MySQLSource) -> None:
    maria_db.script(TABLE)
    paged = source.explain(read_of(source, spec_of("t", ("at",)), after=(at(1),), upto=(at(9),), limit=100))
    assert paged.index == "at" and paged.rows < 10
    whole = source.explain(read_of(source, spec_of("t", (), load="replace")))
    assert 30_000 < whole.rows < 50_000
    maria_db.execute("CREATE TABLE u (id int PRIMARY KEY, at timestamp(6) NOT NULL)")
    maria_db.execute("INSERT INTO u SELECT v, at FROM t")
    assert source.explain(read_of(source, spec_of("u", ("at",)), after=(at(0),), limit=10)).index is None


def test_ids_to_the_largest_unsigned_one(maria_db: MariaDatabase, source: MySQLSource) -> None:
    maria_db.script("CREATE TABLE t (id bigint unsigned PRIMARY KEY)")
    ids = [0, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 2, 2**64 - 1]
    for each in ids:
        maria_db.execute("INSERT INTO t VALUES (%s)", (each,))
    spec = spec_of("t", ("id",))
    read = read_of(source, spec, upto=(2**64 - 1,))
    assert list(pages(source, read, 2)) == [[(a,) for a in ids[n : n + 2]] for n in range(0, 9, 2)]
    assert source.maximum("t", read.order[0]) == 2**64 - 1
    statement = source.sql(replace(read, after=(2**64 - 3,), limit=10))
    assert plan(maria_db, statement)["access_type"] == "range" and str(2**64 - 3) in statement
    assert len(maria_db.execute(statement)) == 2
