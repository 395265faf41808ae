"""What stands in the way of loading: connection, privileges, virtual warehouse, stage; each finding with its fix."""

from collections.abc import Mapping, Sequence

from ...model.errors import DbError
from ...model.report import CheckResult
from ...model.server import size
from ...model.table import Target
from . import activity, names
from .session import PARAMETERS, Session, Sessions

FACTS_SQL = """
SELECT CURRENT_VERSION(), CURRENT_USER(), CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_DATABASE(), CURRENT_SCHEMA()
"""

BYTES_SQL = "SELECT SUM(BYTES) FROM INFORMATION_SCHEMA.TABLES"


def doctor(sessions: Sessions, options: Mapping[str, str]) -> list[CheckResult]:
    """The findings. A connection that fails is the only one then."""
    try:
        session = sessions.open()
    except DbError as error:
        return [CheckResult("connection", False, description=str(error))]
    try:
        with sessions.errors("connect"):
            version, user, role, warehouse, database, _ = session.row(FACTS_SQL)
        return [
            CheckResult("connection", True, description=f"connected as {user} with the role {role}"),
            CheckResult("version", True, description=f"Snowflake {version}", metadata={"version": version}),
            _finding(
                "virtual_warehouse",
                warehouse is not None,
                f"the virtual warehouse {warehouse}",
                "name one in the DSN (?warehouse=..), and grant its USAGE to the role",
            ),
            _may_write(sessions, session, str(role), str(database)),
            *([_stage(sessions, session, options["stage"])] if "stage" in options else []),
        ]
    finally:
        session.close()


def advise(session: Session, targets: Sequence[Target]) -> list[CheckResult]:
    """The database's size, and what a load sets for itself. What compute is worth, each load's report tells."""
    total = int(session.row(BYTES_SQL)[0] or 0)
    loaded = sum(each.bytes or 0 for each in activity.activity(session, targets))
    return [
        CheckResult(
            "storage",
            True,
            description=f"the database has {size(total)}, the synced tables {size(loaded)}",
            metadata={"database_bytes": total, "targets_bytes": loaded},
        ),
        CheckResult("session", True, description="set for the session of a load", metadata=dict(PARAMETERS)),
    ]


def _may_write(sessions: Sessions, session: Session, role: str, database: str) -> CheckResult:
    """The one sure way to know what a role with its inherited roles may do: do it."""
    probe = f"{names.SCHEMA}.{names.quoted('DOCTOR')}"
    try:
        with sessions.errors("connect"):
            session.execute(f"CREATE SCHEMA IF NOT EXISTS {names.SCHEMA}")
            session.execute(f"CREATE OR REPLACE TRANSIENT TABLE {probe} (probe NUMBER(38,0))")
            session.execute(f"DROP TABLE {probe}")
    except DbError as error:
        return CheckResult(
            "ledger",
            False,
            description=f"the schema _SYNCER cannot be written ({error.code})",
            fix=f"GRANT CREATE SCHEMA ON DATABASE {names.quoted(database)} TO ROLE {names.quoted(role)}",
        )
    return CheckResult("ledger", True, description="the role may write the schema _SYNCER")


def _stage(sessions: Sessions, session: Session, stage: str) -> CheckResult:
    try:
        with sessions.errors("connect"):
            session.execute(f"DESCRIBE STAGE {stage}")
    except DbError as error:
        return CheckResult(
            "stage",
            False,
            description=f"the stage {stage} cannot be used ({error.code}): make it over the lake, and grant USAGE",
        )
    return CheckResult("stage", True, description=f"the stage {stage} can be used")


def _finding(name: str, passed: bool, fine: str, fix: str) -> CheckResult:
    return CheckResult(name, passed, description=fine if passed else fix)
