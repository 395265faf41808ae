"""What stands in the way of reading from MySQL or MariaDB, and what weakens its promises; each with its fix."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from ...drivers import mysql
from ...model.report import CheckResult
from .allocation import now, replica_status, takes_no_writes
from .settings import server_settings

OLDEST_MYSQL, OLDEST_MARIADB = (8, 0), (10, 6)
CLOCK_SKEW_SECONDS = 60.0
FREE_CONNECTIONS = 5
GRANTS = "GRANT SELECT ON <database>.* TO <role>; GRANT PROCESS, REPLICATION CLIENT ON *.* TO <role>"
"""All that reading needs. REPLICATION CLIENT (on MariaDB REPLICA MONITOR too) tells a replica from a primary."""

_VARIABLES = """
SHOW GLOBAL VARIABLES WHERE Variable_name IN
  ('read_only', 'super_read_only', 'innodb_read_only', 'wsrep_on', 'auto_increment_increment', 'max_connections',
   'system_time_zone', 'time_zone', 'character_set_server', 'transaction_isolation', 'tx_isolation',
   'innodb_autoinc_lock_mode')
"""

_LONG_OPEN = """
SELECT COUNT(*) FROM information_schema.INNODB_TRX
 WHERE trx_is_read_only = 0
   AND TIMESTAMPDIFF(SECOND, trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')) > 3600
"""

_ENGINES = """
SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES
 WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE' AND ENGINE <> 'InnoDB' ORDER BY 1 LIMIT 5
"""


def doctor(connection: mysql.Connection, session: Mapping[str, str]) -> list[CheckResult]:
    """The findings about a server that answers; `session` are the variables that our sessions set."""
    variables = {name.lower(): value for name, value in mysql.rows(connection, _VARIABLES)}
    granted = " ".join(str(row[0]) for row in mysql.rows(connection, "SHOW GRANTS")).upper()
    sees_writers = "PROCESS" in granted or "ALL PRIVILEGES ON *.*" in granted
    return [
        CheckResult(
            "connection", True, description=f"connected as {mysql.scalar(connection, 'SELECT CURRENT_USER()')}"
        ),
        _version(connection),
        _role(granted),
        _judge(
            "process",
            sees_writers,
            "the role may list open transactions",
            "the role may not list open transactions, so late commits are ruled out by `late_commit_lag` alone: "
            "GRANT PROCESS ON *.* TO the role",
            warn=True,
        ),
        _primary(connection, variables),
        _judge(
            "cluster",
            variables.get("wsrep_on") != "ON" and variables.get("auto_increment_increment", "1") == "1",
            "one server draws the ids",
            "several servers draw ids (Galera, or auto_increment_increment above 1), so they arrive out of order: use "
            "a time cursor with a `late_commit_lag` longer than a transaction, and reconcile",
            warn=True,
        ),
        _open_transactions(connection)
        if sees_writers
        else CheckResult("open transactions", True, description="unseen"),
        _engines(connection),
        _judge(
            "encryption",
            _is_private(connection),
            "the connection is encrypted or local",
            "the connection is not encrypted: add ?ssl_mode=verify_identity to the DSN",
            warn=True,
        ),
        _connections(connection, variables),
        _clock(connection),
        CheckResult(
            "settings",
            True,
            description=f"time zone {variables.get('time_zone')} ({variables.get('system_time_zone')}), character set "
            f"{variables.get('character_set_server')}, isolation "
            f"{variables.get('transaction_isolation', variables.get('tx_isolation'))}, innodb_autoinc_lock_mode "
            f"{variables.get('innodb_autoinc_lock_mode')}; ours: UTC, utf8mb4, REPEATABLE READ, READ ONLY",
        ),
        *server_settings(connection, session),
    ]


def _version(connection: mysql.Connection) -> CheckResult:
    text = str(mysql.scalar(connection, "SELECT VERSION()"))
    found = re.match(r"(\d+)\.(\d+)", text)
    number = (int(found[1]), int(found[2])) if found else (0, 0)
    mariadb = mysql.is_mariadb(connection)
    passed = number >= (OLDEST_MARIADB if mariadb else OLDEST_MYSQL)
    name = "MariaDB" if mariadb else "MySQL"
    return _judge("version", passed, f"{name} {text}", f"{name} {text}: use MySQL 8.0, MariaDB 10.6 or newer")


def _role(granted: str) -> CheckResult:
    writes = [
        word for word in ("ALL PRIVILEGES", "INSERT", "UPDATE", "DELETE", "DROP", "SUPER", "FILE") if word in granted
    ]
    return _judge(
        "role",
        not writes,
        "the role only reads",
        f"the role may do more than read ({', '.join(writes)}): {GRANTS} is enough",
        warn=True,
    )


def _primary(connection: mysql.Connection, variables: dict[str, str]) -> CheckResult:
    status = replica_status(connection)
    if status is None:
        return _judge(
            "primary",
            not takes_no_writes(variables),
            "the server takes writes",
            "the server is read only and the role may not see whether it is a replica, so nothing is proven final: "
            "GRANT REPLICATION CLIENT (MariaDB: REPLICA MONITOR) ON *.* TO the role",
            warn=True,
        )
    return _judge(
        "primary",
        not status and not takes_no_writes(variables),
        "the server is the primary",
        "the server is a replica or read only, which does not show who still writes: late commits are ruled out by "
        "`late_commit_lag` alone; read from the primary, or raise the lag",
        warn=True,
    )


def _open_transactions(connection: mysql.Connection) -> CheckResult:
    old = int(str(mysql.scalar(connection, _LONG_OPEN)))
    return _judge(
        "open transactions",
        not old,
        "no transaction has been open for an hour",
        f"{old} transactions are older than an hour and hold `safe` back: end them (information_schema.INNODB_TRX "
        "names them), or XA COMMIT what XA RECOVER lists",
        warn=True,
    )


def _engines(connection: mysql.Connection) -> CheckResult:
    others = mysql.rows(connection, _ENGINES)
    names = ", ".join(f"{table} ({engine})" for table, engine in others)
    return _judge(
        "engine",
        not others,
        "every table is of InnoDB",
        f"tables without InnoDB's transactions: {names}; read whole while others write, their count may not fit their "
        "rows, and a time cursor is protected by the lag alone: ALTER TABLE .. ENGINE=InnoDB",
        warn=True,
    )


def _connections(connection: mysql.Connection, variables: dict[str, str]) -> CheckResult:
    used = mysql.rows(connection, "SHOW GLOBAL STATUS LIKE 'Threads_connected'")
    free = int(variables.get("max_connections", 151)) - int(used[0][1])
    return _judge(
        "connections",
        free >= FREE_CONNECTIONS,
        f"{free} connections are free",
        f"only {free} connections are free: raise max_connections, or run fewer syncs at once",
        warn=True,
    )


def _clock(connection: mysql.Connection) -> CheckResult:
    skew = abs((now(connection) - datetime.now(UTC)).total_seconds())
    return _judge(
        "clock",
        skew <= CLOCK_SKEW_SECONDS,
        "the server's clock agrees with this machine's",
        f"the server's clock differs by {skew:.0f} s from this machine's: synchronise both by NTP",
        warn=True,
    )


def _is_private(connection: mysql.Connection) -> bool:
    cipher = mysql.rows(connection, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")
    host = str(connection.host)
    return bool(cipher and cipher[0][1]) or host in ("localhost", "::1") or host.startswith("127.")


def _judge(name: str, passed: bool, fine: str, fix: str, *, warn: bool = False) -> CheckResult:
    return CheckResult(name, passed, "WARN" if warn else "ERROR", fine if passed else fix)
