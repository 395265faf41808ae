"""What stands in the way of reading from a PostgreSQL source, and what weakens its promises; each with its fix."""

from collections.abc import Mapping
from datetime import UTC, datetime

import psycopg

from ...drivers.postgres_settings import server_settings
from ...model.report import CheckResult
from ...model.server import ServerSize

OLDEST_VERSION = 120000
CLOCK_SKEW_SECONDS = 60.0
FREE_CONNECTIONS = 5

_FACTS = """
SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version,
       current_user::text AS role, current_setting('is_superuser') = 'on' AS superuser,
       pg_is_in_recovery() AS standby, current_setting('server_encoding') AS encoding,
       current_setting('max_connections')::int - (SELECT count(*)::int FROM pg_stat_activity) AS free_connections,
       COALESCE((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)
       OR COALESCE(inet_server_addr() << '127.0.0.0/8' OR inet_server_addr() = '::1', true) AS private,
       extract(epoch FROM clock_timestamp())::float8 AS clock,
       (SELECT count(*)::int FROM pg_prepared_xacts
         WHERE database = current_database() AND prepared < now() - interval '1 hour') AS prepared,
       (SELECT count(*)::int FROM pg_stat_activity
         WHERE datname = current_database() AND xact_start < now() - interval '1 hour') AS long_open
"""


def doctor(connection: psycopg.Connection, session: Mapping[str, str]) -> list[CheckResult]:
    """The findings about a server that answers; `session` are the settings of our sessions."""
    number, version, role, superuser, standby, encoding, free, private, clock, prepared, long_open = _facts(connection)
    skew = abs(clock - datetime.now(UTC).timestamp())
    return [
        CheckResult("connection", True, description=f"connected as {role}"),
        _judge("version", number >= OLDEST_VERSION, f"PostgreSQL {version}", "use PostgreSQL 12 or newer"),
        _judge(
            "role",
            not superuser,
            "the role is no superuser",
            "the role is a superuser; a role with CONNECT, USAGE and SELECT is enough",
            warn=True,
        ),
        _judge(
            "primary",
            not standby,
            "the server is the primary",
            "the server is a replica, which does not show who still writes: late commits are ruled out by "
            "`late_commit_lag` alone; read from the primary, or raise the lag",
            warn=True,
        ),
        _judge(
            "open transactions",
            not (prepared or long_open),
            "no transaction has been open for an hour",
            f"{long_open} open and {prepared} prepared transactions are older than an hour and hold `safe` back: "
            "end them, or COMMIT PREPARED",
            warn=True,
        ),
        _judge("encoding", encoding == "UTF8", f"encoding {encoding}", f"the encoding is {encoding}: use UTF8"),
        _judge(
            "encryption",
            private,
            "the connection is encrypted or local",
            "the connection is not encrypted: add sslmode=verify-full to the DSN",
            warn=True,
        ),
        _judge(
            "connections",
            free >= FREE_CONNECTIONS,
            f"{free} connections are free",
            f"only {free} connections are free: raise max_connections, or run fewer syncs at once",
            warn=True,
        ),
        _judge(
            "clock",
            skew <= CLOCK_SKEW_SECONDS,
            "the server's clock agrees with this machine's",
            f"the server's clock differs by {skew:.0f} s from this machine's: synchronise both by NTP",
            warn=True,
        ),
        *server_settings(connection, ServerSize()),
        CheckResult(
            "session",
            True,
            description=f"ours sets {', '.join(f'{name} = {value}' for name, value in session.items())}",
            metadata=dict(session),
        ),
    ]


def _facts(connection: psycopg.Connection) -> tuple:
    row = connection.execute(_FACTS).fetchone()
    assert row is not None
    return row


def _judge(name: str, passed: bool, fine: str, fix: str, *, warn: bool = False) -> CheckResult:
    return CheckResult(name, passed, "WARN" if warn else "ERROR", fine if passed else fix)
