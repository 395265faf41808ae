"""What stands in the way of loading, and what the server's size says; each finding with its fix."""

from collections.abc import Sequence

import psycopg

from ...model.errors import DbError
from ...model.report import CheckResult
from ...model.server import ServerSize, size
from ...model.table import Target
from .maintain import MB, table_infos
from .session import SETTINGS, Sessions

FULL_SHARE = 0.8

FACTS_SQL = """
SELECT VERSION(), CURRENT_USER, HAS_DATABASE_PRIVILEGE(CURRENT_DATABASE(), 'TEMP'),
    HAS_DATABASE_PRIVILEGE(CURRENT_DATABASE(), 'CREATE'),
    (SELECT COUNT(*) FROM pg_namespace WHERE nspname = '_syncer')
"""
SIZE_SQL = "SELECT COALESCE(SUM(i.size), 0) FROM SVV_TABLE_INFO i"


def doctor(sessions: Sessions, iam_role: str) -> list[CheckResult]:
    """The findings. A connection that fails is the only one then."""
    try:
        connection = sessions.open()
    except DbError as error:
        return [CheckResult("connection", False, description=str(error))]
    with connection, sessions.errors("connect"):
        row = connection.execute(FACTS_SQL.encode()).fetchone()
        sees_tables = _may(connection, SIZE_SQL)
    assert row is not None
    version, role, temporary, create, ledger = row
    return [
        CheckResult("connection", True, description=f"connected as {role}"),
        _finding("version", "Redshift" in str(version), str(version), "this server is no Redshift: use type: postgres"),
        _finding(
            "staging", bool(temporary), "the role may create temporary tables", f"GRANT TEMP ON DATABASE .. TO {role}"
        ),
        _finding(
            "ledger",
            bool(create) or bool(ledger),
            "the role may create the schema _syncer, or it is there",
            f"CREATE SCHEMA _syncer AUTHORIZATION {role}, and the same for the target schemas",
        ),
        _finding(
            "table_info",
            sees_tables,
            "the role may read SVV_TABLE_INFO, by which upkeep is judged",
            f"as a superuser: GRANT SELECT ON SVV_TABLE_INFO TO {role}",
        ),
        _finding(
            "iam_role",
            bool(iam_role),
            f"COPY reads the lake by iam_role {iam_role}",
            "write options: {iam_role: default}, or the ARN of a role that may read the lake's bucket",
        ),
    ]


def advise(connection: psycopg.Connection, targets: Sequence[Target], server: ServerSize) -> list[CheckResult]:
    """The database's size against what the operator allows, and what a load sets for itself."""
    row = connection.execute(SIZE_SQL.encode()).fetchone()
    total = int(row[0]) * MB if row else 0
    loaded = sum(info.size_mb for info in table_infos(connection, targets).values()) * MB
    most = server.storage_bytes
    fits = most is None or total <= FULL_SHARE * most
    return [
        CheckResult(
            "storage",
            fits,
            "WARN",
            f"the database has {size(total)}, the synced tables {size(loaded)}"
            + ("" if fits or most is None else f": more than {FULL_SHARE:.0%} of {size(most)}; make room, or resize"),
            {"database_bytes": total, "targets_bytes": loaded},
        ),
        CheckResult("session", True, description="set for the session of a load", metadata=dict(SETTINGS)),
    ]


def _may(connection: psycopg.Connection, query: str) -> bool:
    try:
        connection.execute(query.encode())
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def _finding(name: str, passed: bool, fine: str, fix: str) -> CheckResult:
    return CheckResult(name, passed, description=fine if passed else fix)
