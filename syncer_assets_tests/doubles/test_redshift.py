"""The double of Redshift refuses what Redshift refuses, and all that the product sends is in the golden files."""

import io
import json
from collections.abc import Iterator

import obstore
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncer_assets.model.columns import Column
from syncer_assets.model.report import silent
from syncer_assets.model.upkeep import BloatLimits, MaintenanceRequest, Upkeep
from syncer_assets.warehouses.base import DeleteMissing
from syncer_assets.warehouses.redshift import RedshiftWarehouse
from syncer_assets_tests.doubles import golden
from syncer_assets_tests.doubles.redshift import RedshiftDouble, dialect
from syncer_assets_tests.servers import Bucket, Database
from syncer_assets_tests.warehouses.contract.on_redshift import under_test
from syncer_assets_tests.warehouses.contract.under_test import ORDERS, Extraction, Loads, at

COPY = "COPY t FROM 's3://{}/m.manifest' IAM_ROLE default FORMAT AS PARQUET MANIFEST"


@pytest.fixture
def double(database: Database, s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedshiftDouble]:
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    with RedshiftDouble(database, s3) as double:
        yield double


@pytest.fixture
def client(double: RedshiftDouble) -> Iterator[psycopg.Connection]:
    with psycopg.connect(
        double.dsn, autocommit=True, client_encoding="utf8", cursor_factory=psycopg.ClientCursor
    ) as connection:
        yield connection


