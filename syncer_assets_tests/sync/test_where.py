"""`where`: only the rows that meet it are read, counted and compared; nothing but a condition gets to the server."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from syncer_assets.components.deployment import load_deployment
from syncer_assets.model.columns import Column
from syncer_assets.model.errors import ConfigError
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.table import TableSpec
from syncer_assets.sources.base import SourceColumn, TableFacts
from syncer_assets.sync.checksum import compare
from syncer_assets.sync.condition import condition
from syncer_assets.sync.plan import plan
from syncer_assets.sync.reconcile import reconcile
from syncer_assets_tests.components.deployments import write_defs
from syncer_assets_tests.sync.tables import Rig, check, spec_of

WHERE = "Status <> 'it''s 100% off' AND (id % 5 <> 0 OR status IS NULL)"


def facts(engine: str) -> TableFacts:
    names = ("id", "status", 'we"ird', "MiXed", "Twin", "twin", "at")
    columns = tuple(SourceColumn(Column(name, "string", "text"), None) for name in names)
    return TableFacts("t", columns, ("id",), (), 0, 0, (), engine=engine)


def written(where: str, engine: str = "postgres") -> str | None:
    return condition(TableSpec("shop", "t", where=where), facts(engine))


def rows(rig: Rig) -> None:
    rig.database.execute(
        "CREATE TABLE orders (id bigserial PRIMARY KEY, status text, region text,"
        " updated_at timestamptz NOT NULL DEFAULT clock_timestamp());"
        "INSERT INTO orders (status, region) SELECT (ARRAY['new', 'it''s 100% off', NULL])[1 + g % 3], chr(97 + g % 2)"
        " FROM generate_series(1, 400) g"
    )


def wanted(rig: Rig) -> "Counter[tuple]":
    return rig.in_source(WANTED, "id", "status", where=WHERE)


WANTED = spec_of(cursor=["id"], where=WHERE, deletes="hard", max_shrink=1.0)


@pytest.mark.parametrize("cursor", [["id"], ["updated_at"], []])
def test_only_these_rows_are_read_counted_and_compared(rig: Rig, cursor: list[str]) -> None:
    rows(rig)
    spec = replace(WANTED, cursor=tuple(cursor), load="upsert" if cursor else "replace", deletes="detect")
    report = rig.sync(spec)
    rig.load(spec)
    assert rig.in_lake(spec, "id", "status") == rig.in_warehouse("id", "status") == wanted(rig)
    assert report.rows == wanted(rig).total() > 100 and check(report, "row_count").passed
    compared = compare(rig.source, rig.warehouse, spec, rig.target)
    assert (compared.equal, compared.buckets_different, compared.rows_source) == (True, 0, wanted(rig).total())
    rig.database.execute("INSERT INTO orders (id, status) VALUES (1001, 'it''s 100% off'), (1002, 'x')")
    rig.sync(spec)
    rig.load(spec)
    assert rig.in_warehouse("id", "status") == wanted(rig)
    assert not rig.warehouse_db.execute("SELECT 1 FROM shop.orders WHERE id = 1001")


def test_a_row_that_meets_it_no_more_is_gone_for_reconcile(rig: Rig) -> None:
    rows(rig)
    rig.sync(WANTED)
    rig.load(WANTED)
    rig.database.execute("UPDATE orders SET status = 'it''s 100% off' WHERE id IN (3, 6)")
    rig.database.execute("UPDATE orders SET status = 'x' WHERE id = 9")
    found = reconcile(rig.source, rig.warehouse, WANTED, rig.target, lake=rig.lake)
    assert (found.rows_deleted, found.rows_repaired, found.equal) == (2, 1, True)
    assert rig.in_warehouse("id", "status") == wanted(rig)


def test_rows_outside_are_not_held_against_the_partitions(rig: Rig) -> None:
    rows(rig)
    scheme = PartitionScheme(by="prefix", column="region", prefixes=("a",))
    spec = spec_of(cursor=["id"], partitions=scheme, where="region = 'a'")
    report = rig.sync(spec, "a")
    assert check(report, "rows_outside_partitions").passed and report.rows == 200


def test_a_changed_condition_is_refused_until_a_full_read(rig: Rig) -> None:
    rows(rig)
    spec = spec_of(cursor=["id"], partitions=PartitionScheme(by="id", size=300), where="id % 2 = 0")
    keys = ["000000000000-000000000299", "000000000300-000000000599"]
    for key in keys:
        rig.sync(spec, key)
    other = replace(spec, where="id % 2 = 1")
    for changed in (other, replace(spec, where=None)):
        with pytest.raises(ConfigError, match=r"rows changed from .*restore `where`.*--full"):
            rig.sync(changed, keys[0])
    assert rig.sync(other, keys[0], mode="full").rows == 150
    with pytest.raises(ConfigError, match=r"\[000000000300-.*`where` changed since it was read"):
        rig.sync(other, keys[1])
    rig.sync(other, keys[1], mode="full")
    assert rig.in_lake(other, "id", partition=keys[1]) == {(n,): 1 for n in range(301, 401, 2)}


def test_a_plan_shows_it_in_its_statement(rig: Rig) -> None:
    rows(rig)
    (part,) = plan(rig.source, None, WANTED).partitions
    assert """("status" <> 'it''s 100% off')""" in part.sql


def test_it_is_a_field_of_the_yaml(tmp_path: Path) -> None:
    entry = """- {table: public.orders, load: replace, where: "status = 'x'"}"""
    assert load_deployment(write_defs(tmp_path, entry)).tables[0].spec.where == "status = 'x'"


@pytest.mark.parametrize(
    ("engine", "text", "expected"),
    [
        ("postgres", "id=1", '("id" = 1)'),
        ("postgres", "mixed LIKE 'a%'", "(\"MiXed\" LIKE 'a%')"),
        ("postgres", "id > 1 AND NOT id IN (1, -2.5)", '(("id" > 1) AND (NOT ("id" IN (1, (- 2.5)))))'),
        ("postgres", '"we""ird" IS NOT NULL', '("we""ird" IS NOT NULL)'),
        ("postgres", "at >= DATE '2024-01-01'", "(\"at\" >= CAST('2024-01-01' AS date))"),
        ("postgres", "at < '2024-01-01'::timestamptz", "(\"at\" < CAST('2024-01-01' AS timestamptz))"),
        ("postgres", "lower(trim(status)) = 'a''b'", "(LOWER(TRIM(\"status\")) = 'a''b')"),
        ("postgres", "coalesce(status, 'x') BETWEEN 'a' AND 'b'", "(COALESCE(\"status\", 'x') BETWEEN 'a' AND 'b')"),
        ("mysql", 'status = "it\'s"', "(`status` = _utf8mb4 x'69742773')"),
        ("mysql", "`we\"ird` <> 1 OR at < TIMESTAMP'2024-01-01 00:00:00'",
         "((`we\"ird` <> 1) OR (`at` < CAST(_utf8mb4 x'323032342d30312d30312030303a30303a3030' AS DATETIME(6))))"),
        ("snowflake", "STATUS = 'x' AND \"id\" IS NULL", "((\"status\" = 'x') AND (\"id\" IS NULL))"),
    ],
)  # fmt: skip
def test_it_is_written_anew_from_what_was_understood(engine: str, text: str, expected: str) -> None:
    assert written(text, engine) == expected


REFUSED = [
    ("id = 1; DROP TABLE canary", "not one expression"),
    ("id = 1 --", "comment"),
    ("id = 1 -- AND status = 'x'", "comment"),
    ("id /* x */ = 1", "comment"),
    ("id = 1) OR (1 = 1", "cannot be parsed"),
    ("1 = 1 UNION SELECT 2", "no condition"),
    ("SELECT 1", "no condition"),
    ("DELETE FROM t", "no condition"),
    ("DROP TABLE t", "no condition"),
    ("", "not one expression"),
    ("id", "no condition"),
    ("pg_sleep(10) IS NULL", "pg_sleep is not allowed"),
    ("nextval('s') = 1", "nextval is not allowed"),
    ("pg_terminate_backend(1) = true", "pg_terminate_backend is not allowed"),
    ("id IN (SELECT id FROM u)", "IN with a query"),
    ("EXISTS (SELECT 1)", "no condition"),
    ("id = (SELECT 1)", "Subquery is not allowed"),
    ("at > now()", "is not allowed"),
    ("at > CURRENT_DATE", "is not allowed"),
    ("random() < 0.5", "is not allowed"),
    ("u.id = 1", "a column of a table that is named"),
    ("id = $1", "is not allowed"),
    ("status = E'\\\\x'", "is not allowed"),
    ("status = 'a\\b'", "backslash"),
    ("id::text = '1'", "a cast"),
    ("colour = 'x'", "no column 'colour'"),
    ("TWIN = 1", "no column 'TWIN'"),
    ("status = '" + "x" * 3000 + "'", "more than 2000 characters"),
    ("(" * 1500 + "id = 1" + ")" * 400, "cannot be parsed"),
    ("CASE WHEN id = 1 THEN true END", "no condition"),
    ("id = ANY(ARRAY[1])", "is not allowed"),
    ("status LIKE 'a' ESCAPE 'b'", "no condition"),
    ("id BETWEEN SYMMETRIC 1 AND 2", "BETWEEN with a symmetric"),
    ("id = 1e400", "no decimal"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "why"), REFUSED, ids=[text[:30] for text, _ in REFUSED])
def test_what_is_more_than_a_condition_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=r"^t: `where`: .*Fix: ") as refused:
        written(text)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        *("SLEEP(5) = 0", "BENCHMARK(9, MD5(1)) = 0", "LOAD_FILE('/etc/passwd') IS NULL", "id = @@version", "id = ?"),
        *("id = 1 /*!50000 OR SLEEP(5) */", "id = 1 # x", "status = 'a\\\\'", "@a := 1", "id = 0x41"),
    ],
)
def test_what_mysql_would_do_beside_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^t: `where`: "):
        written(text, "mysql")
