"""Where the values of a cursor come from, and what of their writers this server can show (DESIGN 5, rules 3 to 5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pymysql

from ...drivers import mysql
from ...model.capture import Protection
from ...model.errors import ConfigError
from ...model.marks import TIME_KINDS, CursorColumn
from ...model.risk import RiskName
from . import catalogue

ONE_WRITER_AT_A_TIME = ("MyISAM", "Aria", "MEMORY")
"""Engines without transactions: a statement locks the table, draws its ids and shows its rows, then the next comes."""

ACCESS_DENIED = (1044, 1045, 1142, 1227)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_COLUMN = """
SELECT EXTRA LIKE '%%auto_increment%%', LOWER(COALESCE(COLUMN_DEFAULT, '')) LIKE '%%nextval(%%'
  FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND COLUMN_NAME = %s
"""
_VARIABLES = """
SHOW GLOBAL VARIABLES WHERE Variable_name IN
  ('read_only', 'super_read_only', 'innodb_read_only', 'wsrep_on', 'auto_increment_increment',
   'group_replication_single_primary_mode')
"""
_APPLIERS = """
SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'system user' AND COMMAND <> 'Daemon'
"""
"""The server's own threads that take over a primary's changes; seen with PROCESS."""

_NEXT_ID = "SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"


@dataclass(frozen=True)
class Allocation:
    """The facts about a cursor column that its proof depends on. `applied_until` is None on a primary."""

    engine: str | None
    auto_increment: bool
    from_sequence: bool
    increment: int
    clustered: bool
    sees_writers: bool
    applied_until: datetime | None

    @property
    def has_transactions(self) -> bool:
        return self.engine not in ONE_WRITER_AT_A_TIME


def allocation(connection: mysql.Connection, table: str, column: str) -> Allocation:
    """The facts, asked of the server. Raises ConfigError where there is no such column."""
    found = mysql.rows(connection, _COLUMN, (*catalogue.split(connection, table), column))
    if not found:
        raise ConfigError(f"there is no column {column!r}", table=table, fix="check `cursor` in the YAML")
    variables = dict(mysql.rows(connection, _VARIABLES))
    return Allocation(
        engine=catalogue.engine(connection, table),
        auto_increment=bool(found[0][0]),
        from_sequence=bool(found[0][1]),
        increment=int(variables.get("auto_increment_increment", 1)),
        clustered=variables.get("wsrep_on") == "ON" or variables.get("group_replication_single_primary_mode") == "OFF",
        sees_writers=_may_list_writers(connection),
        applied_until=_applied_until(connection, read_only=takes_no_writes(variables)),
    )


def protection(cursor: CursorColumn, facts: Allocation) -> Protection:
    """How late commits are ruled out, or the reason why they are not."""
    of_writers = _of_writers(cursor, facts)
    if of_writers is not None:
        return of_writers
    risk, reason = _of_values(cursor, facts)
    return Protection("writers_finished", False, reason, risk) if risk else Protection("writers_finished", True)


def takes_no_writes(variables: Mapping[str, str]) -> bool:
    """Whether a server's variables say that it is read only (`innodb_read_only` is that of Aurora's readers)."""
    names = ("read_only", "super_read_only", "innodb_read_only")
    return any(variables.get(name, "OFF") not in ("OFF", "0") for name in names)


def next_id(connection: mysql.Connection, table: str) -> int | None:
    """The next AUTO_INCREMENT, as the server knows it now; None where the table has none."""
    if not mysql.is_mariadb(connection):
        mysql.rows(connection, "SET SESSION information_schema_stats_expiry = 0")
    found = mysql.scalar(connection, _NEXT_ID, catalogue.split(connection, table))
    return int(str(found)) if found is not None else None


def source_time(connection: mysql.Connection, facts: Allocation) -> datetime:
    """The time that ages are measured by: on a replica the position that was applied."""
    return facts.applied_until or now(connection)


def now(connection: mysql.Connection) -> datetime:
    """The server's clock in UTC."""
    moment = mysql.scalar(connection, "SELECT UTC_TIMESTAMP(6)")
    assert isinstance(moment, datetime)
    return moment.replace(tzinfo=UTC)


def replica_status(connection: mysql.Connection) -> list[dict[str, object]] | None:
    """A row for each primary that this server follows; None where the role may not see it."""
    statement = "SHOW ALL SLAVES STATUS" if mysql.is_mariadb(connection) else "SHOW REPLICA STATUS"
    try:
        with connection.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())  # type: ignore[arg-type]  # of a DictCursor
    except pymysql.MySQLError as error:
        if error.args[0] in ACCESS_DENIED:
            return None
        raise


def _of_writers(cursor: CursorColumn, facts: Allocation) -> Protection | None:
    """Only the lag protects where this server cannot show who writes; None where it can."""
    risk: RiskName | None = None
    reason = ""
    if facts.applied_until is not None:
        risk, reason = "replica", "a replica does not show the writers of its primary"
    elif facts.clustered:
        risk, reason = "galera", "a node of a cluster does not show the writers of the others"
    elif facts.engine is None:
        risk, reason = "no_table", "the relation is no ordinary table, so its writers cannot be listed"
    elif not facts.has_transactions and cursor.kind in TIME_KINDS:
        risk, reason = "not_transactional", f"a statement that waits for a {facts.engine} table writes a time of before"
    elif facts.has_transactions and facts.engine != "InnoDB":
        risk, reason = "no_table", f"transactions of the engine {facts.engine} cannot be listed"
    elif facts.has_transactions and not facts.sees_writers:
        risk, reason = "writers_hidden", "the role may not list transactions (GRANT PROCESS ON *.*)"
    return Protection("lag", False, f"{reason}: only the lag protects", risk) if risk else None


def _of_values(cursor: CursorColumn, facts: Allocation) -> tuple[RiskName | None, str]:
    """Why the values themselves need not come in order, whoever writes them; (None, "") for those that do."""
    if cursor.kind in TIME_KINDS:
        return None, ""
    if cursor.kind != "integer":
        return "cursor_goes_back", f"values of a {cursor.kind} cursor need not grow with time"
    if facts.from_sequence:
        return "ids_in_blocks", "the ids are drawn from a SEQUENCE, outside the transaction that writes them, in blocks"
    if not facts.auto_increment:
        return "ids_from_elsewhere", "the ids are not drawn by AUTO_INCREMENT, so they may arrive out of order"
    if facts.increment > 1:
        return "ids_in_blocks", f"auto_increment_increment is {facts.increment}: several servers draw ids of one table"
    return None, ""


def _may_list_writers(connection: mysql.Connection) -> bool:
    try:
        mysql.rows(connection, "SELECT 1 FROM information_schema.INNODB_TRX LIMIT 1")
    except pymysql.MySQLError as error:
        if error.args[0] in ACCESS_DENIED:
            return False
        raise
    return True


def _applied_until(connection: mysql.Connection, *, read_only: bool) -> datetime | None:
    """How far a replica has applied its primary's changes; the epoch where that cannot be told.

    A read-only server that follows nobody by replication (a reader of Aurora, a secondary of a group) gets its rows in
    a way that it does not show: it is a replica, too, and the lag counts from now.
    """
    status = replica_status(connection)
    if status is None:
        return EPOCH if read_only or mysql.scalar(connection, _APPLIERS) else None
    if not status:
        return now(connection) if read_only else None
    behind = [row.get("Seconds_Behind_Master", row.get("Seconds_Behind_Source")) for row in status]
    if any(seconds is None for seconds in behind):
        return EPOCH
    return now(connection) - timedelta(seconds=max(int(str(seconds)) for seconds in behind) + 1)