def put_manifest(bucket: Bucket, table: pa.Table, **entry: object) -> str:
    """A Parquet object and a manifest that names it; `entry` replaces fields. The COPY of it."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    body = buffer.getvalue()
    obstore.put(bucket.store, "part.parquet", body)
    whole = {"url": f"{bucket.url}/part.parquet", "mandatory": True, "meta": {"content_length": len(body)}} | entry
    obstore.put(bucket.store, "m.manifest", json.dumps({"entries": [whole]}).encode())
    return COPY.format(bucket.name)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", "no ON CONFLICT"),
        ("INSERT INTO t VALUES (1) RETURNING id", "no RETURNING"),
        ("SELECT COUNT(*) FILTER (WHERE id > 1) FROM t", "no FILTER"),
        ("SELECT DISTINCT ON (id) id FROM t", "no DISTINCT ON"),
        ("SELECT id IS DISTINCT FROM 1 FROM t", "no IS DISTINCT FROM"),
        ("SELECT ARRAY[1, 2]", "no arrays"),
        ("SELECT id FROM t FOR UPDATE", "no SELECT FOR UPDATE"),
        ("CREATE INDEX ON t (id)", "no indexes"),
        ("SELECT E'a'", "no E'' strings"),
        ("SELECT string_agg(name, ',') FROM t", "does not know the function string_agg"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "does not know WITH"),
        ("MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE", "no subquery"),
        ("MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN UPDATE SET name = u.name", "one WHEN MATCHED and one"),
        (
            "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED AND u.name = '' THEN DELETE"
            " WHEN MATCHED THEN UPDATE SET name = u.name WHEN NOT MATCHED THEN INSERT VALUES (u.id, u.name)",
            "takes no condition",
        ),
        (
            "MERGE INTO t USING u ON t.id = u.id AND OCTET_LENGTH(t.name) = OCTET_LENGTH(u.name)"
            " WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (u.id, u.name)",
            "columns are equal",
        ),
        ("ALTER TABLE t ADD COLUMN a INTEGER, ADD COLUMN b INTEGER", "one thing at a time"),
        ("ALTER TABLE t ALTER COLUMN id TYPE BIGINT", "only the length of a VARCHAR"),
        ("COPY t FROM 's3://b/m' FORMAT AS PARQUET MANIFEST", "needs IAM_ROLE"),
        ("COPY t FROM 's3://b/m' IAM_ROLE default FORMAT AS PARQUET MANIFEST MAXERROR 5", "takes no MAXERROR"),
        ("COPY t FROM 's3://b/m' IAM_ROLE default FORMAT AS PARQUET MANIFEST REGION 'x'", "takes no REGION"),
        ("COPY t FROM 's3://b/m' IAM_ROLE default FORMAT AS PARQUET ACCEPTANYDATE", "takes no ACCEPTANYDATE"),
        ("COPY t (id) FROM 's3://b/m' IAM_ROLE default FORMAT AS PARQUET MANIFEST", "by position"),
        ("COPY t FROM '/etc/passwd' IAM_ROLE default FORMAT AS PARQUET", "s3:// only"),
    ],
)
def test_what_redshift_refuses(double: RedshiftDouble, client: psycopg.Connection, statement: str, reason: str) -> None:
    client.execute("CREATE TABLE t (id INTEGER, name VARCHAR(5))")
    client.execute("CREATE TABLE u (id INTEGER, name VARCHAR(5))")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match=reason):
        client.execute(statement.encode())


def test_a_refusal_ends_the_transaction(client: psycopg.Connection) -> None:
    client.execute("BEGIN")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        client.execute("SELECT ARRAY[1]")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        client.execute("SELECT 1")
    client.execute("ROLLBACK")


def test_truncate_commits(client: psycopg.Connection, double: RedshiftDouble) -> None:
    client.execute("CREATE TABLE t (id INTEGER)")
    client.execute("INSERT INTO t VALUES (1)")
    client.execute("BEGIN")
    client.execute("TRUNCATE t")
    client.execute("ROLLBACK")
    assert double.database.scalar("SELECT count(*) FROM t") == 0


@pytest.mark.parametrize("statement", ["ALTER TABLE t ALTER COLUMN name TYPE VARCHAR(9)", "VACUUM FULL t"])
def test_what_cannot_run_in_a_transaction(client: psycopg.Connection, statement: str) -> None:
    client.execute("CREATE TABLE t (id INTEGER, name VARCHAR(5))")
    client.execute("BEGIN")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="transaction block"):
        client.execute(statement.encode())


def test_a_varchar_counts_bytes(client: psycopg.Connection) -> None:
    client.execute("CREATE TABLE t (name VARCHAR(5))")
    client.execute("INSERT INTO t VALUES ('🙂')")
    with pytest.raises(psycopg.errors.StringDataRightTruncation):
        client.execute("INSERT INTO t VALUES ('🙂🙂')")
    client.execute("ALTER TABLE t ALTER COLUMN name TYPE VARCHAR(8)")
    client.execute("INSERT INTO t VALUES ('🙂🙂')")


def test_keys_are_not_enforced(client: psycopg.Connection) -> None:
    client.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(5), PRIMARY KEY (id))")
    client.execute("INSERT INTO t VALUES (1, 'a'), (1, 'b')")


def test_a_session_that_does_not_ask_for_utf8_gets_unicode(double: RedshiftDouble) -> None:
    with psycopg.connect(double.dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        assert connection.pgconn.parameter_status(b"client_encoding") == b"UNICODE"


def test_a_backslash_is_an_escape(client: psycopg.Connection) -> None:
    assert client.execute(r"SELECT 'a\\b'").fetchone() == ("a\\b",)


def test_trailing_blanks_do_not_count_in_comparisons(client: psycopg.Connection) -> None:
    client.execute("CREATE TABLE t (name VARCHAR(5))")
    client.execute("INSERT INTO t VALUES ('a'), ('a '), ('b')")
    assert client.execute("SELECT COUNT(*) FROM t WHERE name = 'a'").fetchone() == (2,)
    assert client.execute("SELECT COUNT(*) FROM t WHERE name <> 'a'").fetchone() == (1,)


def test_copy_reads_the_files_of_its_manifest(client: psycopg.Connection, double: RedshiftDouble) -> None:
    client.execute("CREATE TABLE t (id INTEGER, name VARCHAR(20))")
    names = ["a", None, "", 'quo"te', "new\nline", "🙂"]
    table = pa.table({"x": pa.array(range(6), pa.int32()), "y": names})
    client.execute(put_manifest(double.bucket, table).encode())
    assert double.copies == 1
    assert client.execute("SELECT id, name FROM t ORDER BY id").fetchall() == list(enumerate(names))


@pytest.mark.parametrize(
    ("table", "entry", "reason"),
    [
        (pa.table({"x": pa.array([1], pa.int32())}), {"meta": {}}, "content_length"),
        (pa.table({"x": pa.array([1], pa.int32())}), {"mandatory": False}, "mandatory"),
        (pa.table({"x": pa.array([1], pa.int32())}), {"meta": {"content_length": 1}}, "another length"),
        (pa.table({"x": pa.array([1], pa.int32())}), {}, "1 columns, the table 2"),
        (pa.table({"x": pa.array([1], pa.int64()), "y": ["a"]}), {}, "x has an incompatible Parquet schema"),
        (pa.table({"x": pa.array([1], pa.int32()), "y": ["🙂🙂"]}), {}, "Table: 5, Data: 8"),
    ],
)
def test_what_copy_refuses(
    client: psycopg.Connection, double: RedshiftDouble, table: pa.Table, entry: dict, reason: str
) -> None:
    client.execute("CREATE TABLE t (id INTEGER, name VARCHAR(5))")
    with pytest.raises(psycopg.errors.InternalError_, match=reason):
        client.execute(put_manifest(double.bucket, table, **entry).encode())
    assert double.copies == 0
    assert double.database.scalar("SELECT count(*) FROM t") == 0


def test_a_copy_is_part_of_its_transaction(client: psycopg.Connection, double: RedshiftDouble) -> None:
    client.execute("CREATE TABLE t (id INTEGER)")
    copy = put_manifest(double.bucket, pa.table({"x": pa.array([1], pa.int32())})).encode()
    client.execute("BEGIN")
    client.execute(copy)
    client.execute("ROLLBACK")
    assert double.database.scalar("SELECT count(*) FROM t") == 0


def scenario(double: RedshiftDouble, name: str) -> None:
    """Everything that was sent so far is in the golden file, and nothing else."""
    golden.check("redshift", name, double.statements, dialect.normalised)
    double.statements.clear()


def test_every_statement_is_in_the_golden_files(double: RedshiftDouble) -> None:
    """What a person compares with the manual, since no parser of Redshift's is to be had."""
    warehouse = RedshiftWarehouse("w", double.dsn, iam_role="default")
    orders = Loads(under_test(double), warehouse)
    columns = (
        *ORDERS,
        Column("doc", "string", "jsonb"),
        Column("raw", "binary", "bytea"),
        Column("ok", "bool", "bool"),
    )
    orders.columns = columns
    orders.load([(1, "a", 1, "{}", b"x", True)])
    scenario(double, "first_load")
    orders.load([(1, "b", 2, "{}", b"x", None), (2, "b", 3)])
    scenario(double, "merge")
    orders.load_all([Extraction([(n, "c")]) for n in range(3)])
    orders.columns = (*columns, Column("note", "string", "character varying(10)"))
    orders.load([(1, "d", 5, "{}", b"x", True, "note")])
    orders.columns = (*columns, Column("note", "string", "character varying(20)"))
    orders.load([(1, "d", 5, "{}", b"x", True, "noted")])
    scenario(double, "many_manifests_and_new_columns")
    rule = DeleteMissing(at(50), column="id", start=0, end=10, upto=9)
    orders.load([(1, "e")], 50, delete_missing=rule, mode="replace")
    orders.load_all([Extraction([(1, "f")], mode="repair", deleted=[(2, 99)])], hard_deletes=True)
    orders.load_all([Extraction([], mode="repair", deleted=[(2, 99)])], hard_deletes=False)
    scenario(double, "replace_and_deletes")
    texts = Loads(under_test(double), warehouse, key=("status",), cursor=("id",))
    texts.target = type(texts.target)("w", "shop", "by_text")
    texts.load([(1, "a")])
    texts.load([(2, "a"), (3, "b")])
    scenario(double, "text_key")
    keyless = Loads(under_test(double), warehouse, key=(), load_kind="replace")
    keyless.target = type(keyless.target)("w", "shop", "keyless")
    keyless.load([(1, "a")], delete_missing=DeleteMissing(at(1)))
    keyless.load([(1, "b")], delete_missing=DeleteMissing(at(2)), mode="replace")
    scenario(double, "without_a_key")
    warehouse.checksum(orders.target, ORDERS, ("id",), 16)
    warehouse.maintain(
        orders.target,
        Upkeep(storage=(("sort_key", "id"), ("distribution", "even"))),
        MaintenanceRequest("repair"),
        emit=silent,
    )
    warehouse.bloat(orders.target, BloatLimits())
    warehouse.doctor()
    warehouse.adopt(orders.target, "generation-2")
    warehouse.forget(orders.target, "all")
    warehouse.forget(orders.target)
    scenario(double, "upkeep_and_questions")
    warehouse.close()
