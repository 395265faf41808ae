"""The least privileges: a source role that may only SELECT, a warehouse role that owns two schemas."""

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from syncer_assets.model.report import silent
from syncer_assets.model.upkeep import MaintenanceRequest, Upkeep
from syncer_assets_tests.faults.invariants import assert_invariants
from syncer_assets_tests.faults.job import Job, target_of, write
from syncer_assets_tests.servers import Database

SOURCE_GRANTS = """
CREATE ROLE {role} LOGIN;
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
GRANT CONNECT ON DATABASE {database} TO {role};
GRANT USAGE ON SCHEMA public TO {role};
GRANT SELECT ON orders, items, events, countries TO {role};
"""
WAREHOUSE_GRANTS = """
CREATE ROLE {role} LOGIN;
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role};
CREATE SCHEMA _syncer AUTHORIZATION {role};
CREATE SCHEMA shop AUTHORIZATION {role};
"""


@pytest.fixture
def restricted(job: Job, source_db: Database, warehouse_db: Database) -> Iterator[Job]:
    reader, loader = f"reader_{source_db.name}", f"loader_{warehouse_db.name}"
    source_db.execute(SOURCE_GRANTS.format(role=reader, database=source_db.name))
    warehouse_db.execute(WAREHOUSE_GRANTS.format(role=loader, database=warehouse_db.name))
    yield replace(job, source_dsn=source_db.dsn_as(reader), warehouse_dsn=warehouse_db.dsn_as(loader))
    for database, role in ((source_db, reader), (warehouse_db, loader)):
        database.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def test_the_whole_job_works_with_the_least_privileges(
    restricted: Job, source_db: Database, warehouse_db: Database
) -> None:
    """On the source:

        CREATE ROLE syncer_reader LOGIN PASSWORD '..';
        GRANT CONNECT ON DATABASE shop TO syncer_reader;
        GRANT USAGE ON SCHEMA public TO syncer_reader;
        GRANT SELECT ON orders, items, events, countries TO syncer_reader;

    On the warehouse, by the owner of the database:

        CREATE ROLE syncer_loader LOGIN PASSWORD '..';
        GRANT CONNECT, TEMPORARY ON DATABASE analytics TO syncer_loader;
        CREATE SCHEMA _syncer AUTHORIZATION syncer_loader;
        CREATE SCHEMA shop AUTHORIZATION syncer_loader;

    Nothing is granted on sequences: without SELECT on a sequence an id far above it is not told from the others.
    """
    tables = [(spec, target_of(spec)) for spec in restricted.specs]
    marks = None
    for round in range(3):
        with restricted.opened() as opened:
            done = opened.run()
            failed = [check for report in (*done.syncs, *done.loads) for check in report.checks if not check.passed]
            assert not [check for check in failed if check.severity == "ERROR"], failed
            assert all(check.passed for check in opened.warehouse.doctor()), opened.warehouse.doctor()
            opened.warehouse.maintain(tables[0][1], Upkeep(), MaintenanceRequest("repair"), emit=silent)
            marks = assert_invariants(source_db, opened.lake, warehouse_db, tables, since=marks)
        write(source_db, round)


def test_these_roles_may_do_nothing_else(restricted: Job) -> None:
    with psycopg.connect(restricted.source_dsn, autocommit=True) as source:
        for statement in ("DELETE FROM orders", "CREATE TABLE own (i int)", "CREATE TEMP TABLE own (i int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                source.execute(statement.encode())
    with psycopg.connect(restricted.warehouse_dsn, autocommit=True) as warehouse:
        for statement in ("CREATE SCHEMA other", "CREATE TABLE public.own (i int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                warehouse.execute(statement.encode())


def test_the_source_session_is_read_only_whatever_the_role_may(job: Job) -> None:
    """The superuser of this job could write; the sessions that the engine opens cannot."""
    with job.opened() as opened:
        opened.source.identity()
        connection = opened.source._connection  # type: ignore[attr-defined]  # looked into on purpose
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("DELETE FROM orders")
