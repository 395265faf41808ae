"""Settings of a MySQL or MariaDB server against what its own counters tell, each finding with its statement."""

import re
from collections.abc import Mapping

from ...drivers import mysql
from ...model.report import CheckResult
from ...model.server import size

MISSES_MOST = 0.05
"""Of the pages that were asked for; with more, reading a table pushes out what the application works with."""
REQUESTS_LEAST = 1_000_000
UPTIME_LEAST_SECONDS = 3600
PACKET_LEAST = 16 * 1024**2
DYNAMIC_REDO_MARIADB, DYNAMIC_REDO_MYSQL = (10, 9), (8, 0, 30)

_VARIABLES = """
SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_buffer_pool_size', 'innodb_log_file_size',
  'innodb_log_files_in_group', 'innodb_redo_log_capacity', 'max_allowed_packet')
"""
_STATUS = """
SHOW GLOBAL STATUS WHERE Variable_name IN ('Innodb_buffer_pool_reads', 'Innodb_buffer_pool_read_requests',
  'Innodb_os_log_written', 'Uptime')
"""
_DATA = """
SELECT COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()
"""
_LONG_COLUMNS = """
SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()
   AND DATA_TYPE IN ('mediumtext', 'longtext', 'mediumblob', 'longblob', 'json')
"""


def server_settings(connection: mysql.Connection, session: Mapping[str, str]) -> list[CheckResult]:
    """The findings; `session` are the variables that our sessions set over the server's."""
    found = {name.lower(): int(value) for name, value in mysql.rows(connection, _VARIABLES)}
    told = {name.lower(): int(value) for name, value in mysql.rows(connection, _STATUS)}
    data = int(str(mysql.scalar(connection, _DATA)))
    return [
        _buffer_pool(found["innodb_buffer_pool_size"], data, told),
        _redo_log(connection, found, told),
        _packet(found["max_allowed_packet"], int(str(mysql.scalar(connection, _LONG_COLUMNS)))),
        CheckResult(
            "session",
            True,
            description=f"ours sets {', '.join(f'{name} = {value}' for name, value in session.items())}",
            metadata=dict(session),
        ),
    ]


def _buffer_pool(pool: int, data: int, told: Mapping[str, int]) -> CheckResult:
    requests, reads = told["innodb_buffer_pool_read_requests"], told["innodb_buffer_pool_reads"]
    misses = reads / requests if requests else 0.0
    judged = requests >= REQUESTS_LEAST and told["uptime"] >= UPTIME_LEAST_SECONDS
    wanted = min(2 * pool, max(pool, data))
    return _finding(
        "innodb_buffer_pool_size",
        not judged or misses <= MISSES_MOST or pool >= data,
        f"innodb_buffer_pool_size {size(pool)}, the database {size(data)}",
        f"{misses:.0%} of the pages that were asked for were not in the buffer pool of {size(pool)}, and the database "
        f"has {size(data)}: give it more, if the machine has the memory",
        f"SET GLOBAL innodb_buffer_pool_size = {wanted}",
    )


def _redo_log(connection: mysql.Connection, found: Mapping[str, int], told: Mapping[str, int]) -> CheckResult:
    """It should hold an hour of writes, or pages are flushed in a hurry while we read."""
    files = found.get("innodb_log_files_in_group", 1)
    capacity = found.get("innodb_redo_log_capacity") or found.get("innodb_log_file_size", 0) * files
    hour = round(told["innodb_os_log_written"] / max(1, told["uptime"]) * 3600)
    name = "innodb_redo_log_capacity" if "innodb_redo_log_capacity" in found else "innodb_log_file_size"
    wanted = -(-hour // 1024**2) * 1024**2 // (1 if name == "innodb_redo_log_capacity" else files)
    by_statement = _version(connection) >= (
        DYNAMIC_REDO_MARIADB if mysql.is_mariadb(connection) else DYNAMIC_REDO_MYSQL
    )
    return _finding(
        name,
        not capacity or told["uptime"] < UPTIME_LEAST_SECONDS or hour <= capacity,
        f"the redo log holds {size(capacity)}, {size(hour)} are written an hour",
        f"the redo log holds {size(capacity)}, and {size(hour)} are written an hour",
        f"SET GLOBAL {name} = {wanted}"
        if by_statement
        else f"{name} = {wanted}   # in the server's file, then restart",
    )


def _packet(packet: int, columns: int) -> CheckResult:
    return _finding(
        "max_allowed_packet",
        packet >= PACKET_LEAST or not columns,
        f"max_allowed_packet {size(packet)}",
        f"max_allowed_packet is {size(packet)}; a longer row cannot be read, and columns that can hold more: {columns}",
        f"SET GLOBAL max_allowed_packet = {4 * PACKET_LEAST}",
    )


def _version(connection: mysql.Connection) -> tuple[int, ...]:
    found = re.match(r"[\d.]+", str(mysql.scalar(connection, "SELECT VERSION()")))
    return tuple(int(part) for part in found[0].split(".") if part) if found else (0,)


def _finding(name: str, passed: bool, fine: str, what: str, fix: str) -> CheckResult:
    return CheckResult(name, passed, "WARN", fine if passed else what, fix="" if passed else fix)
