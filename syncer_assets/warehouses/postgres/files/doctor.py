"""What stands in the way of files: the tables are made and a load of nothing is tried, all of it rolled back."""

import psycopg
from psycopg import sql

from ....model.errors import ConfigError, DbError, SyncError
from ....model.files import FileSpec
from ....model.report import CheckResult
from ....model.table import Target
from .. import catalog, names
from ..session import Sessions
from . import core, tables

LACKING_SQL = """
SELECT array_agg(p), current_user FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p
WHERE NOT has_table_privilege($1::oid, p)
"""
OWNS_SQL = "SELECT pg_has_role(relowner, 'USAGE') OR to_regclass($2) IS NOT NULL FROM pg_class WHERE oid = $1"


def examine(sessions: Sessions, spec: FileSpec) -> list[CheckResult]:
    """The findings; one that stands in the way is the last."""
    try:
        connection = sessions.open()
    except DbError as error:
        return [CheckResult("connection", False, description=str(error))]
    found: list[CheckResult] = []
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL lock_timeout = '5s'")
            for step in (_raw, _index, *([_core] if spec.core else [])):
                with sessions.errors("load", spec.target.name), connection.transaction():
                    found.append(step(connection, spec))
    except SyncError as error:
        found.append(CheckResult("tables", False, description=str(error)))
    finally:
        connection.close()
    return found


def _raw(connection: psycopg.Connection, spec: FileSpec) -> CheckResult:
    tables.prepare(connection, spec)
    for table in (spec.target, spec.rejects):
        _check_privileges(connection, table)
    return CheckResult("raw table", True, description=f"{spec.target.name} can be loaded")


def _index(connection: psycopg.Connection, spec: FileSpec) -> CheckResult:
    """The index that the first changed file needs: who is not the table's owner cannot make it."""
    name = tables.index_name(spec.target, "source_file")
    qualified = sql.Identifier(spec.target.schema, name).as_string()
    oid = catalog.table_oid(connection, spec.target)
    fix = f"CREATE INDEX {sql.Identifier(name).as_string()} ON {names.table(spec.target).as_string()} (source_file)"
    if connection.execute(OWNS_SQL, (oid, qualified)).fetchone() == (True,):
        return CheckResult("changed files", True, description="rows of changed files can be found")
    said = "changed files need an index on source_file, which only the table's owner can make"
    return CheckResult("changed files", False, severity="WARN", description=said, fix=fix)


def _core(connection: psycopg.Connection, spec: FileSpec) -> CheckResult:
    assert spec.core is not None
    core.try_out(connection, spec, spec.core)
    _check_privileges(connection, spec.core.target)
    made_of = "its query" if spec.core.query else f"{len(spec.core.columns)} columns"
    return CheckResult("core table", True, description=f"{spec.core.target.name} can be made of {made_of}")


def _check_privileges(connection: psycopg.Connection, table: Target) -> None:
    row = connection.execute(LACKING_SQL, (catalog.table_oid(connection, table),)).fetchone()
    if row and row[0]:
        lacking, role = ", ".join(row[0]), sql.Identifier(row[1]).as_string()
        raise ConfigError(
            f"the role may not {lacking}", table=table.name, fix=f"GRANT {lacking} ON {table.name} TO {role}"
        )
