"""The least privileges, as docs/privileges.md has them: a role that may only SELECT, one that owns two schemas."""

import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pymysql
import pytest

from syncer_assets.model.errors import DbError
from syncer_assets.model.report import silent
from syncer_assets.model.table import TableSpec, Target
from syncer_assets.model.upkeep import MaintenanceRequest, Upkeep
from syncer_assets.sources.registry import open_source
from syncer_assets.sync import extract, load
from syncer_assets.sync.lake import open_lake
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets.warehouses.postgres.reindex import TRANSACTION_SQL
from syncer_assets.warehouses.registry import open_warehouse
from syncer_assets_tests.faults.invariants import assert_invariants
from syncer_assets_tests.faults.job import Job, target_of, write
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.privileges import PASSWORD, statements_of
from syncer_assets_tests.servers import Database
from syncer_assets_tests.sync.tables import check
from syncer_assets_tests.warehouses.postgres.plans import Loads


def test_the_whole_job_works_with_the_least_privileges(job: Job, source_db: Database, warehouse_db: Database) -> None:
    """The job of each test runs under these roles: its fixture reads their statements out of the page."""
    tables = [(spec, target_of(spec)) for spec in job.specs]
    marks = None
    for round in range(3):
        with job.opened() as opened:
            done = opened.run()
            failed = [check for report in (*done.syncs, *done.loads) for check in report.checks if not check.passed]
            assert not [check for check in failed if check.severity == "ERROR"], failed
            assert all(check.passed for check in opened.warehouse.doctor()), opened.warehouse.doctor()
            opened.warehouse.maintain(tables[0][1], Upkeep(), MaintenanceRequest("repair"), emit=silent)
            marks = assert_invariants(source_db, opened.lake, warehouse_db, tables, since=marks)
        write(source_db, round)


def test_these_roles_may_do_nothing_else(job: Job) -> None:
    with psycopg.connect(job.source_dsn, autocommit=True) as source:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            source.execute("DELETE FROM orders")
        source.execute("SET default_transaction_read_only = off")  # anybody may
        for statement in ("DELETE FROM orders", "CREATE TABLE own (i int)", "CREATE TEMP TABLE own (i int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                source.execute(statement.encode())
    with psycopg.connect(job.warehouse_dsn, autocommit=True) as warehouse:
        for statement in ("CREATE SCHEMA other", "CREATE TABLE public.own (i int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                warehouse.execute(statement.encode())


def test_the_source_session_is_read_only_whatever_the_role_may(job: Job, source_db: Database) -> None:
    """It could write; the sessions that the engine opens cannot."""
    role = source_db.role
    source_db.execute(f"GRANT ALL ON orders TO {role}; ALTER ROLE {role} SET default_transaction_read_only = off")
    with job.opened() as opened:
        opened.source.identity()
        connection = opened.source._connection  # type: ignore[attr-defined]  # looked into on purpose
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("DELETE FROM orders")


def test_what_may_be_granted_further_gives_what_the_page_says(warehouse_db: Database) -> None:
    warehouse = PostgresWarehouse("dw", warehouse_db.dsn)
    for part, schema in (("CREATE ON DATABASE", "made"), ("SCHEMA public", "public")):
        loads = Loads(warehouse)
        loads.target = Target("dw", schema, "orders")
        with pytest.raises(DbError, match="permission denied"):
            loads.load([(1, "a")])
        warehouse_db.grant(part)
        assert loads.load([(1, "a")]).rows_inserted == 1
    warehouse.close()
    warehouse_db.execute("CREATE EXTENSION pgstattuple")
    with warehouse_db.connect(role=warehouse_db.role) as session, warehouse_db.connect(autocommit=False) as of_another:
        of_another.execute("SELECT 1")
        assert session.execute(TRANSACTION_SQL.encode()).fetchone() == (None,)
        warehouse_db.grant("pg_read_all_stats")
        (seconds,) = session.execute(TRANSACTION_SQL.encode()).fetchone() or (0,)
        assert seconds > 0
        measured = b"SELECT count(*) FROM pgstatindex('public.orders_pkey')"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(measured)
        warehouse_db.grant("pg_stat_scan_tables")
        assert session.execute(measured).fetchone() == (1,)


def test_the_least_of_a_mariadb_is_enough_and_no_more(
    maria_db: MariaDatabase, warehouse_db: Database, lake_dir: Path
) -> None:
    maria_db.script(
        "CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, status text, at timestamp NOT NULL DEFAULT now());"
        "INSERT INTO orders (status) VALUES ('a'), ('b'), ('c')"
    )
    lake = open_lake(f"file://{lake_dir}")
    specs = [TableSpec("shop", "orders", cursor=("id",), settle_seconds=3), TableSpec("shop", "orders", load="replace")]
    with (
        closing(open_source("shop", "mysql", maria_db.dsn)) as source,
        closing(open_warehouse("dw", "postgres", warehouse_db.dsn)) as warehouse,
    ):
        assert [result for result in source.doctor() if not result.passed] == []
        for spec, schema in zip(specs, ("shop", "core"), strict=True):
            spec = replace(spec, source=schema)
            assert check(extract(source, lake, spec), "cursor_protected").passed
            load(lake, warehouse, spec, Target("dw", schema, "orders"))
            assert warehouse_db.scalar(f"SELECT count(*) FROM {schema}.orders") == 3
    with closing(maria_db.server.connect(maria_db.name, maria_db.role, PASSWORD)) as session:
        for statement in (
            "DELETE FROM orders",
            "CREATE TABLE own (i int)",
            "SELECT * FROM mysql.user",
            "SET GLOBAL x=1",
        ):
            with pytest.raises(pymysql.MySQLError), session.cursor() as cursor:
                cursor.execute(statement)


GRANTED = r"(USAGE|MODIFY|OWNERSHIP|SELECT|TEMP|ASSUMEROLE)"
ON = r"(WAREHOUSE|DATABASE|SCHEMA|STAGE|(ALL|FUTURE) TABLES IN SCHEMA)"
FORMS = [
    r"CREATE (ROLE|SCHEMA) [\w.]+( AUTHORIZATION syncer_loader)?",
    r"CREATE USER \w+ TYPE = SERVICE DEFAULT_ROLE = SYNCER_\w+ RSA_PUBLIC_KEY = '...'",
    r"CREATE USER syncer_loader PASSWORD '...' NOCREATEDB NOCREATEUSER",
    rf"GRANT {GRANTED} ON ({ON} )?[\w.]+ TO (ROLE SYNCER_(READER|LOADER)|syncer_loader)",
    r"GRANT ROLE SYNCER_(READER|LOADER) TO USER SYNCER_\1_USER",
    r"GRANT ASSUMEROLE ON 'arn:aws:iam::\d+:role/lake-reader' TO syncer_loader FOR COPY",
    r"REVOKE ALL ON SCHEMA public FROM PUBLIC",
]
"""Of statements for servers that nobody has here, as their manuals have them."""


@pytest.mark.parametrize("heading", ["Snowflake, source", "Snowflake, warehouse", "Redshift, warehouse"])
def test_no_more_is_granted_where_no_server_could_tell(heading: str) -> None:
    statements = [" ".join(text.split()) for text in statements_of(heading).split(";") if text.strip()]
    assert len(statements) >= 6
    for statement in statements:
        assert any(re.fullmatch(form, statement) for form in FORMS), statement
        assert not re.search(r"OWNERSHIP ON DATABASE|TO PUBLIC|ALL PRIVILEGES", statement)
        assert "SYNCER_READER" not in statement or not re.search("MODIFY|OWNERSHIP", statement)
