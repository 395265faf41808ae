"""What stands in the way of reading from Snowflake, and what weakens its promises; each with its fix."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ...drivers import snowflake
from ...model.report import CheckResult
from .proof import source_time

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

CLOCK_SKEW_SECONDS = 60.0
ADMINISTRATORS = frozenset({"ACCOUNTADMIN", "SECURITYADMIN", "SYSADMIN"})

_FACTS = "SELECT CURRENT_VERSION(), CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_DATABASE(), CURRENT_SCHEMA()"


def doctor(connection: "SnowflakeConnection") -> list[CheckResult]:
    """The findings about a service that answers."""
    version, role, warehouse, database, schema = snowflake.rows(connection, _FACTS)[0]
    skew = abs((source_time(connection) - datetime.now(UTC)).total_seconds())
    return [
        CheckResult("connection", True, description=f"Snowflake {version}, connected to {database}.{schema}"),
        _judge(
            "role",
            role not in ADMINISTRATORS,
            f"the role {role} is no administrator",
            f"the role is {role}; one with USAGE on warehouse, database and schema and SELECT on the tables is enough",
            warn=True,
        ),
        _judge(
            "warehouse",
            bool(warehouse),
            f"queries run on the warehouse {warehouse}",
            "no virtual warehouse is set: name one in the DSN (?warehouse=..), and grant its USAGE",
        ),
        CheckResult(
            "late commits",
            False,
            "WARN",
            "writers cannot be listed: `late_commit_lag` alone protects from late commits",
        ),
        _judge(
            "clock",
            skew <= CLOCK_SKEW_SECONDS,
            "the service's clock agrees with this machine's",
            f"the service's clock differs by {skew:.0f} s from this machine's: synchronise it by NTP",
            warn=True,
        ),
    ]


def _judge(name: str, passed: bool, fine: str, fix: str, *, warn: bool = False) -> CheckResult:
    return CheckResult(name, passed, "WARN" if warn else "ERROR", fine if passed else fix)
