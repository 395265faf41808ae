"""What stands in the way of loading: connection, version, privileges, settings; each finding with its fix."""

from ...model.errors import DbError
from ...model.report import CheckResult
from .session import Sessions

OLDEST_VERSION = 130000

FACTS_SQL = """
SELECT current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery(),
    current_setting('transaction_read_only'), current_user::text,
    has_database_privilege(current_database(), 'TEMPORARY'),
    CASE WHEN to_regnamespace('_syncer') IS NULL THEN has_database_privilege(current_database(), 'CREATE')
         ELSE has_schema_privilege('_syncer', 'CREATE, USAGE') END,
    current_setting('server_encoding'), current_setting('ssl') = 'on'
"""


def doctor(sessions: Sessions) -> list[CheckResult]:
    """The findings. A connection that fails is the only one then."""
    try:
        connection = sessions.open()
    except DbError as error:
        return [CheckResult("connection", False, description=str(error))]
    with connection, sessions.errors("connect"):
        row = connection.execute(FACTS_SQL).fetchone()
    assert row is not None
    number, version, standby, read_only, role, temporary, ledger, encoding, _ = row
    return [
        CheckResult("connection", True, description=f"connected as {role}"),
        _finding(
            "version", number >= OLDEST_VERSION, f"PostgreSQL {version}", "use PostgreSQL 13 or newer", version=version
        ),
        _finding(
            "writable",
            not standby and read_only == "off",
            "the server takes writes",
            "connect to the primary: the server is a standby or read only",
        ),
        _finding(
            "staging",
            temporary,
            "the role may create temporary tables",
            f"GRANT TEMPORARY ON DATABASE .. TO {role}",
        ),
        _finding(
            "ledger",
            ledger,
            "the role may write the schema _syncer",
            f"as its owner: CREATE SCHEMA _syncer AUTHORIZATION {role}, and the same for the target schemas",
        ),
        _finding("encoding", encoding == "UTF8", f"encoding {encoding}", "create the database with ENCODING 'UTF8'"),
    ]


def _finding(name: str, passed: bool, fine: str, fix: str, **metadata: object) -> CheckResult:
    return CheckResult(name, passed, description=fine if passed else fix, metadata=metadata)
